//! How often one recipient gets mail: as often as there is something to tell, but no flood of it. Whoever can post orders could
//! otherwise have a thousand mails sent to somebody, one for each of a thousand shipments of nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::address::EmailAddress;

/// How many recipients are known before those are forgotten that may get mail again anyway.
const KNOWN: usize = 10_000;

/// When the recipients of one process get their mails.
#[derive(Debug)]
pub(crate) struct Recipients {
    spacing: Duration,
    /// How far ahead of the spacing a recipient may be.
    ahead: Duration,
    /// For each, when all mails that it got would have been due, one after each spacing.
    due: Mutex<HashMap<String, Instant>>,
}

impl Recipients {
    /// Each gets up to `burst` mails at once, then one after each `spacing`.
    pub(crate) fn new(burst: u32, spacing: Duration) -> Self {
        let ahead = spacing.saturating_mul(burst.saturating_sub(1));
        Self { spacing, ahead, due: Mutex::default() }
    }

    /// Takes the recipient's turn for a mail, now; else says when there is one.
    pub(crate) fn admit(&self, recipient: &EmailAddress, now: Instant) -> Result<(), Instant> {
        let mut known = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.retain(|_, due| *due > now);
        }
        let recipient = name(recipient);
        let due = known.get(&recipient).copied().unwrap_or(now).max(now);
        let not_before = due.checked_sub(self.ahead).unwrap_or(now);
        if not_before > now {
            return Err(not_before);
        }
        known.insert(recipient, due + self.spacing);
        Ok(())
    }

    /// The mail did not go out after all: its turn is free.
    pub(crate) fn give_back(&self, recipient: &EmailAddress) {
        let mut known = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = known.get_mut(&name(recipient)) {
            *due = due.checked_sub(self.spacing).unwrap_or(*due);
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

    #[test]
    fn a_recipient_gets_some_mails_at_once_and_then_one_after_the_other() {
        let (recipients, now) = (Recipients::new(2, 10 * SECOND), Instant::now());
        assert_eq!(recipients.admit(&ada(), now), Ok(()));
        assert_eq!(recipients.admit(&EmailAddress::parse("ADA@example.com").unwrap(), now), Ok(()));
        assert_eq!(recipients.admit(&ada(), now), Err(now + 10 * SECOND));
        assert_eq!(
            recipients.admit(&EmailAddress::parse("bob@example.com").unwrap(), now),
            Ok(()),
            "others need not wait"
        );

        assert_eq!(recipients.admit(&ada(), now + 10 * SECOND), Ok(()));
        assert_eq!(recipients.admit(&ada(), now + 10 * SECOND), Err(now + 20 * SECOND));
        // After a while without mails there may be some at once again, and no more than at first.
        let later = now + 1_000 * SECOND;
        assert_eq!([(); 3].map(|()| recipients.admit(&ada(), later).is_ok()), [true, true, false]);
    }

    #[test]
    fn the_turn_of_a_mail_that_did_not_go_out_is_free() {
        let (recipients, now) = (Recipients::new(1, 10 * SECOND), Instant::now());
        assert_eq!(recipients.admit(&ada(), now), Ok(()));
        recipients.give_back(&ada());
        assert_eq!(recipients.admit(&ada(), now), Ok(()));
        assert!(recipients.admit(&ada(), now).is_err());
    }

    #[test]
    fn those_who_may_get_mail_anyway_are_forgotten() {
        let (recipients, now) = (Recipients::new(1, SECOND), Instant::now());
        for nth in 0..KNOWN {
            recipients.admit(&EmailAddress::parse(&format!("a{nth}@example.com")).unwrap(), now).unwrap();
        }
        recipients.admit(&ada(), now + 2 * SECOND).unwrap();
        assert_eq!(recipients.due.lock().unwrap().len(), 1);
    }
}
