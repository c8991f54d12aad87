//! The payment provider of the model: it keeps its word on keys, as the port says.

use std::collections::{BTreeMap, BTreeSet};

/// A payment, under the key that it was authorized with: how many means of payment were tried before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) authorized: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    /// It was let go of, or said no to: it holds nothing more, ever.
    pub(crate) closed: bool,
    /// The keys of captures and refunds that were done.
    pub(crate) done: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Provider {
    pub(crate) accounts: BTreeMap<u32, Account>,
}

/// What it can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Authorize { key: u32, amount_minor: i64 },
    Void { key: u32 },
    Capture { key: u32, done: String, amount_minor: i64, last: bool },
    Refund { key: u32, done: String, amount_minor: i64 },
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
            Call::Capture { key, done, amount_minor, last } => {
                let account = self.accounts.entry(*key).or_default();
                if account.done.contains(done) {
                    return Ok(());
                }
                if account.closed || account.captured + amount_minor > account.authorized {
                    return Err(Refused);
                }
                account.captured += amount_minor;
                account.closed = *last;
                account.done.insert(done.clone());
            }
            Call::Refund { key, done, amount_minor } => {
                let account = self.accounts.entry(*key).or_default();
                if account.done.contains(done) {
                    return Ok(());
                }
                if account.refunded + amount_minor > account.captured {
                    return Err(Refused);
                }
                account.refunded += amount_minor;
                account.done.insert(done.clone());
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
}
