//! A batch: a part of the log that a copy reads at once.

use bounds::Budget;
use futures_util::TryStreamExt;
use sqlx::{PgConnection, Row};

use super::leases::HeldPartitions;
use super::{PARTITIONS, partition_of};
use crate::event::{COLUMNS, StoredEvent};

/// A part of the log that a copy read at once: the events of its partitions.
pub(super) struct FetchedBatch {
    /// The new events of the copy's partitions, in order.
    pub(super) events: Vec<StoredEvent>,
    /// Those of parked streams.
    pub(super) parked: Vec<StoredEvent>,
    /// The position of the last event that was read, of whichever partition.
    pub(super) end: i64,
    /// How many events were read, of whichever partition.
    pub(super) read: usize,
    /// Whether its bytes, not its number of events, ended it.
    pub(super) cut: bool,
}

impl FetchedBatch {
    /// Reads from the lowest position of the held partitions on; `None`: there is nothing new. The same statement says which streams are
    /// parked; only the holder of a partition changes that. Of streams that are not followed only the position is read. Rows are taken
    /// one by one until the budget's bytes are used up. Rows that are on their way then were sent in vain, so the caller asks for fewer
    /// the next time.
    pub(super) async fn read(
        connection: &mut PgConnection,
        leases: &HeldPartitions,
        follows: Option<&str>,
        mut budget: Budget,
    ) -> Result<Option<Self>, sqlx::Error> {
        let mut passed: [Option<i64>; PARTITIONS] = [None; PARTITIONS];
        leases.held.iter().for_each(|held| passed[held.partition] = Some(held.position));
        let Some(from) = passed.iter().flatten().min() else { return Ok(None) };

        let query = format!(
            "select {COLUMNS},
                    exists (select from parked_events p where p.subscription = $3
                               and p.stream_type = e.aggregate_type and p.stream_id = e.aggregate_id)
               from (select global_position, aggregate_type, aggregate_id, sequence, event_type, event_version, event_id,
                            recorded_at, case when followed then payload end as payload,
                            case when followed then metadata end as metadata
                       from events, lateral (select coalesce(aggregate_type = $4, true) as followed) as kind
                      where global_position > $1 order by global_position limit $2) as e
              order by global_position"
        );
        let query = sqlx::query(&query)
            .bind(from)
            .bind(i64::try_from(budget.pieces()).unwrap_or(i64::MAX))
            .bind(&leases.subscription)
            .bind(follows);
        let mut rows = query.fetch(connection);
        let mut batch = Self { events: Vec::new(), parked: Vec::new(), end: *from, read: 0, cut: false };
        while let Some(row) = rows.try_next().await? {
            let position: i64 = row.try_get(0)?;
            let is_new = |passed: i64| position > passed;
            let kind: &str = row.try_get(1)?;
            let is_followed = follows.is_none_or(|follows| follows == kind);
            if is_followed && passed[partition_of(row.try_get(2)?)].is_some_and(is_new) {
                let event = StoredEvent::from_row(&row)?;
                if !budget.take(event.size()) {
                    batch.cut = true;
                    break;
                }
                if row.try_get(10)? { batch.parked.push(event) } else { batch.events.push(event) }
            }
            batch.end = position;
            batch.read += 1;
        }
        Ok((batch.read > 0).then_some(batch))
    }

    /// The positions of its first and its last event.
    pub(super) fn range(&self) -> (i64, i64) {
        let position = |event: Option<&StoredEvent>| event.map_or(self.end, |event| event.position);
        (position(self.events.first()), position(self.events.last()))
    }
}
