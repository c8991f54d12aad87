//! Calls to the payment provider, for many orders side by side.
//!
//! A call can take seconds, and orders that have their answer do not wait for the others. A call that is not answered soon goes on by
//! itself and records its answer, which carries the saga on. If the process dies meanwhile, the order's row in `saga_work` has the
//! call made again, under the same key.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::order::OrderCommand;
use domain::order::saga::SagaStep;
use event_store::Metadata;
use futures_util::future::{BoxFuture, join_all};
use payments::PaymentGateway;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::order_session::OrderSession;
use crate::outcome::{StepError, StepOutcome, StepProgress};
use crate::provider_call::{ProviderCallPlan, ProviderStepOutcome};
use crate::saga::reservation_expires_at;
use crate::{SagaContext, timers, unit_of_work};

/// How long the orders of a batch wait for each other's answers.
const BATCH_WAIT: Duration = Duration::from_millis(100);
/// How many calls can be under way at once. An order that finds no place tries again soon.
const MAX_CALLS: usize = 512;
/// How many late answers are recorded at once.
const MAX_RECORDERS: usize = 16;
const SOON: Duration = Duration::from_secs(1);
/// How often recording the failure of a late call is tried. The order's row may not be written yet.
const RECORD_ATTEMPTS: usize = 5;
/// The actor of answers that came late. It is not the saga, so the saga looks at the order again.
const ACTOR: &str = "payments";

/// The payment provider, and how many calls can be made to it.
pub(crate) struct PaymentCalls {
    provider: Arc<dyn PaymentGateway>,
    places: Arc<Semaphore>,
    /// For late answers that are being recorded: each has its order in memory.
    recorders: Semaphore,
}

impl PaymentCalls {
    pub(crate) fn new(provider: Arc<dyn PaymentGateway>) -> Self {
        Self { provider, places: Arc::new(Semaphore::new(MAX_CALLS)), recorders: Semaphore::new(MAX_RECORDERS) }
    }

    async fn place(&self, until: Instant) -> Option<OwnedSemaphorePermit> {
        timeout_at(until, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()
    }
}

/// Makes a step's call for each of the orders. What was decided on them before is stored first.
pub(crate) async fn call_provider(
    context: &Arc<SagaContext>,
    step: SagaStep,
    prepare: fn(&OrderSession, Arc<dyn PaymentGateway>) -> ProviderCallPlan,
    orders: Vec<OrderSession>,
) -> Vec<(OrderSession, StepOutcome)> {
    let until = Instant::now() + BATCH_WAIT;
    let (mut results, mut calls) = (Vec::with_capacity(orders.len()), Vec::with_capacity(orders.len()));
    for (order, stored) in unit_of_work::store(&context.store, &context.stock, orders).await {
        if let Err(error) = stored {
            results.push((order, Err(error)));
            continue;
        }
        match prepare(&order, Arc::clone(&context.payments.provider)) {
            ProviderCallPlan::NotNeeded(answer) => results.push(decide(order, *answer)),
            ProviderCallPlan::Needed(call) => match context.payments.place(until).await {
                Some(place) => calls.push((start(context, step, call, &order, place), order)),
                None => results.push((order, Ok(StepProgress::Running(SOON)))),
            },
        }
    }
    let answers = calls.into_iter().map(|(mut answer, order)| async move {
        let in_time = timeout_at(until, &mut answer).await.ok().and_then(Result::ok);
        // From here on the call records its answer by itself, unless it has just given it.
        answer.close();
        match in_time.or_else(|| answer.try_recv().ok()) {
            Some(answer) => decide(order, answer),
            // It goes on by itself. Or it panicked, and is made again.
            None => (order, Ok(StepProgress::Running(context.settings.payment_call_timeout))),
        }
    });
    results.extend(join_all(answers).await);
    results
}

fn decide(mut order: OrderSession, answer: ProviderStepOutcome) -> (OrderSession, StepOutcome) {
    match answer.decision.map_or(Ok(()), |decision| order.decide(decision)) {
        Ok(()) => (order, answer.outcome),
        Err(refused) => (order, Err(refused.into())),
    }
}

/// Starts a call. It answers the receiver; if nobody waits for that any more, it records the answer itself.
fn start(
    context: &Arc<SagaContext>,
    step: SagaStep,
    call: BoxFuture<'static, ProviderStepOutcome>,
    order: &OrderSession,
    place: OwnedSemaphorePermit,
) -> oneshot::Receiver<ProviderStepOutcome> {
    let (answer, answered) = oneshot::channel();
    let (context, called) = (Arc::clone(context), CalledOrder::of(order));
    tokio::spawn(async move {
        let Err(late) = answer.send(call.await) else { return };
        let recorded = match (late.decision, late.outcome) {
            (Some(decision), _) => called.record_decision(&context, decision).await,
            (None, Err(error)) => {
                // Others can be called for while this waits for the order's row.
                drop(place);
                called.record_failure(&context, step, &error).await
            }
            (None, Ok(_)) => Ok(()),
        };
        if let Err(error) = recorded {
            let order_id = called.order_id;
            tracing::warn!(order_id, %error, "what the payment provider answered is not recorded; it is asked again");
        }
    });
    answered
}

/// What a late answer needs of the order that it is about.
struct CalledOrder {
    order_id: String,
    version: i64,
    /// How many means of payment had been replaced.
    replaced: u32,
    reservation_expires_at: Option<DateTime<Utc>>,
    metadata: Metadata,
}

impl CalledOrder {
    fn of(order: &OrderSession) -> Self {
        Self {
            order_id: order.order_id.clone(),
            version: order.version,
            replaced: order.order.replaced_means(),
            reservation_expires_at: reservation_expires_at(&order.order),
            metadata: Metadata { actor: Some(ACTOR.to_owned()), ..order.metadata.clone() },
        }
    }

    /// Records on the order's row why the call failed.
    async fn record_failure(&self, context: &SagaContext, step: SagaStep, error: &StepError) -> Result<(), StepError> {
        let known = (self.order_id.as_str(), self.version);
        for _ in 0..RECORD_ATTEMPTS {
            let pool = context.store.pool();
            let recorded = timers::record_failure(pool, known, step, error, self.reservation_expires_at).await;
            if recorded.map_err(|error| StepError::new(&error))? {
                break;
            }
            tokio::time::sleep(SOON).await;
        }
        Ok(())
    }

    /// Decides on the order as it is now.
    async fn record_decision(&self, context: &SagaContext, decision: OrderCommand) -> Result<(), StepError> {
        // It is never closed.
        let _recorder = context.payments.recorders.acquire().await.ok();
        let Some(mut order) = OrderSession::read(&context.store, &self.order_id).await? else { return Ok(()) };
        if order.order.replaced_means() != self.replaced {
            return Err(StepError::Failed("it is about means of payment that were replaced meanwhile".to_owned()));
        }
        order.metadata = self.metadata.clone();
        order.decide(decision)?;
        let stored = unit_of_work::store(&context.store, &context.stock, vec![order]).await;
        stored.into_iter().try_for_each(|(_, stored)| stored)
    }
}

#[cfg(test)]
mod tests;
