//! Does what is due: for orders that something happened to, and for those that were waiting long enough.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Order;
use event_store::{Loaded, StoredEvent, Subscriber, SubscriberError, within_patience};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::Context;
use crate::order_fulfilment::{Done, Due, NAME, STEPS, StepError, next_step};
use crate::work::{self, Later, Waiting};

/// How often due orders are looked for. Deadlines are seconds at least.
const POLL: Duration = Duration::from_millis(250);
const AFTER_ERROR: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Runner {
    context: Arc<Context>,
}

impl Runner {
    pub(crate) fn new(context: Context) -> Self {
        Self { context: Arc::new(context) }
    }

    /// Looks at orders again when they are due, until told to stop.
    pub(crate) async fn look_again(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let looked = within_patience(&stop, self.look()).await;
            let pause = match looked.unwrap_or_else(|error| Err(error.into())) {
                Ok(0) => POLL,
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!(
                        saga = NAME,
                        error = &error as &dyn std::error::Error,
                        "looking for due orders failed"
                    );
                    AFTER_ERROR
                }
            };
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Looks at some that are due, and says how many.
    async fn look(&self) -> Result<usize, SubscriberError> {
        let mut connection = self.context.store.pool().acquire().await?;
        let mut transaction = connection.begin().await?;
        let waiting = work::take_due(&mut transaction).await?;
        if !waiting.is_empty() {
            let ids: Vec<String> = waiting.keys().cloned().collect();
            let streams = self.context.store.read_streams::<Order>(&ids).await?;
            let gone: Vec<String> = ids.into_iter().filter(|id| !streams.contains_key(id)).collect();
            work::forget(&mut transaction, &gone).await?;
            self.advance(streams, &waiting, &mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(waiting.len())
    }

    /// Does the next step of each of these orders, or forgets it when there is none. What has to be looked at again is
    /// noted in the transaction.
    async fn advance(
        &self,
        streams: HashMap<String, Vec<StoredEvent>>,
        waiting: &HashMap<String, Waiting>,
        transaction: &mut PgConnection,
    ) -> Result<(), SubscriberError> {
        let mut ended = Vec::new();
        let mut later = Vec::new();
        let mut due: BTreeMap<usize, Vec<Due>> = BTreeMap::new();
        for (order_id, events) in streams {
            let stream = match Loaded::<Order>::fold(&events) {
                Ok(stream) => stream,
                // One order that can't be read must not keep the deadlines of the others from being met.
                Err(error) if let Some(tried) = waiting.get(&order_id) => {
                    tracing::error!(order_id, error = &error as &dyn std::error::Error, "order can't be read");
                    later.push(Later::retry(order_id, tried.clone(), StepError::new(&error)));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Order::Placed(order) = &stream.state else {
                ended.push(order_id);
                continue;
            };
            let Some((at, step)) = next_step(order) else {
                ended.push(order_id);
                continue;
            };
            // Requests of an earlier step do not count against this one.
            let sent = waiting.get(&order_id).filter(|waiting| waiting.step == step.name).map_or(0, |row| row.sent);
            due.entry(at).or_default().push(Due { order: (**order).clone(), order_id, stream, events, sent });
        }
        for (at, orders) in due {
            let step = &STEPS[at];
            let results = (step.run)(&self.context, &orders).await;
            for (due, result) in orders.into_iter().zip(results) {
                match result {
                    // The event that it left is reacted to.
                    Ok(Done::Recorded) => ended.push(due.order_id),
                    Ok(Done::Asked) => later.push(Later::answer(due, step.name, self.context.answer_deadline)),
                    Err(error) => {
                        tracing::warn!(order_id = due.order_id, step = step.name, %error, "step could not be tried");
                        let failures = waiting.get(&due.order_id).map_or(0, |row| row.failures);
                        let tried = Waiting { step: step.name.to_owned(), sent: due.sent, failures };
                        later.push(Later::retry(due.order_id, tried, error));
                    }
                }
            }
        }
        work::note(transaction, &later).await?;
        work::forget(transaction, &ended).await?;
        Ok(())
    }
}

#[async_trait]
impl Subscriber for Runner {
    fn name(&self) -> &str {
        NAME
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let mut newest: HashMap<&str, i64> = HashMap::new();
        for event in events.iter().filter(|event| event.is_of::<Order>()) {
            newest.insert(&event.stream_id, event.version);
        }
        let ids: Vec<String> = newest.keys().map(|id| (*id).to_owned()).collect();
        let mut streams = self.context.store.read_streams::<Order>(&ids).await?;
        // Where more has happened since, that is still to come and is reacted to then: once for each event.
        streams.retain(|id, events| events.last().map(|last| last.version) == newest.get(id.as_str()).copied());
        self.advance(streams, &HashMap::new(), transaction).await
    }
}
