//! Pages of the log along its positions, in either direction.
//!
//! Positions follow the order of commits, so a reader that goes on where a page ended misses nothing. A page that few events match ends
//! after a number of positions that were looked through, so that none takes long.

use bounds::Budget;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::event::StoredEvent;
use crate::filter::EventFilter;
use crate::read::{last_position, read_in_order};

/// The most positions of the log that one page passes.
const MAX_SCAN: i64 = 40_000;
/// The most events by people that one page passes.
const MAX_SCAN_BY_PEOPLE: i64 = 10_000;
/// The most events of a single stream that one page passes.
const MAX_SCAN_OF_STREAM: i64 = 10_000;

/// In which direction a page goes along the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDirection {
    OldestFirst,
    NewestFirst,
}

/// A page of the log.
#[derive(Debug, Default)]
pub struct LogPage {
    pub events: Vec<StoredEvent>,
    /// The position up to which the log was looked through. Oldest first, the next page begins after it; newest first, it ends there.
    /// `None`: the filter matches no further events that were in the log.
    pub next: Option<i64>,
}

impl EventFilter {
    /// The events that match, as many as fit into a budget, between `after` and `up_to`.
    pub async fn page(
        &self,
        connection: &mut PgConnection,
        direction: LogDirection,
        budget: Budget,
    ) -> Result<LogPage, sqlx::Error> {
        let end = last_position(&mut *connection).await?;
        let (low, high) = (self.after.max(0), self.up_to.map_or(end, |up_to| up_to.min(end)));
        if low >= high {
            return Ok(LogPage::default());
        }
        if let (Some(id), [kind]) = (&self.stream_id, self.stream_types.as_slice()) {
            return self.page_of_stream(connection, (kind, id), (low, high), direction, budget).await;
        }
        let (low_scanned, high_scanned) = self.scanned(connection, direction, low, high).await?;
        let filter = Self { after: low_scanned, up_to: Some(high_scanned), ..self.clone() };
        let order = direction.order_by("global_position");
        let page = read_in_order(connection, &filter.condition(), &order, budget).await?;
        let last = page.events.last().filter(|_| page.more).map(|last| last.position);
        let next = match direction {
            LogDirection::OldestFirst => last.unwrap_or(high_scanned),
            LogDirection::NewestFirst => last.map_or(low_scanned, |last| last - 1),
        };
        let is_over = match direction {
            LogDirection::OldestFirst => next >= high,
            LogDirection::NewestFirst => next <= low,
        };
        Ok(LogPage { events: page.events, next: (!is_over).then_some(next) })
    }

    /// The same of a single stream. Its versions are in the order of the log and have an index, so they stand for the positions: a page
    /// far behind the first one reads nothing of those before it.
    async fn page_of_stream(
        &self,
        connection: &mut PgConnection,
        stream: (&str, &str),
        (after, up_to): (i64, i64),
        direction: LogDirection,
        budget: Budget,
    ) -> Result<LogPage, sqlx::Error> {
        // No text in Postgres has one.
        if stream.1.contains('\0') {
            return Ok(LogPage::default());
        }
        let low = version_at(connection, stream, after).await?;
        let high = version_at(connection, stream, up_to).await?;
        let (low_scanned, high_scanned) = direction.first_part(low, high, MAX_SCAN_OF_STREAM);
        let filter = Self { after: 0, up_to: None, ..self.clone() }.condition();
        let condition = format!("{filter} and sequence > {low_scanned} and sequence <= {high_scanned}");
        let page = read_in_order(connection, &condition, &direction.order_by("sequence"), budget).await?;
        let next = match (page.events.last().filter(|_| page.more), direction) {
            (Some(last), LogDirection::OldestFirst) => (last.version < high).then_some(last.position),
            (Some(last), LogDirection::NewestFirst) => (last.version > low + 1).then_some(last.position - 1),
            (None, LogDirection::OldestFirst) if high_scanned < high => {
                at_version(connection, stream, high_scanned).await?.map(|(_, position)| position)
            }
            (None, LogDirection::NewestFirst) if low_scanned > low => {
                at_version(connection, stream, low_scanned).await?.map(|(_, position)| position)
            }
            (None, LogDirection::OldestFirst | LogDirection::NewestFirst) => None,
        };
        Ok(LogPage { events: page.events, next })
    }

    /// The part of a range that one page looks through.
    async fn scanned(
        &self,
        connection: &mut PgConnection,
        direction: LogDirection,
        low: i64,
        high: i64,
    ) -> Result<(i64, i64), sqlx::Error> {
        if !(self.by_people && has_index_of_people(connection).await?) {
            return Ok(direction.first_part(low, high, MAX_SCAN));
        }
        let range = Self { after: low, up_to: Some(high), by_people: true, ..Self::default() }.condition();
        let edge = match direction {
            LogDirection::OldestFirst => "max(position)",
            LogDirection::NewestFirst => "min(position) - 1",
        };
        let order = direction.order_by("global_position");
        let edge = format!(
            "select case when count(*) = {MAX_SCAN_BY_PEOPLE} then {edge} end from (
                select global_position as position from events where {range} order by {order} limit {MAX_SCAN_BY_PEOPLE}
             ) as scanned"
        );
        let edge: Option<i64> = sqlx::query_scalar(&edge).persistent(false).fetch_one(connection).await?;
        Ok(match (edge, direction) {
            (None, _) => (low, high),
            (Some(edge), LogDirection::OldestFirst) => (low, edge),
            (Some(edge), LogDirection::NewestFirst) => (edge, high),
        })
    }
}

impl LogDirection {
    fn order_by(self, column: &str) -> String {
        match self {
            Self::OldestFirst => column.to_owned(),
            Self::NewestFirst => format!("{column} desc"),
        }
    }

    /// What comes first of a range: so much of it, or all.
    fn first_part(self, low: i64, high: i64, most: i64) -> (i64, i64) {
        match self {
            Self::OldestFirst => (low, high.min(low.saturating_add(most))),
            Self::NewestFirst => (low.max(high - most), high),
        }
    }
}

/// The version that a stream had at a position of the log; 0: it was not there. It is looked up by bisection.
async fn version_at(connection: &mut PgConnection, stream: (&str, &str), position: i64) -> Result<i64, sqlx::Error> {
    if position == 0 {
        return Ok(0);
    }
    let (mut low, mut above) = match at_version(connection, stream, i64::MAX).await? {
        Some((last, at)) if at > position => (0, last),
        last => return Ok(last.map_or(0, |(last, _)| last)),
    };
    while low + 1 < above {
        let middle = low + (above - low) / 2;
        match at_version(connection, stream, middle).await? {
            Some((version, at)) if at > position => above = version,
            Some(_) | None => low = middle,
        }
    }
    Ok(low)
}

/// The last event of a stream up to a version: its version and its position.
async fn at_version(
    connection: &mut PgConnection,
    (kind, id): (&str, &str),
    version: i64,
) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let last = "select sequence, global_position from events
                 where aggregate_type = $1 and aggregate_id = $2 and sequence <= $3 order by sequence desc limit 1";
    sqlx::query_as(last).bind(kind).bind(id).bind(version).fetch_optional(connection).await
}

/// Whether the index of the events by people is there. In a long log it is built after the schema has been brought up to date.
async fn has_index_of_people(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let valid =
        "select exists (select from pg_index where indexrelid = to_regclass('events_of_people') and indisvalid)";
    sqlx::query_scalar(valid).fetch_one(connection).await
}

/// The position of the first event that was recorded at an instant or later, as far as recorded times follow positions; after the end of
/// the log if there is none. It is looked up by bisection, for which the log needs no index: where the clock was set back, it is one of
/// several such positions.
pub async fn position_at(connection: &mut PgConnection, instant: DateTime<Utc>) -> Result<i64, sqlx::Error> {
    let (mut low, mut high) = (1, last_position(&mut *connection).await? + 1);
    let probe =
        "select global_position, recorded_at from events where global_position >= $1 order by global_position limit 1";
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, DateTime<Utc>)> =
            sqlx::query_as(probe).bind(middle).fetch_optional(&mut *connection).await?;
        match found {
            // Transactions that came to nothing leave gaps.
            Some((position, recorded_at)) if recorded_at < instant => low = position + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}
