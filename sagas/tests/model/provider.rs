//! The payment provider of the model. Captures and refunds bear a mark in its books, for ever. Keys it forgets, but not while a call
//! is under way; until then it repeats what it answered, failures too. How it is asked is what `payments::stripe` does.

use std::collections::BTreeMap;

/// A payment of the provider, under the key that it was authorized with: see [`account_key`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) authorized: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    /// It was let go of, or said no to: it holds nothing more, ever.
    pub(crate) closed: bool,
    /// The captures and refunds that were done, and how often.
    pub(crate) done: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Provider {
    pub(crate) accounts: BTreeMap<u32, Account>,
    /// What was answered to the attempts of captures and refunds.
    pub(crate) answers: BTreeMap<(String, u32), Answer>,
}

/// The key of a payment: which payment of the order it is, and how many means of payment were tried for it before.
pub(crate) fn account_key(payment_number: u32, replaced: u32) -> u32 {
    (payment_number - 1) * 10 + replaced
}

/// The payment of the order that a key is of.
pub(crate) fn payment_of(key: u32) -> u32 {
    key / 10 + 1
}

/// What the provider marks a payment's share of a shipment or refund with.
pub(crate) fn mark(id: &str, payment_number: u32) -> String {
    if payment_number == 1 { id.to_owned() } else { format!("{id}#{payment_number}") }
}

/// The shipment or refund that a mark is of.
pub(crate) fn marked(mark: &str) -> &str {
    mark.split('#').next().unwrap_or(mark)
}

/// What the provider repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Done,
    /// No, for good.
    Refused,
    /// It broke down at it, and did nothing.
    Broke,
}

/// What there is to ask it for a movement.
pub(crate) enum Asking {
    /// Nothing: its books have it.
    Found,
    /// Nothing: it said no, and nobody wants another attempt.
    Refused,
    /// This attempt.
    Attempt(u32),
}

/// What it can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Authorize { key: u32, amount_minor: i64 },
    Void { key: u32 },
    Capture { key: u32, done: String, attempt: u32, amount_minor: i64, last: bool },
    Refund { key: u32, done: String, attempt: u32, amount_minor: i64 },
}

/// It said no.
#[derive(Debug)]
pub(crate) struct Refused;

impl Account {
    pub(crate) fn is_held(&self) -> bool {
        !self.closed && self.captured < self.authorized
    }
}

impl Provider {
    /// Does what is asked, once for each key.
    pub(crate) fn take(&mut self, call: &Call) -> Result<(), Refused> {
        match call {
            Call::Authorize { key, amount_minor } => {
                let account = self.accounts.entry(*key).or_default();
                if account.closed {
                    return Err(Refused);
                }
                account.authorized = *amount_minor;
            }
            Call::Void { key } => self.accounts.entry(*key).or_default().closed = true,
            Call::Capture { key, done, attempt, amount_minor, last } => {
                return self.attempt(done, *attempt, |books| {
                    let account = books.entry(*key).or_default();
                    if account.closed || account.captured + amount_minor > account.authorized {
                        return Answer::Refused;
                    }
                    account.captured += amount_minor;
                    account.closed = *last;
                    *account.done.entry(done.clone()).or_default() += 1;
                    Answer::Done
                });
            }
            Call::Refund { key, done, attempt, amount_minor } => {
                return self.attempt(done, *attempt, |books| {
                    let account = books.entry(*key).or_default();
                    if account.refunded + amount_minor > account.captured {
                        return Answer::Refused;
                    }
                    account.refunded += amount_minor;
                    *account.done.entry(done.clone()).or_default() += 1;
                    Answer::Done
                });
            }
        }
        Ok(())
    }

    /// Says no to an authorization that it does not know yet, for good.
    pub(crate) fn decline(&mut self, key: u32) -> bool {
        let is_new = !self.accounts.contains_key(&key);
        if is_new {
            self.accounts.entry(key).or_default().closed = true;
        }
        is_new
    }

    /// Looks a movement up, and finds the attempt that is next: the first of which nothing is known, behind those that came to
    /// nothing.
    pub(crate) fn asking(&self, done: &str, mut retries: u32) -> Asking {
        if self.has(done) {
            return Asking::Found;
        }
        for attempt in 0.. {
            match self.answers.get(&(done.to_owned(), attempt)) {
                None => return Asking::Attempt(attempt),
                Some(Answer::Done) => return Asking::Found,
                Some(Answer::Refused) if retries == 0 => return Asking::Refused,
                Some(Answer::Refused) => retries -= 1,
                Some(Answer::Broke) => {}
            }
        }
        Asking::Refused
    }

    pub(crate) fn has(&self, done: &str) -> bool {
        self.accounts.values().any(|account| account.done.contains_key(done))
    }

    /// Once under its key, as long as that is known.
    fn attempt(
        &mut self,
        done: &str,
        attempt: u32,
        act: impl FnOnce(&mut BTreeMap<u32, Account>) -> Answer,
    ) -> Result<(), Refused> {
        let key = (done.to_owned(), attempt);
        let answer = match self.answers.get(&key) {
            Some(answer) => *answer,
            None => act(&mut self.accounts),
        };
        self.answers.insert(key, answer);
        if answer == Answer::Done { Ok(()) } else { Err(Refused) }
    }

    /// Answers an attempt without doing anything.
    pub(crate) fn fail(&mut self, call: &Call, answer: Answer) {
        if let Call::Capture { done, attempt, .. } | Call::Refund { done, attempt, .. } = call {
            self.answers.entry((done.clone(), *attempt)).or_insert(answer);
        }
    }
}
