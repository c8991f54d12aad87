//! Does what is due: for orders that something happened to, and for those that were waiting long enough.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::Order;
use event_store::{DecodeError, StoredEvent, Subscriber, SubscriberError, within_patience};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::case::Case;
use crate::drive::{Notes, drive};
use crate::work::{self, Key, Later, Waiting};
use crate::{Context, SAGAS};

/// The name of the sagas' subscription, which is that of the first of them.
const SUBSCRIPTION: &str = "order_fulfilment";
/// How often due orders are looked for. Deadlines are seconds at least.
const POLL: Duration = Duration::from_millis(250);
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// The name of what operators decided.
const INTERVENED: &str = "OperatorIntervened";

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
                    tracing::error!(error = &error as &dyn std::error::Error, "looking for due orders failed");
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
        let due = waiting.len();
        if due > 0 {
            let waiting: HashMap<Key, Waiting> = waiting
                .into_iter()
                .filter_map(|((saga, order_id), row)| {
                    let saga = SAGAS.iter().find(|known| known.name == saga)?;
                    Some(((saga.name, order_id), row))
                })
                .collect();
            let ids: HashSet<&String> = waiting.keys().map(|(_, order_id)| order_id).collect();
            let ids: Vec<String> = ids.into_iter().cloned().collect();
            let not_due = work::not_due(&mut transaction, &ids).await?;
            let streams = self.context.store.read_streams::<Order>(&ids).await?;
            let mut notes = Notes::default();
            let mut cases = Vec::with_capacity(ids.len());
            for order_id in ids {
                match streams.get(&order_id).map_or(Ok(None), Case::open) {
                    Ok(Some(case)) => cases.push(case),
                    Ok(None) => notes.ended.extend(SAGAS.iter().map(|saga| (saga.name, order_id.clone()))),
                    // One order that can't be read must not keep the deadlines of the others from being met.
                    Err(error) => notes.later.extend(unreadable(&waiting, &order_id, &error)),
                }
            }
            let now = work::now(&mut transaction).await?;
            self.advance(cases, &waiting, &not_due, now, notes, &mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(due)
    }

    /// Does what is due for each of the orders, until each waits for something or nothing. What has to be looked at again is
    /// noted in the transaction.
    async fn advance(
        &self,
        mut cases: Vec<Case>,
        waiting: &HashMap<Key, Waiting>,
        not_due: &HashMap<String, HashSet<String>>,
        now: DateTime<Utc>,
        mut notes: Notes,
        transaction: &mut PgConnection,
    ) -> Result<(), SubscriberError> {
        for saga in SAGAS {
            // What one saga waits for is not asked for again because another is due.
            let waits = |case: &Case| not_due.get(saga.name).is_some_and(|orders| orders.contains(&case.order_id));
            let (mut later, due): (Vec<_>, Vec<_>) = cases.into_iter().partition(waits);
            later.extend(drive(&self.context, saga, due, waiting, now, &mut notes).await);
            cases = later;
        }
        work::note(transaction, notes.later).await?;
        work::forget(transaction, notes.ended).await?;
        Ok(())
    }
}

fn unreadable(waiting: &HashMap<Key, Waiting>, order_id: &str, error: &DecodeError) -> Vec<Later> {
    tracing::error!(order_id, error = error as &dyn std::error::Error, "order can't be read");
    let rows = SAGAS.iter().filter_map(|saga| {
        let key = (saga.name, order_id.to_owned());
        let tried = waiting.get(&key)?;
        let step = domain::SagaStep::parse(&tried.step)?;
        Some(Later::retry(key, step, Some(tried), crate::saga::StepError::new(error).to_string()))
    });
    rows.collect()
}

#[async_trait]
impl Subscriber for Runner {
    fn name(&self) -> &str {
        SUBSCRIPTION
    }

    fn follows(&self) -> Option<&'static str> {
        Some(<Order as cqrs_es::Aggregate>::TYPE)
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let mut streams: BTreeMap<&str, Vec<&StoredEvent>> = BTreeMap::new();
        for event in events.iter().filter(|event| event.is_of::<Order>()) {
            streams.entry(&event.stream_id).or_default().push(event);
        }
        // What a saga itself recorded it has gone on from already.
        streams.retain(|_, events| !events.iter().all(|event| is_own(event)));
        if streams.is_empty() {
            return Ok(());
        }
        // What an operator decided about is begun afresh.
        let intervened = streams.iter().filter(|(_, events)| events.iter().any(|event| event.event_type == INTERVENED));
        let afresh = intervened.flat_map(|(order_id, _)| SAGAS.map(|saga| (saga.name, (*order_id).to_owned())));
        work::forget(transaction, afresh.collect()).await?;
        let (whole, partial): (Vec<_>, Vec<_>) = streams.into_iter().partition(|(_, events)| is_whole(events));
        let ids: Vec<String> = partial.into_iter().map(|(order_id, _)| order_id.to_owned()).collect();
        let read = if ids.is_empty() { HashMap::new() } else { self.context.store.read_streams::<Order>(&ids).await? };
        let mut cases = Vec::with_capacity(whole.len() + read.len());
        for (_, events) in whole {
            cases.extend(Case::open(events)?);
        }
        for events in read.values() {
            cases.extend(Case::open(events)?);
        }
        let now = work::now(transaction).await?;
        self.advance(cases, &HashMap::new(), &HashMap::new(), now, Notes::default(), transaction).await
    }
}

/// Whether a saga recorded it in the course of carrying the order on.
fn is_own(event: &StoredEvent) -> bool {
    event.metadata().actor.is_some_and(|actor| SAGAS.iter().any(|saga| saga.name == actor))
}

/// Whether these are all events of a stream up to the last of them. Should more have happened since, storing what was decided
/// on them finds out.
fn is_whole(events: &[&StoredEvent]) -> bool {
    (1..).zip(events).all(|(version, event)| event.version == version)
}
