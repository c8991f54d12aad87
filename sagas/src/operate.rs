//! For those who look after sagas: what they decide about an order is an event on it, which carries its saga on.

use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, OrderError, OrderEvent};
use domain::stock::Stock;
use event_store::{EventStore, Metadata, StreamLocks};
use uuid::Uuid;

use crate::case::Case;
use crate::saga::StepError;
use crate::{notify_customer, shelf};

/// Why nothing was decided.
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

/// How often it is decided anew because the order has moved on.
const ATTEMPTS: usize = 5;

/// Has an operator's decision recorded. It is carried out by the sagas, wherever they run. Says which events came of it: none if it
/// was so already.
pub async fn intervene(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    order_id: &str,
    mut intervention: OperatorIntervened,
) -> Result<Vec<&'static str>, InterventionError> {
    let failed = |error: StepError| InterventionError::Failed(error.to_string());
    for attempt in 0..ATTEMPTS {
        let case = Case::read(store, order_id).await.map_err(failed)?;
        let mut case = case.ok_or_else(|| InterventionError::NoSuchOrder(order_id.to_owned()))?;
        let skipped = skipped_mail(&case, &intervention);
        if attempt > 0 && skipped != intervention.notification_id {
            break;
        }
        intervention.notification_id = skipped;
        case.metadata = Metadata { actor: Some(format!("operator:{}", intervention.actor)), ..case.metadata };
        let version = case.version;
        match case.take_for_now(OrderCommand::Intervene(intervention.clone())) {
            Ok(()) => {}
            Err(_) if attempt > 0 => break,
            Err(refusal) => return Err(refusal.into()),
        }
        let events: Vec<_> = case.unsaved().iter().map(OrderEvent::name).collect();
        if events.is_empty() {
            return Ok(events);
        }
        for (_, saved) in shelf::save(store, stock, vec![case]).await {
            saved.map_err(failed)?;
        }
        // After a conflict it was forgotten.
        let stored = store.read_stream::<Order>(order_id).await.map_err(|error| failed(StepError::new(&error)))?;
        let decision = OrderEvent::OperatorIntervened(intervention.clone());
        let mut since = stored.iter().filter(|event| event.version > version);
        if since.any(|event| event.decode::<Order>().is_ok_and(|event| event == decision)) {
            return Ok(events);
        }
    }
    Err(InterventionError::Stale(intervention.step))
}

/// The mail that is to be skipped, by the name under which it was asked for.
fn skipped_mail(case: &Case, intervention: &OperatorIntervened) -> Option<Uuid> {
    let is_skipped = intervention.step == SagaStep::NotifyCustomer && intervention.decision == OperatorDecision::Skip;
    if is_skipped { notify_customer::owed_id(case) } else { None }
}
