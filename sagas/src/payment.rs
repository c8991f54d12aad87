//! Asking the payment provider, for many orders at once.
//!
//! A provider can take seconds, and orders that it has answered for do not wait for the others: a call that is not answered soon
//! goes on by itself and records what comes of it, which carries the saga on. Should the process die over it, the order's row
//! in `saga_work` has it asked again, under the same key.

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

use crate::case::Case;
use crate::saga::{Done, Outcome, StepError, expires_at};
use crate::{Context, shelf, work};

/// How long the orders of a batch wait for each other.
const TOGETHER: Duration = Duration::from_millis(100);
/// How many calls are under way at once. Whose turn has not come asks again soon.
const CALLS: usize = 512;
const SOON: Duration = Duration::from_secs(1);
/// How often what came of a late call is tried to be noted: the row may only be on its way.
const NOTES: usize = 5;
/// Who records an answer that came by itself: not the saga, which therefore looks at the order again.
const ACTOR: &str = "payments";

/// The payment provider, and how many ask it.
pub(crate) struct Payments {
    gateway: Arc<dyn PaymentGateway>,
    calls: Arc<Semaphore>,
}

/// What a call came to: what is to be recorded of it, and how the step goes on.
pub(crate) struct Answer {
    pub(crate) commands: Vec<OrderCommand>,
    pub(crate) outcome: Outcome,
}

/// What there is to ask for an order.
pub(crate) enum Ask {
    /// Nothing: this is known without.
    Nothing(Answer),
    /// This.
    Provider(BoxFuture<'static, Answer>),
}

impl Payments {
    pub(crate) fn new(gateway: Arc<dyn PaymentGateway>) -> Self {
        Self { gateway, calls: Arc::new(Semaphore::new(CALLS)) }
    }

    /// `None`: none has come by then.
    async fn lock(&self, until: Instant) -> Option<OwnedSemaphorePermit> {
        timeout_at(until, Arc::clone(&self.calls).acquire_owned()).await.ok()?.ok()
    }

    pub(crate) fn gateway(&self) -> Arc<dyn PaymentGateway> {
        Arc::clone(&self.gateway)
    }
}

impl Answer {
    /// The order moves on by this.
    pub(crate) fn moved(command: OrderCommand) -> Self {
        Self { commands: vec![command], outcome: Ok(Done::Moved) }
    }

    /// Nothing came of it.
    pub(crate) fn failed(error: StepError) -> Self {
        Self { commands: vec![], outcome: Err(error) }
    }
}

/// Asks for each of the orders what there is to ask. What was decided before is stored first.
pub(crate) async fn ask(
    context: &Arc<Context>,
    step: SagaStep,
    cases: Vec<Case>,
    what: impl Fn(&Case) -> Ask + Send,
) -> Vec<(Case, Outcome)> {
    let until = Instant::now() + TOGETHER;
    let mut results = Vec::with_capacity(cases.len());
    let mut asked = Vec::with_capacity(cases.len());
    for (case, saved) in shelf::save(&context.store, &context.stock, cases).await {
        match saved {
            Err(error) => results.push((case, Err(error))),
            Ok(()) => match what(&case) {
                Ask::Nothing(answer) => results.push(taken(case, answer)),
                Ask::Provider(call) => match context.payments.lock(until).await {
                    Some(turn) => asked.push((start(context, step, &case, call, turn), case)),
                    None => results.push((case, Ok(Done::UnderWay(SOON)))),
                },
            },
        }
    }
    let answered = asked.into_iter().map(|(answer, case)| async move {
        match timeout_at(until, answer).await {
            Ok(Ok(answer)) => taken(case, answer),
            // It goes on by itself; or it panicked, and is asked again.
            Ok(Err(_)) | Err(_) => (case, Ok(Done::UnderWay(context.settings.payment_patience))),
        }
    });
    results.extend(join_all(answered).await);
    results
}

fn taken(mut case: Case, answer: Answer) -> (Case, Outcome) {
    for command in answer.commands {
        if let Err(refusal) = case.take(command) {
            return (case, Err(StepError::new(&refusal)));
        }
    }
    (case, answer.outcome)
}

/// Has a call made that answers whoever still waits for it, and else records its answer.
fn start(
    context: &Arc<Context>,
    step: SagaStep,
    case: &Case,
    call: BoxFuture<'static, Answer>,
    turn: OwnedSemaphorePermit,
) -> oneshot::Receiver<Answer> {
    let (answers, answered) = oneshot::channel();
    let (context, order_id, replaced) = (Arc::clone(context), case.order_id.clone(), case.replaced.len());
    let (version, expires_at) = (case.version, expires_at(&case.order));
    let metadata = Metadata { actor: Some(ACTOR.to_owned()), ..case.metadata.clone() };
    tokio::spawn(async move {
        let _turn = turn;
        let Err(late) = answers.send(call.await) else { return };
        let recorded = match late.outcome {
            Err(error) if late.commands.is_empty() => {
                note(&context, (&order_id, version), step, &error, expires_at).await
            }
            Ok(_) | Err(_) => record(&context, &order_id, replaced, metadata, late.commands).await,
        };
        if let Err(error) = recorded {
            tracing::warn!(order_id, %error, "what the payment provider answered is not recorded; it is asked again");
        }
    });
    answered
}

/// Notes why a call that went on by itself came to nothing, which was made of this version of the order.
async fn note(
    context: &Context,
    order: (&str, i64),
    step: SagaStep,
    error: &StepError,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), StepError> {
    for _ in 0..NOTES {
        let noted = work::note_failure(context.store.pool(), order, step, error, expires_at).await;
        if noted.map_err(|error| StepError::new(&error))? {
            break;
        }
        tokio::time::sleep(SOON).await;
    }
    Ok(())
}

async fn record(
    context: &Context,
    order_id: &str,
    replaced: usize,
    metadata: Metadata,
    commands: Vec<OrderCommand>,
) -> Result<(), StepError> {
    let Some(mut case) = Case::read(&context.store, order_id).await? else { return Ok(()) };
    if case.replaced.len() != replaced {
        return Err(StepError::Failed("it is about means of payment that were replaced meanwhile".to_owned()));
    }
    case.metadata = metadata;
    for command in commands {
        case.take(command).map_err(|refusal| StepError::new(&refusal))?;
    }
    shelf::save(&context.store, &context.stock, vec![case]).await.into_iter().try_for_each(|(_, saved)| saved)
}

/// How a payment error that is not an answer is gone on from.
pub(crate) fn failure(error: &payments::PaymentError) -> StepError {
    match error {
        payments::PaymentError::Unknown { .. } | payments::PaymentError::Unavailable { .. } => {
            StepError::Failed(error.to_string())
        }
        payments::PaymentError::Declined { .. } | payments::PaymentError::Refused { .. } => {
            StepError::Stuck(error.to_string())
        }
    }
}
