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
    Command, ConflictRetryPolicy, Decision, EventStore, HandleError, Handled, IdempotencyKey, ReadError, StoredEvent,
    StreamLocks, StreamVersion,
};
use problem::{Precondition, Problem};
use uuid::Uuid;

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
    /// The order is at another version than those that were looked at.
    #[error("the order is at another version")]
    OtherVersion(Problem),
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
    let decided = intervene_once(store, stock, (order_id, at), intervention, named, None).await;
    decided.map(|(_, recorded)| recorded).map_err(|error| not_recorded(error, step))
}

/// The same for a decision that may be asked for twice, because whoever asks may have crashed before it noted the answer. `cause` is
/// what asks: of its decisions about a step of an order the first alone is recorded. Returns whether it is, now or before; `false`:
/// nothing had to change.
pub async fn intervene_for(
    cause: Uuid,
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    order_id: &str,
    intervention: OperatorIntervened,
) -> Result<bool, InterventionError> {
    let (step, at) = (intervention.step, Precondition::default());
    let command = Intervene::new(store, stock, (order_id, at), intervention, None);
    let mut command = Intervene { cause: Some(cause.to_string()), ..command };
    let handled = store.handle(&mut command, None, ConflictRetryPolicy::default()).await;
    handled.map_err(|error| not_recorded(error, step))?;
    Ok(!command.recorded.is_empty())
}

fn not_recorded(error: HandleError<InterventionError>, step: SagaStep) -> InterventionError {
    match error {
        HandleError::Refused(error) | HandleError::Undecidable(error) => error,
        HandleError::Contended { .. } => InterventionError::Stale(step),
        error @ (HandleError::KeyReused | HandleError::Append(_) | HandleError::Read(_) | HandleError::Encode(_)) => {
            InterventionError::Failed(StepError::new(&error).to_string())
        }
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
    let mut command = Intervene::new(store, stock, (order_id, at.clone()), intervention, named);
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
    /// What asks for the decision, if it asks once.
    cause: Option<String>,
    /// What the first attempt was about. The order has changed since, and no other attempt may be about anything else.
    target: Option<DecisionTarget>,
    /// The names of the events.
    recorded: Vec<&'static str>,
}

impl<'a> Intervene<'a> {
    fn new(
        store: &'a EventStore,
        stock: &'a StreamLocks<Stock>,
        (order_id, at): (&'a str, Precondition),
        intervention: OperatorIntervened,
        named: Option<ManualRefundName>,
    ) -> Self {
        Self { store, stock, order_id, at, intervention, named, cause: None, target: None, recorded: Vec::new() }
    }

    /// The event that was recorded for the same cause about the same step.
    fn recorded_before(&self, events: &[StoredEvent]) -> Result<Option<&'static str>, StepError> {
        let Some(cause) = &self.cause else { return Ok(None) };
        for event in events.iter().filter(|event| event.metadata().causation_id.as_ref() == Some(cause)) {
            let event = event.decode::<Order>().map_err(|error| StepError::new(&error))?;
            if matches!(&event, OrderEvent::OperatorIntervened(decided) if decided.step == self.intervention.step) {
                return Ok(Some(event.name()));
            }
        }
        Ok(None)
    }
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
        let events = self.store.read_stream::<Order>(self.order_id).await.map_err(ReadError::from)?;
        if let Some(recorded) = self.recorded_before(&events).map_err(failed)? {
            self.recorded = vec![recorded];
            let last = events.last().map(|last| StreamVersion { version: last.version, position: last.position });
            return Ok(Decision::Unchanged(last.unwrap_or_default()));
        }
        let order = OrderSession::open(&events).map_err(|error| failed(StepError::new(&error)))?;
        let mut order = order.ok_or_else(no_such_order)?;
        if let Err(problem) = self.at.check(order.version) {
            return Err(HandleError::Refused(InterventionError::OtherVersion(problem)));
        }
        let target = DecisionTarget::of(&order, &self.intervention);
        let is_retry = self.target.is_some();
        if self.target.as_ref().is_some_and(|before| *before != target) {
            return Err(stale);
        }
        self.intervention.notification_id = target.mail();
        let named = target.check_name(&order.order, &self.intervention, self.named.as_ref());
        self.target = Some(target);
        order.metadata.actor = Some(format!("operator:{}", self.intervention.actor));
        if self.cause.is_some() {
            order.metadata.causation_id.clone_from(&self.cause);
        }
        match order.decide_once(OrderCommand::Intervene(self.intervention.clone())) {
            Ok(()) => {}
            Err(_) if is_retry => return Err(stale),
            Err(refusal) => return Err(HandleError::Refused(refusal.into())),
        }
        named.map_err(|refusal| HandleError::Refused(refusal.into()))?;
        self.recorded = order.unstored().iter().map(OrderEvent::name).collect();
        if self.recorded.is_empty() {
            return Ok(Decision::Unchanged(StreamVersion { version: order.version, position: order.position }));
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
