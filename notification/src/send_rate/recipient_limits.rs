//! Limits how many mails one recipient gets. Otherwise anyone who can post orders could flood a recipient, for example
//! with a thousand empty shipments.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use mail_address::EmailAddress;

/// From this many recipients or turns on, outdated ones are removed.
const PRUNE_AT: usize = 10_000;

/// How long a turn is kept for a mail that does not come back. Most likely another process has it; a failed mail may
/// come back some minutes late.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Limits how many mails each recipient gets from this process.
#[derive(Debug)]
pub(crate) struct RecipientRateLimiter {
    spacing: Duration,
    /// How far a recipient may be ahead of the spacing.
    ahead: Duration,
    schedule: Mutex<RecipientSchedule>,
}

#[derive(Debug)]
struct RecipientSchedule {
    /// By recipient: when its last mail would be due if there were one after each spacing.
    due: HashMap<String, Instant>,
    /// By mail: its turn, until it is done.
    turns: HashMap<Uuid, Instant>,
    /// The number of turns at which outdated ones are removed, which takes a pass over all of them.
    prune_turns_at: usize,
}

impl RecipientRateLimiter {
    /// A recipient gets up to `burst` mails at once, then one after each `spacing`.
    pub(crate) fn new(burst: u32, spacing: Duration) -> Self {
        let ahead = spacing.saturating_mul(burst.saturating_sub(1));
        let schedule = RecipientSchedule { due: HashMap::new(), turns: HashMap::new(), prune_turns_at: PRUNE_AT };
        Self { spacing, ahead, schedule: Mutex::new(schedule) }
    }

    /// When this mail may be sent. It keeps its turn, however often it comes back, until it is done.
    pub(crate) fn turn(&self, recipient: &EmailAddress, mail: Uuid, now: Instant) -> Instant {
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        schedule.prune(now);
        let RecipientSchedule { due, turns, .. } = &mut *schedule;
        *turns.entry(mail).or_insert_with(|| {
            let due = due.entry(normalized(recipient)).or_insert(now);
            let next = (*due).max(now);
            *due = next + self.spacing;
            next.checked_sub(self.ahead).unwrap_or(now).max(now)
        })
    }

    /// The mail has its outcome.
    pub(crate) fn done(&self, mail: Uuid) {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner).turns.remove(&mail);
    }
}

impl RecipientSchedule {
    fn prune(&mut self, now: Instant) {
        if self.due.len() >= PRUNE_AT {
            self.due.retain(|_, due| *due > now);
        }
        if self.turns.len() >= self.prune_turns_at {
            self.turns.retain(|_, turn| *turn + KEPT > now);
            self.prune_turns_at = PRUNE_AT.max(2 * self.turns.len());
        }
    }
}

/// Most mail services ignore case, and a domain can be written in several ways.
fn normalized(recipient: &EmailAddress) -> String {
    recipient.with_ascii_domain().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ada() -> EmailAddress {
        EmailAddress::parse("ada@example.com").unwrap()
    }

    fn mail(nth: u128) -> Uuid {
        Uuid::from_u128(nth)
    }

    #[test]
    fn a_recipient_gets_some_mails_at_once_and_then_one_after_the_other() {
        let (recipients, now) = (RecipientRateLimiter::new(2, 10 * SECOND), Instant::now());
        assert_eq!(recipients.turn(&ada(), mail(1), now), now);
        assert_eq!(recipients.turn(&EmailAddress::parse("ADA@example.com").unwrap(), mail(2), now), now);
        assert_eq!(recipients.turn(&ada(), mail(3), now), now + 10 * SECOND);
        for (nth, domain) in [(10, "müller.example"), (11, "MÜLLER.example"), (12, "xn--mller-kva.example")] {
            let address = EmailAddress::parse(format!("ada@{domain}")).unwrap();
            assert_eq!(recipients.turn(&address, mail(nth), now) == now, nth < 12, "it is one address");
        }
        assert_eq!(
            recipients.turn(&EmailAddress::parse("bob@example.com").unwrap(), mail(4), now),
            now,
            "others need not wait"
        );

        assert_eq!(recipients.turn(&ada(), mail(5), now), now + 20 * SECOND, "each has a turn of its own");
        assert_eq!(recipients.turn(&ada(), mail(6), now + 10 * SECOND), now + 30 * SECOND);
        // After a while without mails there may be some at once again, and no more than at first.
        let later = now + 1_000 * SECOND;
        let at_once = [7, 8, 9].map(|nth| recipients.turn(&ada(), mail(nth), later) == later);
        assert_eq!(at_once, [true, true, false]);
    }

    #[test]
    fn a_mail_keeps_its_turn_until_it_is_done() {
        let (recipients, now) = (RecipientRateLimiter::new(1, 10 * SECOND), Instant::now());
        assert_eq!(recipients.turn(&ada(), mail(1), now), now);
        assert_eq!(recipients.turn(&ada(), mail(2), now), now + 10 * SECOND);
        assert_eq!(recipients.turn(&ada(), mail(2), now + SECOND), now + 10 * SECOND, "it came too early");
        assert_eq!(recipients.turn(&ada(), mail(1), now + SECOND), now, "it did not go out");

        recipients.done(mail(1));
        assert_eq!(recipients.turn(&ada(), mail(1), now + SECOND), now + 20 * SECOND, "asked for once more");
    }

    #[test]
    fn what_means_nothing_any_more_is_forgotten() {
        let (recipients, now) = (RecipientRateLimiter::new(1, SECOND), Instant::now());
        for nth in 0..PRUNE_AT {
            let recipient = EmailAddress::parse(format!("a{nth}@example.com")).unwrap();
            recipients.turn(&recipient, mail(nth as u128), now);
        }
        recipients.turn(&ada(), mail(PRUNE_AT as u128), now + 2 * KEPT);
        let schedule = recipients.schedule.lock().unwrap();
        assert_eq!((schedule.due.len(), schedule.turns.len()), (1, 1));
    }
}
