//! The decisions of operators. Each is an event on the order, which carries its saga on.

mod target;
#[cfg(test)]
mod tests;

use domain::order::event::OperatorIntervened;
use domain::order::saga::SagaStep;
use domain::order::units::implies_stock_commands;
use domain::order::{Order, OrderCommand, OrderError, OrderEvent};
use domain::stock::Stock;
use event_store::{
    Command, ConflictRetryPolicy, Decision, EventStore, HandleError, Handled, IdempotencyKey, Metadata, StreamLocks,
    StreamVersion,
};
use problem::Precondition;

use crate::order_session::OrderSession;
use crate::outcome::StepError;
use crate::stock_ledger::StockLedger;

use target::DecisionTarget;
pub use target::ManualRefundName;

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

/// Records an operator's decision. The sagas carry it out, wherever they run. Returns the names of the recorded events: none if nothing
/// had to change.
///
/// `named` says which refund the operator saw. It is refused if the step is at another one. A decision about money that a person gives
/// back has to name it.
pub async fn intervene(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    order_id: &str,
    intervention: OperatorIntervened,
    named: Option<ManualRefundName>,
) -> Result<Vec<&'static str>, InterventionError> {
    let step = intervention.step;
    let at = &Precondition::default();
    match intervene_once(store, stock, (order_id, at), intervention, named, None).await {
        Ok((_, recorded)) => Ok(recorded),
        Err(HandleError::Refused(error) | HandleError::Undecidable(error)) => Err(error),
        Err(HandleError::Contended { .. }) => Err(InterventionError::Stale(step)),
        Err(error) => Err(InterventionError::Failed(StepError::new(&error).to_string())),
    }
}

/// The same at the versions of the order that `at` allows, and once under an idempotency key.
pub async fn intervene_once(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    (order_id, at): (&str, &Precondition),
    intervention: OperatorIntervened,
    named: Option<ManualRefundName>,
    key: Option<&IdempotencyKey>,
) -> Result<(Handled, Vec<&'static str>), HandleError<InterventionError>> {
    let at = at.clone();
    let mut command = Intervene { store, stock, order_id, at, intervention, named, target: None, recorded: Vec::new() };
    let handled = store.handle(&mut command, key, ConflictRetryPolicy::default()).await?;
    Ok((handled, command.recorded))
}

/// An operator's decision, as a command on the order.
struct Intervene<'a> {
    store: &'a EventStore,
    stock: &'a StreamLocks<Stock>,
    order_id: &'a str,
    /// The versions that the operator looked at.
    at: Precondition,
    intervention: OperatorIntervened,
    /// The refund that the operator named.
    named: Option<ManualRefundName>,
    /// What the first attempt was about. The order has changed since, and no other attempt may be about anything else.
    target: Option<DecisionTarget>,
    /// The names of the events.
    recorded: Vec<&'static str>,
}

impl Command for Intervene<'_> {
    type Refusal = InterventionError;

    fn stream(&self) -> (&'static str, &str) {
        (<Order as cqrs_es::Aggregate>::TYPE, self.order_id)
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<InterventionError>> {
        let failed = |error: StepError| HandleError::Undecidable(InterventionError::Failed(error.to_string()));
        let stale = HandleError::Refused(InterventionError::Stale(self.intervention.step));
        let no_such_order = || HandleError::Undecidable(InterventionError::NoSuchOrder(self.order_id.to_owned()));
        let order = OrderSession::read(self.store, self.order_id).await.map_err(failed)?;
        let mut order = order.ok_or_else(no_such_order)?;
        if self.at.check(order.version).is_err() {
            return Err(stale);
        }
        let target = DecisionTarget::of(&order, &self.intervention);
        let is_retry = self.target.is_some();
        if self.target.as_ref().is_some_and(|before| *before != target) {
            return Err(stale);
        }
        self.intervention.notification_id = target.mail();
        let named = target.check_name(&order.order, &self.intervention, self.named.as_ref());
        self.target = Some(target);
        order.metadata = Metadata { actor: Some(format!("operator:{}", self.intervention.actor)), ..order.metadata };
        match order.decide_once(OrderCommand::Intervene(self.intervention.clone())) {
            Ok(()) => {}
            Err(_) if is_retry => return Err(stale),
            Err(refusal) => return Err(HandleError::Refused(refusal.into())),
        }
        named.map_err(|refusal| HandleError::Refused(refusal.into()))?;
        self.recorded = order.unstored().iter().map(OrderEvent::name).collect();
        if self.recorded.is_empty() {
            return Ok(Decision::Unchanged(StreamVersion::default()));
        }
        if !order.unstored().iter().any(implies_stock_commands) {
            let (append, _) = order.append().map_err(failed)?;
            return Ok(Decision::Append(vec![append].into()));
        }
        let mut ledger = StockLedger::lock(self.stock, std::slice::from_ref(&order)).await?;
        let (append, _) = ledger.add(&order).map_err(failed)?;
        Ok(Decision::Append(ledger.into_append(vec![append])))
    }
}
