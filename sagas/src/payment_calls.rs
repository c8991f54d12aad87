//! Calls to the payment provider, for many orders side by side.
//!
//! A call can take seconds, and orders that have their answer do not wait for the others. A call that is not answered soon goes on by
//! itself and records its answer, which carries the saga on. If the process dies meanwhile, the order's row in `saga_work` has the
//! call made again, under the same key.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use event_store::Metadata;
use futures_util::future::{BoxFuture, join_all};
use payments::PaymentGateway;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::order_session::OrderSession;
use crate::outcome::{Outcome, Progress, StepError};
use crate::saga::reservation_expires_at;
use crate::{Context, timers, unit_of_work};

/// How long the orders of a batch wait for each other's answers.
const BATCH_WAIT: Duration = Duration::from_millis(100);
/// How many calls can be under way at once. An order that finds no place tries again soon.
const MAX_CALLS: usize = 512;
const SOON: Duration = Duration::from_secs(1);
/// How often recording the failure of a late call is tried. The order's row may not be written yet.
const RECORD_ATTEMPTS: usize = 5;
/// The actor of answers that came late. It is not the saga, so the saga looks at the order again.
const ACTOR: &str = "payments";

/// The payment provider, and how many calls can be made to it.
pub(crate) struct PaymentCalls {
    provider: Arc<dyn PaymentGateway>,
    places: Arc<Semaphore>,
}

/// What a step does at the provider.
type Call = for<'a> fn(&'a mut OrderSession, &'a dyn PaymentGateway) -> BoxFuture<'a, Outcome>;

/// An order after its call.
type Answered = (OrderSession, Outcome);

impl PaymentCalls {
    pub(crate) fn new(provider: Arc<dyn PaymentGateway>) -> Self {
        Self { provider, places: Arc::new(Semaphore::new(MAX_CALLS)) }
    }

    async fn place(&self, until: Instant) -> Option<OwnedSemaphorePermit> {
        timeout_at(until, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()
    }
}

/// Makes a step's call for each of the orders. What was decided on them before is stored first.
pub(crate) async fn call_provider(
    context: &Arc<Context>,
    step: SagaStep,
    call: Call,
    orders: Vec<OrderSession>,
) -> Vec<(OrderSession, Outcome)> {
    let until = Instant::now() + BATCH_WAIT;
    let (mut results, mut calls) = (Vec::with_capacity(orders.len()), Vec::with_capacity(orders.len()));
    for (order, stored) in unit_of_work::store(&context.store, &context.stock, orders).await {
        match stored {
            Err(error) => results.push((order, Err(error))),
            Ok(()) => match context.payments.place(until).await {
                Some(place) => calls.push((start(context, step, call, order.clone(), place), order)),
                None => results.push((order, Ok(Progress::Running(SOON)))),
            },
        }
    }
    let answers = calls.into_iter().map(|(answer, order)| async move {
        match timeout_at(until, answer).await {
            Ok(Ok(answered)) => answered,
            // The call goes on by itself. Or it panicked, and is made again.
            Ok(Err(_)) | Err(_) => (order, Ok(Progress::Running(context.settings.payment_call_timeout))),
        }
    });
    results.extend(join_all(answers).await);
    results
}

/// Starts a call. It answers the receiver; if nobody waits for that any more, it records the answer itself.
fn start(
    context: &Arc<Context>,
    step: SagaStep,
    call: Call,
    mut order: OrderSession,
    place: OwnedSemaphorePermit,
) -> oneshot::Receiver<Answered> {
    let (answer, answered) = oneshot::channel();
    let context = Arc::clone(context);
    let expires_at = reservation_expires_at(&order.order);
    tokio::spawn(async move {
        let _place = place;
        let outcome = call(&mut order, &*context.payments.provider).await;
        let Err((order, outcome)) = answer.send((order, outcome)) else { return };
        let order_id = order.order_id.clone();
        let recorded = match outcome {
            Err(error) if order.unstored().is_empty() => {
                record_failure(&context, &order, step, &error, expires_at).await
            }
            Ok(_) | Err(_) => record_decisions(&context, order).await,
        };
        if let Err(error) = recorded {
            tracing::warn!(order_id, %error, "what the payment provider answered is not recorded; it is asked again");
        }
    });
    answered
}

/// Records on the order's row why a late call failed.
async fn record_failure(
    context: &Context,
    order: &OrderSession,
    step: SagaStep,
    error: &StepError,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), StepError> {
    for _ in 0..RECORD_ATTEMPTS {
        let known = (order.order_id.as_str(), order.version);
        let recorded = timers::record_failure(context.store.pool(), known, step, error, expires_at).await;
        if recorded.map_err(|error| StepError::new(&error))? {
            break;
        }
        tokio::time::sleep(SOON).await;
    }
    Ok(())
}

/// Records what a late call decided, on the order as it is now.
async fn record_decisions(context: &Context, late: OrderSession) -> Result<(), StepError> {
    let Some(mut order) = OrderSession::read(&context.store, &late.order_id).await? else { return Ok(()) };
    if order.order.payment.replaced != late.order.payment.replaced {
        return Err(StepError::Failed("it is about means of payment that were replaced meanwhile".to_owned()));
    }
    order.metadata = Metadata { actor: Some(ACTOR.to_owned()), ..late.metadata.clone() };
    for command in late.into_commands() {
        order.decide(command)?;
    }
    let stored = unit_of_work::store(&context.store, &context.stock, vec![order]).await;
    stored.into_iter().try_for_each(|(_, stored)| stored)
}
