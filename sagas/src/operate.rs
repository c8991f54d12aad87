//! For those who look after sagas: what they decide about an order is an event on it, which carries its saga on.

use domain::stock::Stock;
use domain::{OperatorIntervened, Order, OrderCommand, OrderEvent, Refusal, SagaStep};
use event_store::{EventStore, Metadata, SingleWriter};

use crate::case::Case;
use crate::saga::StepError;
use crate::shelf;

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum InterventionError {
    /// There is no such order.
    #[error("there is no order {0}")]
    NoSuchOrder(String),
    /// The order does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The order moved on while it was being decided.
    #[error("the order has moved on, and does not wait for {} any more", .0.name())]
    Overtaken(SagaStep),
    /// It could not be read or stored.
    #[error("{0}")]
    Failed(String),
}

/// Has an operator's decision recorded. It is carried out by the sagas, wherever they run. Says which events came of it: none if it
/// was so already.
pub async fn intervene(
    store: &EventStore,
    stock: &SingleWriter<Stock>,
    order_id: &str,
    intervention: OperatorIntervened,
) -> Result<Vec<&'static str>, InterventionError> {
    let failed = |error: StepError| InterventionError::Failed(error.to_string());
    let case = Case::read(store, order_id).await.map_err(failed)?;
    let mut case = case.ok_or_else(|| InterventionError::NoSuchOrder(order_id.to_owned()))?;
    case.metadata = Metadata { actor: Some(format!("operator:{}", intervention.actor)), ..case.metadata };
    let version = case.version;
    case.take(OrderCommand::Intervene(intervention.clone()))?;
    let events: Vec<_> = case.unsaved().iter().map(OrderEvent::name).collect();
    if events.is_empty() {
        return Ok(events);
    }
    for (_, saved) in shelf::save(store, stock, vec![case]).await {
        saved.map_err(failed)?;
    }
    // After a conflict it was decided once more, and may have been refused then.
    let step = intervention.step;
    let stored = store.read_stream::<Order>(order_id).await.map_err(|error| failed(StepError::new(&error)))?;
    let decision = OrderEvent::OperatorIntervened(intervention);
    let mut since = stored.iter().filter(|event| event.version > version);
    let is_there = since.any(|event| event.decode::<Order>().is_ok_and(|event| event == decision));
    if is_there { Ok(events) } else { Err(InterventionError::Overtaken(step)) }
}
