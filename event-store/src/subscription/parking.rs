//! Parking: events that can't be handled are set aside with their streams, so that everything else goes on.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use bounds::Budget;
use error_chain::error_chain;
use futures_util::{FutureExt, TryStreamExt};
use sqlx::{Connection, PgConnection, Row};

use super::batch::FetchedBatch;
use super::{Subscriber, SubscriberCopy, SubscriberError, SubscriptionStepError, connection, partition_of};
use crate::event::{COLUMNS, StoredEvent};

/// How many parked events of a stream are tried again in one transaction.
const RETRY_CHUNK: usize = 500;

/// Has the subscriber handle events; a panic is an error like any other.
pub(super) async fn attempt(
    subscriber: &mut impl Subscriber,
    events: &[StoredEvent],
    transaction: &mut PgConnection,
) -> Result<(), SubscriberError> {
    let handled = AssertUnwindSafe(subscriber.handle(events, transaction)).catch_unwind().await;
    handled.unwrap_or_else(|panic| Err(SubscriberError::panicked(&*panic)))
}

/// Has the subscriber handle events within a savepoint, which is rolled back if they can't be: `Ok(Some(…))` says why.
async fn attempt_in_savepoint(
    subscriber: &mut impl Subscriber,
    events: &[StoredEvent],
    transaction: &mut PgConnection,
) -> Result<Option<String>, SubscriptionStepError> {
    let mut savepoint = transaction.begin().await?;
    match attempt(subscriber, events, &mut savepoint).await {
        Ok(()) => {
            savepoint.commit().await?;
            Ok(None)
        }
        Err(SubscriberError::Poison(cause)) => {
            savepoint.rollback().await?;
            Ok(Some(error_chain(&*cause)))
        }
        Err(source) => {
            let position = |event: Option<&StoredEvent>| event.map_or(0, |event| event.position);
            Err(SubscriptionStepError::Subscriber {
                from: position(events.first()),
                to: position(events.last()),
                source,
            })
        }
    }
}

impl<S: Subscriber> SubscriberCopy<'_, S> {
    /// Handles a batch stream by stream after it could not be handled as a whole, and parks the streams that can't be handled.
    pub(super) async fn handle_by_stream(&mut self, batch: FetchedBatch) -> Result<(), SubscriptionStepError> {
        let Self { subscriber, leases, connection: kept, store, .. } = self;
        let mut transaction = connection(kept, store).await?.begin().await?;
        let work = async {
            for stream in by_stream(batch.events) {
                let Some((at, error)) = first_poison(subscriber, &stream, &mut transaction).await? else { continue };
                let (subscription, stream_id, position) =
                    (subscriber.name(), &stream[at].stream_id, stream[at].position);
                tracing::error!(
                    subscription,
                    stream_id,
                    position,
                    error,
                    "event can't be handled: its stream is parked"
                );
                park(&mut transaction, subscription, &stream[at..], Some(&error)).await?;
            }
            Ok::<_, SubscriptionStepError>(())
        };
        tokio::select! {
            biased;
            done = work => done?,
            () = leases.renew_until_lost(&store.pool) => return Err(SubscriptionStepError::FencedOut),
        }
        park(&mut transaction, subscriber.name(), &batch.parked, None).await?;
        leases.advance(&mut transaction, batch.end).await?;
        Ok(transaction.commit().await?)
    }

    /// Does what operators asked for the parked streams of this copy's partitions.
    pub(super) async fn retry_requested(&mut self) -> Result<(), SubscriptionStepError> {
        let requested = "select stream_type, stream_id, request, position from parked_events
                          where subscription = $1 and request is not null order by position";
        let connection = connection(&mut self.connection, self.store).await?;
        let rows = sqlx::query(requested).bind(self.subscriber.name()).fetch_all(connection).await?;
        for row in rows {
            let (stream_type, stream_id, request, position): (String, String, String, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let partition = partition_of(&stream_id);
            if self.leases.held.iter().any(|held| held.partition == partition) {
                tracing::info!(
                    subscription = self.subscriber.name(),
                    stream_id,
                    request,
                    "an operator has a stream tried again"
                );
                let skip = (request == "skip").then_some(position);
                while self.retry(&stream_type, &stream_id, skip).await? {}
            }
        }
        Ok(())
    }

    /// Handles parked events of a stream one by one, as many as fit into memory, up to the first that still can't be handled. Handled
    /// events are no longer parked. `skip`: the position of the event that is not tried if it is the first. Returns whether there are more
    /// to try.
    async fn retry(
        &mut self,
        stream_type: &str,
        stream_id: &str,
        skip: Option<i64>,
    ) -> Result<bool, SubscriptionStepError> {
        let Self { subscriber, leases, connection: kept, store, .. } = self;
        let mut transaction = connection(kept, store).await?.begin().await?;
        let of_stream = "subscription = $1 and stream_type = $2 and stream_id = $3";
        let parked = format!(
            "select {COLUMNS} from events
              where global_position in (select position from parked_events where {of_stream} order by position limit $4)
              order by global_position"
        );
        let parked = sqlx::query(&parked).bind(subscriber.name()).bind(stream_type).bind(stream_id);
        let mut rows = parked.bind(i64::try_from(RETRY_CHUNK).unwrap_or(i64::MAX)).fetch(&mut *transaction);
        let (mut events, mut budget) = (Vec::new(), Budget::of(RETRY_CHUNK));
        while let Some(row) = rows.try_next().await? {
            let event = StoredEvent::from_row(&row)?;
            if !budget.take(event.size()) {
                break;
            }
            events.push(event);
        }
        drop(rows);

        let skipped = usize::from(skip.is_some() && events.first().map(|event| event.position) == skip);
        let work = async {
            for (at, event) in events.iter().enumerate().skip(skipped) {
                let tried = attempt_in_savepoint(subscriber, std::slice::from_ref(event), &mut transaction).await;
                match tried {
                    Ok(None) => {}
                    Ok(Some(error)) => return Ok((at, Some(error))),
                    // It stays parked, and the subscriber goes on.
                    Err(SubscriptionStepError::Subscriber { source: SubscriberError::Unknown(error), .. }) => {
                        return Ok((at, Some(error_chain(&error))));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, SubscriptionStepError>((events.len(), None))
        };
        let (done, error) = tokio::select! {
            biased;
            done = work => done?,
            () = leases.renew_until_lost(&store.pool) => return Err(SubscriptionStepError::FencedOut),
        };

        let subscription = subscriber.name();
        let delete = format!("delete from parked_events where {of_stream} and position = any($4)");
        let delete = sqlx::query(&delete).bind(subscription).bind(stream_type).bind(stream_id);
        let handled: Vec<i64> = events[..done].iter().map(|event| event.position).collect();
        delete.bind(handled).execute(&mut *transaction).await?;
        if let Some(error) = &error {
            let update = format!(
                "update parked_events
                    set error = $5, attempts = attempts + 1, request = null,
                        parked_at = case when error is null then clock_timestamp() else parked_at end
                  where {of_stream} and position = $4"
            );
            let update = sqlx::query(&update).bind(subscription).bind(stream_type).bind(stream_id);
            update.bind(events[done].position).bind(error).execute(&mut *transaction).await?;
        }
        // If this copy dies now, the request for the other events stays.
        let request_rest = format!(
            "update parked_events set request = 'retry'
              where {of_stream} and position = (select min(position) from parked_events where {of_stream})"
        );
        let request_rest = sqlx::query(&request_rest).bind(subscription).bind(stream_type).bind(stream_id);
        let more = error.is_none() && request_rest.execute(&mut *transaction).await?.rows_affected() > 0;
        // The position does not move, but this checks that the stream's partition is still held.
        leases.advance(&mut transaction, 0).await?;
        transaction.commit().await?;
        for event in &events[..skipped] {
            tracing::warn!(
                subscription,
                stream_id,
                position = event.position,
                "parked event skipped, as was asked for"
            );
        }
        match error {
            None if more => {}
            None => tracing::info!(subscription, stream_id, handled = done - skipped, "stream is parked no more"),
            Some(error) => tracing::error!(subscription, stream_id, error, "stream stays parked"),
        }
        Ok(more)
    }
}

/// The first event of a stream that can't be handled, and why. Those before it are handled then.
async fn first_poison(
    subscriber: &mut impl Subscriber,
    stream: &[StoredEvent],
    transaction: &mut PgConnection,
) -> Result<Option<(usize, String)>, SubscriptionStepError> {
    match attempt_in_savepoint(subscriber, stream, transaction).await? {
        Some(error) if stream.len() == 1 => return Ok(Some((0, error))),
        Some(_) => {}
        None => return Ok(None),
    }
    for (at, event) in stream.iter().enumerate() {
        if let Some(error) = attempt_in_savepoint(subscriber, std::slice::from_ref(event), transaction).await? {
            return Ok(Some((at, error)));
        }
    }
    Ok(None)
}

/// Streams in the order of their first events, each with its events in order.
fn by_stream(events: Vec<StoredEvent>) -> Vec<Vec<StoredEvent>> {
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut streams: Vec<Vec<StoredEvent>> = Vec::new();
    for event in events {
        let place = *places.entry((event.stream_type.clone(), event.stream_id.clone())).or_insert(streams.len());
        match streams.get_mut(place) {
            Some(stream) => stream.push(event),
            None => streams.push(vec![event]),
        }
    }
    streams
}

/// Parks events that come after parked events of their streams.
pub(super) async fn park_behind(
    transaction: &mut PgConnection,
    subscription: &str,
    events: &[StoredEvent],
) -> Result<(), sqlx::Error> {
    park(transaction, subscription, events, None).await
}

/// Parks events: the first because of an error, if there was one, the others behind it.
async fn park(
    transaction: &mut PgConnection,
    subscription: &str,
    events: &[StoredEvent],
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    let Some(first) = events.first() else { return Ok(()) };
    sqlx::query(
        "insert into parked_events (subscription, stream_type, stream_id, position, version, event_type, error, attempts)
         select $1, aggregate_type, aggregate_id, global_position, sequence, event_type,
                case when global_position = $3 then $4 end, (global_position = $3 and $4 is not null)::int
           from events where global_position = any($2)",
    )
    .bind(subscription)
    .bind(events.iter().map(|event| event.position).collect::<Vec<_>>())
    .bind(first.position)
    .bind(error)
    .execute(transaction)
    .await?;
    Ok(())
}
