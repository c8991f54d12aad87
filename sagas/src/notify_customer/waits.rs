//! What a mail waits for that others add to an order a moment later: its number, and the documents that followers of the log issue.

use std::time::Duration;

use cqrs_es::Aggregate;
use domain::order::Order;
use domain::order::mail_triggers::OwedMail;
use error_chain::error_chain;
use event_store::operations::{StreamPosition, passed};

use super::links::lacks_document;
use crate::SagaContext;
use crate::order_session::OrderSession;

/// How soon the order is looked at again, if it has not waited for longer.
const SOON: Duration = Duration::from_secs(1);

/// What mails wait for, and for how long at the most.
#[derive(Debug, Clone)]
pub struct AwaitedByMails {
    /// The subscription that gives orders their numbers, if there is one.
    pub numbers: Option<&'static str>,
    /// Whether documents are issued that mails link to.
    pub documents: bool,
    /// How long a mail waits for all of that from when it is owed. Then it goes without.
    pub at_most: Duration,
}

impl Default for AwaitedByMails {
    fn default() -> Self {
        Self { numbers: None, documents: false, at_most: Duration::from_secs(30) }
    }
}

/// How long a mail waits until the order is looked at again; `None`: it does not wait. One that was requested never does: whatever came
/// since, that is the customer's mail.
pub(super) fn wait(order: &OrderSession, mail: &OwedMail, awaited: &AwaitedByMails) -> Option<Duration> {
    if order.requests_sent > 0 || order.order.is_withdrawn(mail.template) {
        return None;
    }
    let lacks_number = awaited.numbers.is_some() && order.order.wants_number() && !order.gets_no_number;
    if !(lacks_number || (awaited.documents && lacks_document(&order.order, mail))) {
        return None;
    }
    let since_owed = order.now - order.mail_owed_at;
    let waited = match (since_owed.to_std(), (-since_owed).to_std()) {
        (Ok(waited), _) => waited,
        // What made it owed was stored after this look at the order began.
        (_, Ok(ahead)) if ahead < awaited.at_most => Duration::ZERO,
        // A clock that was set back must not hold a mail up.
        _ => awaited.at_most,
    };
    let left = awaited.at_most.saturating_sub(waited);
    (!left.is_zero()).then(|| left.min(waited.max(SOON)))
}

/// Marks those of the orders that get no number: they were there before numbers were given. If it can't be found out, their mails wait.
pub(crate) async fn mark_never_numbered(context: &SagaContext, orders: impl Iterator<Item = &mut OrderSession>) {
    let Some(subscription) = context.settings.awaited_by_mails.numbers else { return };
    let waits = |order: &&mut OrderSession| order.requests_sent == 0 && order.order.wants_number();
    let orders: Vec<&mut OrderSession> = orders.filter(waits).collect();
    if orders.is_empty() {
        return;
    }
    let positions: Vec<StreamPosition> = orders
        .iter()
        .map(|it| StreamPosition {
            stream_id: it.order_id.clone(),
            version: it.version,
            position: it.created_at_position,
        })
        .collect();
    match passed(context.store.pool(), subscription, Order::TYPE, &positions).await {
        Ok(passed) => {
            for order in orders {
                order.gets_no_number = passed.contains(&order.order_id);
            }
        }
        Err(error) => {
            tracing::warn!(
                error = error_chain(&error),
                "whether orders will have numbers is not known; their mails wait"
            );
        }
    }
}
