//! For those who look after sagas: what they decide about an order is an event on it, which carries its saga on.

use domain::stock::Stock;
use domain::{OperatorIntervened, OrderCommand, OrderEvent, Refusal};
use event_store::{EventStore, Metadata, SingleWriter};

use crate::case::Case;
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
    let failed = |error: crate::saga::StepError| InterventionError::Failed(error.to_string());
    let case = Case::read(store, order_id).await.map_err(failed)?;
    let mut case = case.ok_or_else(|| InterventionError::NoSuchOrder(order_id.to_owned()))?;
    case.metadata = Metadata { actor: Some(format!("operator:{}", intervention.actor)), ..case.metadata };
    case.take(OrderCommand::Intervene(intervention))?;
    let events = case.unsaved().iter().map(OrderEvent::name).collect();
    for (_, saved) in shelf::save(store, stock, vec![case]).await {
        saved.map_err(failed)?;
    }
    Ok(events)
}
