//! How often one recipient gets mail: as often as there is something to tell, but no flood of it. Whoever can post orders could
//! otherwise have a thousand mails sent to somebody, one for each of a thousand shipments of nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::address::EmailAddress;

/// How many recipients, and how many turns, are known before those are forgotten that mean nothing any more.
const KNOWN: usize = 10_000;

/// How long a turn is kept for a mail that did not come when it was due: another process has it, most likely. A failed mail may come
/// a few minutes late.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// When the recipients of one process get their mails.
#[derive(Debug)]
pub(crate) struct Recipients {
    spacing: Duration,
    /// How far ahead of the spacing a recipient may be.
    ahead: Duration,
    book: Mutex<Book>,
}

/// Who gets what when.
#[derive(Debug)]
struct Book {
    /// For each recipient, when all mails that it got, or has a turn for, would have been due, one after each spacing.
    due: HashMap<String, Instant>,
    /// The turns of the mails that are not through.
    turns: HashMap<Uuid, Instant>,
    /// How many turns there are when those are forgotten that nobody came to: looking for them takes as long as there are turns.
    tidy_at: usize,
}

impl Recipients {
    /// Each gets up to `burst` mails at once, then one after each `spacing`.
    pub(crate) fn new(burst: u32, spacing: Duration) -> Self {
        let ahead = spacing.saturating_mul(burst.saturating_sub(1));
        let book = Book { due: HashMap::new(), turns: HashMap::new(), tidy_at: KNOWN };
        Self { spacing, ahead, book: Mutex::new(book) }
    }

    /// When this mail may go out. A mail keeps its turn, however often it comes, until it is done.
    pub(crate) fn turn(&self, recipient: &EmailAddress, mail: Uuid, now: Instant) -> Instant {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.tidy(now);
        let Book { due, turns, .. } = &mut *book;
        *turns.entry(mail).or_insert_with(|| {
            let due = due.entry(name(recipient)).or_insert(now);
            let next = (*due).max(now);
            *due = next + self.spacing;
            next.checked_sub(self.ahead).unwrap_or(now).max(now)
        })
    }

    /// The mail went out, or never will.
    pub(crate) fn done(&self, mail: Uuid) {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).turns.remove(&mail);
    }
}

impl Book {
    fn tidy(&mut self, now: Instant) {
        if self.due.len() >= KNOWN {
            self.due.retain(|_, due| *due > now);
        }
        if self.turns.len() >= self.tidy_at {
            self.turns.retain(|_, turn| *turn + KEPT > now);
            self.tidy_at = KNOWN.max(2 * self.turns.len());
        }
    }
}

/// Most mail services take no notice of capitals.
fn name(recipient: &EmailAddress) -> String {
    recipient.as_str().to_lowercase()
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
        let (recipients, now) = (Recipients::new(2, 10 * SECOND), Instant::now());
        assert_eq!(recipients.turn(&ada(), mail(1), now), now);
        assert_eq!(recipients.turn(&EmailAddress::parse("ADA@example.com").unwrap(), mail(2), now), now);
        assert_eq!(recipients.turn(&ada(), mail(3), now), now + 10 * SECOND);
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
        let (recipients, now) = (Recipients::new(1, 10 * SECOND), Instant::now());
        assert_eq!(recipients.turn(&ada(), mail(1), now), now);
        assert_eq!(recipients.turn(&ada(), mail(2), now), now + 10 * SECOND);
        assert_eq!(recipients.turn(&ada(), mail(2), now + SECOND), now + 10 * SECOND, "it came too early");
        assert_eq!(recipients.turn(&ada(), mail(1), now + SECOND), now, "it did not go out");

        recipients.done(mail(1));
        assert_eq!(recipients.turn(&ada(), mail(1), now + SECOND), now + 20 * SECOND, "asked for once more");
    }

    #[test]
    fn what_means_nothing_any_more_is_forgotten() {
        let (recipients, now) = (Recipients::new(1, SECOND), Instant::now());
        for nth in 0..KNOWN {
            let recipient = EmailAddress::parse(&format!("a{nth}@example.com")).unwrap();
            recipients.turn(&recipient, mail(nth as u128), now);
        }
        recipients.turn(&ada(), mail(KNOWN as u128), now + 2 * KEPT);
        let book = recipients.book.lock().unwrap();
        assert_eq!((book.due.len(), book.turns.len()), (1, 1));
    }
}
