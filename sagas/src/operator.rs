//! The decisions of operators. Each is an event on the order, which carries its saga on.

use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, OrderError, OrderEvent};
use domain::stock::Stock;
use event_store::{EventStore, Metadata, StreamLocks};
use uuid::Uuid;

use crate::order_session::OrderSession;
use crate::saga::StepError;
use crate::unit_of_work;

/// Why a decision was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum InterventionError {
    /// There is no such order.
    #[error("there is no order {0}")]
    NoSuchOrder(String),
    /// The order does not allow it.
    #[error(transparent)]
    Refused(#[from] OrderError),
    /// The order moved on while it was being decided.
    #[error("the order has moved on, and does not wait for {} any more", .0.name())]
    Stale(SagaStep),
    /// It could not be read or stored.
    #[error("{0}")]
    Failed(String),
}

/// How often the decision is made again because the order has moved on.
const ATTEMPTS: usize = 5;

/// Records an operator's decision. The sagas carry it out, wherever they run. Returns the names of the recorded events: none if nothing
/// had to change.
pub async fn intervene(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    order_id: &str,
    mut intervention: OperatorIntervened,
) -> Result<Vec<&'static str>, InterventionError> {
    let failed = |error: StepError| InterventionError::Failed(error.to_string());
    for attempt in 0..ATTEMPTS {
        let order = OrderSession::read(store, order_id).await.map_err(failed)?;
        let mut order = order.ok_or_else(|| InterventionError::NoSuchOrder(order_id.to_owned()))?;
        let skipped = skipped_mail(&order, &intervention);
        if attempt > 0 && skipped != intervention.notification_id {
            break;
        }
        intervention.notification_id = skipped;
        order.metadata = Metadata { actor: Some(format!("operator:{}", intervention.actor)), ..order.metadata };
        let version = order.version;
        match order.decide_once(OrderCommand::Intervene(intervention.clone())) {
            Ok(()) => {}
            Err(_) if attempt > 0 => break,
            Err(refusal) => return Err(refusal.into()),
        }
        let events: Vec<_> = order.unstored().iter().map(OrderEvent::name).collect();
        if events.is_empty() {
            return Ok(events);
        }
        for (_, stored) in unit_of_work::store(store, stock, vec![order]).await {
            stored.map_err(failed)?;
        }
        // After a conflict the decision was dropped.
        let stored = store.read_stream::<Order>(order_id).await.map_err(|error| failed(StepError::new(&error)))?;
        let decision = OrderEvent::OperatorIntervened(intervention.clone());
        let mut since = stored.iter().filter(|event| event.version > version);
        if since.any(|event| event.decode::<Order>().is_ok_and(|event| event == decision)) {
            return Ok(events);
        }
    }
    Err(InterventionError::Stale(intervention.step))
}

/// The id of the mail that the decision skips.
fn skipped_mail(order: &OrderSession, intervention: &OperatorIntervened) -> Option<Uuid> {
    let is_skipped = intervention.step == SagaStep::NotifyCustomer && intervention.decision == OperatorDecision::Skip;
    let owed = || order.mail_triggers.owed_mail(&order.order).ok();
    if is_skipped { owed().map(|mail| mail.notification_id) } else { None }
}
