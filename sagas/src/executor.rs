//! Carries orders through a saga's steps until each has to wait or has reached its end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;

use crate::SagaContext;
use crate::mail_requests::send_requests;
use crate::order_fulfilment::{CLOSE, EXPIRE};
use crate::order_session::OrderSession;
use crate::outcome::{StepError, StepOutcome, StepProgress};
use crate::payment_calls::call_provider;
use crate::saga::{NextStep, Saga, StepHandler, reservation_expires_at};
use crate::stock_ledger::StockLedger;
use crate::timers::{SagaInstanceKey, SagaTimer, StepAttempts, TimerChanges, TimerRemoval};
use crate::unit_of_work;

/// More rounds than an order has steps. An order that needs more goes round in a circle, and has to wait.
const MAX_ROUNDS: usize = 32;

/// Carries orders through one saga.
pub(crate) struct SagaExecutor<'a> {
    pub(crate) context: &'a Arc<SagaContext>,
    pub(crate) saga: &'static Saga,
    /// The rows of the orders, as far as they are known.
    pub(crate) waiting: &'a HashMap<SagaInstanceKey, StepAttempts>,
    pub(crate) now: DateTime<Utc>,
}

/// The name of what is next, and what it does.
fn action_for(next: &NextStep) -> Option<(SagaStep, StepHandler)> {
    let action = match next {
        NextStep::Do(step) => step.action,
        NextStep::Undo(undo) => undo.action,
        NextStep::Close => CLOSE,
        NextStep::Expire => EXPIRE,
        NextStep::Nothing => return None,
    };
    next.step().map(|step| (step, action))
}

impl SagaExecutor<'_> {
    /// Carries the orders on, those that are at the same step together. Everything decided is stored at the end. `schedule` gets what
    /// each order waits for.
    pub(crate) async fn run(&self, orders: Vec<OrderSession>, schedule: &mut TimerChanges) -> Vec<OrderSession> {
        let (mut active, mut waiting) = (orders, Vec::new());
        for order in &mut active {
            order.metadata.actor = Some(self.saga.name.to_owned());
            order.now = self.now;
        }
        for _ in 0..MAX_ROUNDS {
            if active.is_empty() {
                break;
            }
            // An expiry is a step of its own, although it is named as the compensation that it stands in for.
            let mut due: BTreeMap<(SagaStep, bool), (StepHandler, Vec<OrderSession>)> = BTreeMap::new();
            for order in active.drain(..) {
                let next = self.saga.next(&order.order, self.now);
                match action_for(&next) {
                    Some((step, action)) => {
                        let of_step = due.entry((step, matches!(next, NextStep::Expire)));
                        of_step.or_insert_with(|| (action, Vec::new())).1.push(order);
                    }
                    None => waiting.push((order, None)),
                }
            }
            for ((step, _), (action, orders)) in due {
                for (order, outcome) in self.do_step(step, action, orders).await {
                    match outcome {
                        Ok(StepProgress::Advanced) => active.push(order),
                        outcome => {
                            let wake_up = self.wake_up(&order, step, outcome);
                            waiting.push((order, wake_up));
                        }
                    }
                }
            }
        }
        waiting.extend(active.into_iter().map(|order| {
            let step = self.saga.next(&order.order, self.now).step().unwrap_or(SagaStep::CloseOrder);
            let circle = StepError::Failed(format!("it does not come to an end; stopped before {}", step.name()));
            let wake_up = self.wake_up(&order, step, Err(circle));
            (order, wake_up)
        }));
        self.store_and_schedule(waiting, schedule).await
    }

    /// Does a step for all orders that are at it.
    async fn do_step(
        &self,
        step: SagaStep,
        action: StepHandler,
        mut orders: Vec<OrderSession>,
    ) -> Vec<(OrderSession, StepOutcome)> {
        for order in &mut orders {
            order.requests_sent = self.tried(order, step).map_or(0, |tried| tried.requests_sent);
            if order.unstored().is_empty() {
                order.unstored_since = Some(step);
            }
        }
        let (context, began) = (self.context, Instant::now());
        let results = match action {
            StepHandler::Decide(decide) => {
                let decided = orders.into_iter().map(|mut order| {
                    let outcome = decide(&mut order, &context.settings);
                    (order, outcome)
                });
                decided.collect()
            }
            StepHandler::DecideWithStock(decide) => {
                let decide = |order: &mut OrderSession, stock: &StockLedger<'_>| {
                    decide(order, stock, &context.settings).map(|_| ())
                };
                let stored = unit_of_work::decide_with_stock(&context.store, &context.stock, orders, decide).await;
                stored.into_iter().map(|(order, stored)| (order, stored.map(|()| StepProgress::Advanced))).collect()
            }
            StepHandler::CallProvider(call) => call_provider(context, step, call, orders).await,
            StepHandler::RequestMail(request) => send_requests(context, request, orders).await,
        };
        context.metrics.step_duration(self.saga, step, began.elapsed());
        results.iter().for_each(|(_, outcome)| context.metrics.step_outcome(self.saga, step, outcome));
        results
    }

    fn key(&self, order: &OrderSession) -> SagaInstanceKey {
        (self.saga.name, order.order_id.clone())
    }

    /// What the order's row says of earlier attempts at this step. Attempts at another step do not count, nor do requests for another
    /// mail.
    fn tried(&self, order: &OrderSession, step: SagaStep) -> Option<&StepAttempts> {
        let is_of_this_mail = |waiting: &StepAttempts| order.mail_owed_since <= waiting.seen;
        self.row(order, step).filter(|waiting| step != SagaStep::NotifyCustomer || is_of_this_mail(waiting))
    }

    /// The order's row, if it is about this step.
    fn row(&self, order: &OrderSession, step: SagaStep) -> Option<&StepAttempts> {
        self.waiting.get(&self.key(order)).filter(|waiting| waiting.step == step.name())
    }

    /// Whether the step was tried for so long that it is stuck.
    fn is_past_deadline(&self, tried: Option<&StepAttempts>) -> bool {
        let waited = tried.and_then(|tried| (self.now - tried.since).to_std().ok());
        waited.is_some_and(|waited| waited >= self.context.settings.step_deadline)
    }

    /// When to look at an order again whose step came to this; `None`: it does not wait.
    fn wake_up(&self, order: &OrderSession, step: SagaStep, outcome: StepOutcome) -> Option<SagaTimer> {
        // A decision that could not be stored was not made: the saga is still at the step that made the first of them.
        let (step, tried) = match order.unstored_since.filter(|_| outcome.is_err() && !order.unstored().is_empty()) {
            Some(step) => (step, self.row(order, step)),
            None => (step, self.tried(order, step)),
        };
        let (key, settings, order_id) = (self.key(order), &self.context.settings, &order.order_id);
        let wake_up = match outcome {
            Ok(StepProgress::Advanced) => return None,
            Ok(StepProgress::RequestSent) => {
                SagaTimer::after_request(key, step, order.requests_sent, settings.reply_deadline)
            }
            Ok(StepProgress::LeftToPerson) => SagaTimer::left_to_person(key, step),
            Ok(StepProgress::Running(_)) if self.is_past_deadline(tried) => {
                tracing::error!(order_id, step = step.name(), "saga is stuck without an answer");
                SagaTimer::stuck(key, step, tried, "there is no answer".to_owned())
            }
            Ok(StepProgress::Running(wait) | StepProgress::Waiting(wait)) => {
                SagaTimer::in_progress(key, step, tried, wait)
            }
            Err(error) => {
                let is_over = !matches!(error, StepError::Unreachable(_)) && self.is_past_deadline(tried);
                let text = error.to_string();
                match error {
                    StepError::Failed(_) | StepError::Unreachable(_) if !is_over => {
                        tracing::warn!(order_id, step = step.name(), error = text, "step failed");
                        SagaTimer::retry(key, step, tried, text)
                    }
                    StepError::Failed(_) | StepError::Unreachable(_) | StepError::Stuck(_) => {
                        tracing::error!(order_id, step = step.name(), error = text, "saga is stuck");
                        SagaTimer::stuck(key, step, tried, text)
                    }
                }
            }
        };
        let expires_at = reservation_expires_at(&order.order);
        let until_expiry = expires_at.map(|at| (at - self.now).to_std().unwrap_or(Duration::ZERO));
        Some(wake_up.at_the_latest(until_expiry))
    }

    /// Stores what is not stored, and schedules what each order waits for.
    async fn store_and_schedule(
        &self,
        waiting: Vec<(OrderSession, Option<SagaTimer>)>,
        schedule: &mut TimerChanges,
    ) -> Vec<OrderSession> {
        let mut wake_ups: HashMap<String, SagaTimer> = HashMap::new();
        let mut orders = Vec::with_capacity(waiting.len());
        for (order, wake_up) in waiting {
            wake_ups.extend(wake_up.map(|wake_up| (order.order_id.clone(), wake_up)));
            orders.push(order);
        }
        let mut finished = Vec::with_capacity(orders.len());
        for (order, stored) in unit_of_work::store(&self.context.store, &self.context.stock, orders).await {
            let next = self.saga.next(&order.order, self.now).step();
            let wake_up = match (stored, wake_ups.remove(&order.order_id), next) {
                (Err(error), _, next) => self.wake_up(&order, next.unwrap_or(SagaStep::CloseOrder), Err(error)),
                (Ok(()), Some(wake_up), _) => Some(wake_up),
                // Others changed the order while it was stored.
                (Ok(()), None, Some(next)) => {
                    Some(SagaTimer::in_progress(self.key(&order), next, None, Duration::ZERO))
                }
                (Ok(()), None, None) => None,
            };
            // A saga that has nothing to do with the order has no row of it.
            let (key, is_concerned) = (self.key(&order), (self.saga.concerns)(&order.order));
            let seen = order.version;
            match wake_up.filter(|_| is_concerned) {
                Some(wake_up) => schedule.wake_ups.push(wake_up.seeing(seen, order.mail_owed_since)),
                None if is_concerned || self.waiting.contains_key(&key) => {
                    schedule.ended.push(TimerRemoval { key, seen });
                }
                None => {}
            }
            finished.push(order);
        }
        finished
    }
}
