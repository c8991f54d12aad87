//! The mails that were accepted, bounded.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How many mails are kept at most; older ones go first.
pub const MESSAGES_KEPT: usize = 10_000;

/// How many bytes of text the kept mails have at most, together. The newest mail stays whatever its size.
pub const BYTES_KEPT: usize = 64 * 1024 * 1024;

/// A mail as it was accepted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The id that the sender was given.
    pub id: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Recipients of a copy.
    pub cc: Vec<String>,
    /// Recipients that the others do not see.
    pub bcc: Vec<String>,
    /// Where answers go, if not to the sender.
    pub reply_to: Vec<String>,
    /// The sender.
    pub from: String,
    /// The subject line.
    pub subject: String,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML, as it was sent.
    pub html: Option<String>,
    /// Further headers, as the sender gave them.
    pub headers: BTreeMap<String, String>,
    /// The sender's tags.
    pub tags: BTreeMap<String, String>,
    /// When it was accepted.
    pub received_at: DateTime<Utc>,
}

impl Message {
    /// Whether it has this text, which is in lower case, in an address, the subject, the plain text or a tag.
    pub(super) fn has(&self, text: &str) -> bool {
        let addresses = [&self.to, &self.cc, &self.bcc, &self.reply_to].into_iter().flatten();
        let texts =
            [&self.from, &self.subject].into_iter().chain(&self.text).chain(addresses).chain(self.tags.values());
        texts.into_iter().any(|it| it.to_lowercase().contains(text))
    }

    fn bytes(&self) -> usize {
        let addresses = [&self.to, &self.cc, &self.bcc, &self.reply_to];
        let pairs = self.headers.iter().chain(&self.tags);
        self.from.len()
            + self.subject.len()
            + self.text.as_ref().map_or(0, String::len)
            + self.html.as_ref().map_or(0, String::len)
            + addresses.iter().flat_map(|list| list.iter()).map(String::len).sum::<usize>()
            + pairs.map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// A store of mails; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Mailbox {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Oldest first.
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    accepted: u64,
}

impl Mailbox {
    /// The newest mails, newest first, as many as asked for at most.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Vec<Arc<Message>> {
        self.lock().messages.iter().rev().take(limit).cloned().collect()
    }

    /// The mails that came after the first `number` of all that were ever accepted, as far as they are kept: oldest first, each with
    /// its own number, as many as asked for at most.
    #[must_use]
    pub fn after(&self, number: u64, limit: usize) -> Vec<(u64, Arc<Message>)> {
        let kept = self.lock();
        // Mails are numbered in the order they are kept in, and the newest is the last accepted.
        let gone = kept.accepted - u64::try_from(kept.messages.len()).unwrap_or(0);
        let skip = usize::try_from(number.saturating_sub(gone)).unwrap_or(usize::MAX);
        let numbered = (gone + 1..).zip(&kept.messages);
        numbered.skip(skip).take(limit).map(|(number, message)| (number, Arc::clone(message))).collect()
    }

    /// The mail with that id, if it is kept.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Message>> {
        self.lock().messages.iter().rev().find(|message| message.id == id).cloned()
    }

    /// How many mails were accepted, kept or not.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    /// How many mails are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.lock().messages.len()
    }

    /// Forgets the mails; the count of accepted ones goes on.
    pub fn clear(&self) {
        let mut kept = self.lock();
        kept.messages.clear();
        kept.bytes = 0;
    }

    pub(super) fn add(&self, message: Message) {
        let mut kept = self.lock();
        kept.accepted += 1;
        kept.bytes += message.bytes();
        kept.messages.push_back(Arc::new(message));
        while kept.messages.len() > MESSAGES_KEPT || (kept.bytes > BYTES_KEPT && kept.messages.len() > 1) {
            if let Some(oldest) = kept.messages.pop_front() {
                kept.bytes -= oldest.bytes();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Every change is complete before anything can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: usize, text: &str) -> Message {
        Message {
            id: id.to_string(),
            to: vec![],
            cc: vec![],
            bcc: vec![],
            reply_to: vec![],
            from: String::new(),
            subject: String::new(),
            text: Some(text.to_owned()),
            html: None,
            headers: BTreeMap::new(),
            tags: BTreeMap::new(),
            received_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_oldest_mails_go_when_there_are_too_many() {
        let mailbox = Mailbox::default();
        for id in 0..MESSAGES_KEPT + 3 {
            mailbox.add(message(id, ""));
        }
        assert_eq!(mailbox.kept(), MESSAGES_KEPT);
        assert_eq!(mailbox.accepted(), MESSAGES_KEPT as u64 + 3);
        assert!(mailbox.find("2").is_none());
        assert!(mailbox.find("3").is_some());
        assert_eq!(mailbox.newest(2)[0].id, (MESSAGES_KEPT + 2).to_string());
    }

    #[test]
    fn whoever_comes_back_gets_what_came_since_and_sees_what_was_missed() {
        let mailbox = Mailbox::default();
        let after = |number, limit| mailbox.after(number, limit).iter().map(|(nth, _)| *nth).collect::<Vec<_>>();
        for id in 1..=5 {
            mailbox.add(message(id, ""));
        }
        assert_eq!(mailbox.after(3, 9).iter().map(|(_, mail)| mail.id.as_str()).collect::<Vec<_>>(), ["4", "5"]);
        assert_eq!((after(0, 2), after(2, 2), after(5, 2), after(9, 2)), (vec![1, 2], vec![3, 4], vec![], vec![]));

        mailbox.clear();
        mailbox.add(message(6, ""));
        assert_eq!(after(3, 9), [6], "4 and 5 are gone");
    }

    #[test]
    fn large_mails_push_out_older_ones_sooner() {
        let mailbox = Mailbox::default();
        let third = "x".repeat(BYTES_KEPT / 3);
        for id in 0..5 {
            mailbox.add(message(id, &third));
        }
        assert_eq!(mailbox.kept(), 3);
        mailbox.add(message(9, &"x".repeat(BYTES_KEPT + 1)));
        assert_eq!(mailbox.kept(), 1, "the newest stays, however large");
    }
}
