//! What a mail waits for that others add to an order a moment later: its number, and the documents that followers of the log issue.

use std::time::Duration;

use domain::order::mail_triggers::OwedMail;

use super::links::lacks_document;
use crate::order_session::OrderSession;

/// How soon the order is looked at again, if it has not waited for longer.
const SOON: Duration = Duration::from_secs(1);

/// What mails wait for, and for how long at the most.
#[derive(Debug, Clone)]
pub struct AwaitedByMails {
    /// Whether orders are given numbers.
    pub numbers: bool,
    /// Whether documents are issued that mails link to.
    pub documents: bool,
    /// How long a mail waits for all of that from when it is owed. Then it goes without.
    pub at_most: Duration,
}

impl Default for AwaitedByMails {
    fn default() -> Self {
        Self { numbers: false, documents: false, at_most: Duration::from_secs(30) }
    }
}

/// How long a mail waits until the order is looked at again; `None`: it does not wait. One that was requested never does: whatever came
/// since, that is the customer's mail.
pub(super) fn wait(order: &OrderSession, mail: &OwedMail, awaited: &AwaitedByMails) -> Option<Duration> {
    if order.requests_sent > 0 || order.order.is_withdrawn(mail.template) {
        return None;
    }
    let is_whole =
        !(awaited.numbers && order.order.wants_number() || awaited.documents && lacks_document(&order.order, mail));
    if is_whole {
        return None;
    }
    // A clock that was set back must not hold a mail up.
    let waited = (order.now - order.mail_owed_at).to_std().unwrap_or(awaited.at_most);
    let left = awaited.at_most.saturating_sub(waited);
    (!left.is_zero()).then(|| left.min(waited.max(SOON)))
}
