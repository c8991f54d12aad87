//! Carries orders on through a saga until each has to wait or has come to its end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;

use crate::Context;
use crate::case::Case;
use crate::order_fulfilment::{close, expire};
use crate::saga::{Done, Next, Outcome, Run, Saga, StepError, expires_at};
use crate::shelf;
use crate::work::{Ended, Key, Later, Waiting};

/// An order has fewer steps than this; one that comes to more goes round in a circle, and waits.
const ROUNDS: usize = 32;

/// What has to be noted of sagas once their orders are carried on.
#[derive(Default)]
pub(crate) struct Notes {
    /// Those that have to be looked at again.
    pub(crate) later: Vec<Later>,
    /// Those that wait for nothing.
    pub(crate) ended: Vec<Ended>,
}

/// Carries the orders on, all that are at the same step together.
pub(crate) async fn drive(
    context: &Arc<Context>,
    saga: &'static Saga,
    cases: Vec<Case>,
    waiting: &HashMap<Key, Waiting>,
    now: DateTime<Utc>,
    notes: &mut Notes,
) -> Vec<Case> {
    let (mut active, mut resting) = (cases, Vec::new());
    let waits = Waits { context, saga, waiting, now };
    for case in &mut active {
        case.metadata.actor = Some(saga.name.to_owned());
        case.now = now;
    }
    for _ in 0..ROUNDS {
        if active.is_empty() {
            break;
        }
        let mut due: BTreeMap<SagaStep, (Run, Vec<Case>)> = BTreeMap::new();
        for case in active.drain(..) {
            match what_to_run(&saga.next(&case.order, now)) {
                Some((step, run)) => due.entry(step).or_insert_with(|| (run, Vec::new())).1.push(case),
                None => resting.push((case, None)),
            }
        }
        for (step, (run, mut cases)) in due {
            for case in &mut cases {
                case.sent = waits.sent(case, step);
                if case.unsaved().is_empty() {
                    case.unsaved_since = Some(step);
                }
            }
            let began = Instant::now();
            let came_to = run(context, cases).await;
            context.metrics.took(saga, step, began.elapsed());
            for (case, outcome) in came_to {
                context.metrics.came_to(saga, step, &outcome);
                match outcome {
                    Ok(Done::Moved) => active.push(case),
                    outcome => {
                        let row = waits.row(&case, step, outcome);
                        resting.push((case, row));
                    }
                }
            }
        }
    }
    resting.extend(active.into_iter().map(|case| {
        let step = saga.next(&case.order, now).step().unwrap_or(SagaStep::CloseOrder);
        let circle = StepError::Failed(format!("it does not come to an end; stopped before {}", step.name()));
        let row = waits.row(&case, step, Err(circle));
        (case, row)
    }));
    waits.rest(resting, notes).await
}

fn what_to_run(next: &Next) -> Option<(SagaStep, Run)> {
    let step = next.step()?;
    Some(match next {
        Next::Do(todo) => (step, todo.run),
        Next::Undo(undo) => (step, undo.run),
        Next::Close => (step, close as Run),
        Next::Expire => (step, expire as Run),
        Next::Nothing => return None,
    })
}

/// What there is to know of how long orders have to wait.
struct Waits<'a> {
    context: &'a Arc<Context>,
    saga: &'static Saga,
    waiting: &'a HashMap<Key, Waiting>,
    now: DateTime<Utc>,
}

impl Waits<'_> {
    fn key(&self, case: &Case) -> Key {
        (self.saga.name, case.order_id.clone())
    }

    /// What is known of the step; requests and failures of another do not count against it, nor do those of another mail.
    fn tried(&self, case: &Case, step: SagaStep) -> Option<&Waiting> {
        let is_of_this_mail = |waiting: &Waiting| case.mail_owed_since <= waiting.seen;
        self.noted(case, step).filter(|waiting| step != SagaStep::NotifyCustomer || is_of_this_mail(waiting))
    }

    /// What is noted of the step.
    fn noted(&self, case: &Case, step: SagaStep) -> Option<&Waiting> {
        self.waiting.get(&self.key(case)).filter(|waiting| waiting.step == step.name())
    }

    /// Whether the step has been tried for long enough.
    fn is_over(&self, tried: Option<&Waiting>) -> bool {
        let waited = tried.and_then(|tried| (self.now - tried.since).to_std().ok());
        waited.is_some_and(|waited| waited >= self.context.settings.step_deadline)
    }

    fn sent(&self, case: &Case, step: SagaStep) -> u32 {
        self.tried(case, step).map_or(0, |tried| tried.sent)
    }

    fn row(&self, case: &Case, step: SagaStep, outcome: Outcome) -> Option<Later> {
        // What is not stored did not happen: the saga is where it was before that.
        let (step, tried) = match case.unsaved_since.filter(|_| outcome.is_err() && !case.unsaved().is_empty()) {
            Some(step) => (step, self.noted(case, step)),
            None => (step, self.tried(case, step)),
        };
        let (key, settings) = (self.key(case), &self.context.settings);
        let row = match outcome {
            Ok(Done::Moved) => return None,
            Ok(Done::Asked) => Later::answer(key, step, case.sent, settings.answer_deadline),
            Ok(Done::UnderWay(_)) if self.is_over(tried) => {
                tracing::error!(order_id = case.order_id, step = step.name(), "saga is stuck without an answer");
                Later::stuck(key, step, tried, "there is no answer".to_owned())
            }
            Ok(Done::UnderWay(wait)) => Later::under_way(key, step, tried, wait),
            Err(error) => {
                let is_over = !matches!(error, StepError::Unreachable(_)) && self.is_over(tried);
                let text = error.to_string();
                match error {
                    StepError::Failed(_) | StepError::Unreachable(_) if !is_over => {
                        tracing::warn!(order_id = case.order_id, step = step.name(), error = text, "step failed");
                        Later::retry(key, step, tried, text)
                    }
                    StepError::Failed(_) | StepError::Unreachable(_) | StepError::Stuck(_) => {
                        tracing::error!(order_id = case.order_id, step = step.name(), error = text, "saga is stuck");
                        Later::stuck(key, step, tried, text)
                    }
                }
            }
        };
        let until_expiry = expires_at(&case.order).map(|at| (at - self.now).to_std().unwrap_or(Duration::ZERO));
        Some(row.at_the_latest(until_expiry))
    }

    /// Stores what is not yet stored, and notes what each waits for.
    async fn rest(&self, resting: Vec<(Case, Option<Later>)>, notes: &mut Notes) -> Vec<Case> {
        let mut rows: HashMap<String, Later> = HashMap::new();
        let mut cases = Vec::with_capacity(resting.len());
        for (case, row) in resting {
            rows.extend(row.map(|row| (case.order_id.clone(), row)));
            cases.push(case);
        }
        let mut carried_on = Vec::with_capacity(cases.len());
        for (case, saved) in shelf::save(&self.context.store, &self.context.stock, cases).await {
            let next = self.saga.next(&case.order, self.now).step();
            let row = match (saved, rows.remove(&case.order_id), next) {
                (Err(error), _, next) => self.row(&case, next.unwrap_or(SagaStep::CloseOrder), Err(error)),
                (Ok(()), Some(row), _) => Some(row),
                // Others changed it while it was stored.
                (Ok(()), None, Some(next)) => Some(Later::under_way(self.key(&case), next, None, Duration::ZERO)),
                (Ok(()), None, None) => None,
            };
            // An order that the saga has nothing to do with is noted by the one that has; and nothing stays noted of it.
            let (key, is_concerned) = (self.key(&case), (self.saga.concerns)(&case.order));
            let seen = case.version;
            match row.filter(|_| is_concerned) {
                Some(row) => notes.later.push(row.seeing(seen)),
                None if is_concerned || self.waiting.contains_key(&key) => notes.ended.push(Ended { key, seen }),
                None => {}
            }
            carried_on.push(case);
        }
        carried_on
    }
}
