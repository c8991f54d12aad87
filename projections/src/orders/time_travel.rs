//! An order as it was: its stream folded up to a version or an instant, by the fold of the read model.

use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use cqrs_es::Aggregate;
use domain::order::event::OrderCreated;
use domain::order::{Order, OrderEvent};
use event_store::read::read_stream;
use event_store::{EventDecodeError, StoredEvent};
use read_models::{Item, StreamItemChanges};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::PgExecutor;

use super::PROJECTION;
use super::view::{OrderReader, OrderView};
use crate::error::FoldError;

/// A point in the life of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointInTime {
    /// After the event that made it this version, from 1.
    Version(i64),
    /// With every event that was recorded by then.
    Instant(DateTime<Utc>),
}

/// All events of an order.
pub struct OrderHistory {
    order_id: String,
    events: Vec<StoredEvent>,
    created_at: DateTime<Utc>,
}

/// An order as it was.
#[derive(Debug, Clone)]
pub struct OrderAsOf {
    pub version: i64,
    /// When the order reached this version.
    pub since: DateTime<Utc>,
    /// The answer of `GET /orders/{id}` at that time.
    pub view: Box<RawValue>,
}

/// A text that is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a version of the order, from 1 on, or an instant such as 2026-11-21T18:00:00Z")]
pub struct InvalidPointInTime;

/// Why there is no snapshot of an order.
#[derive(Debug, thiserror::Error)]
pub enum TimeTravelError {
    #[error("there is no order {0}")]
    NoOrder(String),
    #[error("order {order_id} has no version {version}; it has 1 to {last}")]
    NoVersion {
        order_id: String,
        version: i64,
        /// The order's latest version.
        last: i64,
    },
    /// The order was created later.
    #[error("there was no order {order_id} at that time; it was created at {}", in_utc(*created_at))]
    NotYet { order_id: String, created_at: DateTime<Utc> },
    #[error("the events of the order could not be folded")]
    Fold(#[from] FoldError),
    #[error("the order can't be shown")]
    Shown(#[from] serde_json::Error),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl OrderHistory {
    /// Reads the order's stream.
    pub async fn read(executor: impl PgExecutor<'_>, order_id: &str) -> Result<Self, TimeTravelError> {
        let events = read_stream(executor, Order::TYPE, order_id).await?;
        match events.first() {
            Some(first) => Ok(Self { order_id: order_id.to_owned(), created_at: first.recorded_at, events }),
            None => Err(TimeTravelError::NoOrder(order_id.to_owned())),
        }
    }

    /// What was ordered. `None`: the stream does not begin as an order.
    pub(super) fn placed(&self) -> Result<Option<OrderCreated>, TimeTravelError> {
        self.events.first().map_or(Ok(None), |first| Ok(placed_by(first).map_err(FoldError::from)?))
    }

    /// The order's latest version.
    pub fn last_version(&self) -> i64 {
        self.events.last().map_or(0, |event| event.version)
    }

    /// The order at a moment. At an instant in the future it is the present order.
    pub fn at(&self, moment: PointInTime) -> Result<OrderAsOf, TimeTravelError> {
        self.at_for(moment, OrderReader::Shop)
    }

    /// The same, as a reader may see it.
    pub(super) fn at_for(&self, moment: PointInTime, reader: OrderReader) -> Result<OrderAsOf, TimeTravelError> {
        let until = self.until(moment)?;
        let mut items: Vec<Item> = PROJECTION.fold_stream(until)?.map_or_else(Vec::new, StreamItemChanges::into_items);
        items.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        let view = OrderView::of(&items, reader)?;
        match (view, until.last()) {
            (Some(view), Some(last)) => {
                Ok(OrderAsOf { version: last.version, since: last.recorded_at, view: to_raw_value(&view)? })
            }
            (None, _) | (_, None) => Err(TimeTravelError::NoOrder(self.order_id.clone())),
        }
    }

    /// The names of the events after one version, up to and with another.
    pub fn between(&self, version: i64, later: i64) -> Vec<&str> {
        let events = self.events.iter().filter(|event| version < event.version && event.version <= later);
        events.map(|event| event.event_type.as_str()).collect()
    }

    /// The events up to a moment.
    fn until(&self, moment: PointInTime) -> Result<&[StoredEvent], TimeTravelError> {
        let order_id = || self.order_id.clone();
        match moment {
            PointInTime::Version(version) => {
                let at = self.events.iter().position(|event| event.version == version);
                let last = self.last_version();
                let missing = TimeTravelError::NoVersion { order_id: order_id(), version, last };
                at.map(|at| &self.events[..=at]).ok_or(missing)
            }
            // A clock may have been set back. The order of the events counts, so this stops at the first event after
            // the instant.
            PointInTime::Instant(instant) => {
                match self.events.iter().take_while(|event| event.recorded_at <= instant).count() {
                    0 => Err(TimeTravelError::NotYet { order_id: order_id(), created_at: self.created_at }),
                    count => Ok(&self.events[..count]),
                }
            }
        }
    }
}

impl FromStr for PointInTime {
    type Err = InvalidPointInTime;

    fn from_str(text: &str) -> Result<Self, InvalidPointInTime> {
        if let Ok(version) = text.parse() {
            return if version >= 1 { Ok(Self::Version(version)) } else { Err(InvalidPointInTime) };
        }
        // An unescaped `+` in a URL arrives as a space.
        let mended = text.rsplit_once(' ').filter(|(_, offset)| offset.len() == "01:00".len());
        let mended = mended.map(|(instant, offset)| format!("{instant}+{offset}"));
        let instant = DateTime::parse_from_rfc3339(mended.as_deref().unwrap_or(text));
        instant.map(|instant| Self::Instant(instant.to_utc())).map_err(|_| InvalidPointInTime)
    }
}

/// What the first event of an order says was ordered. `None`: it is no order's first event.
pub(crate) fn placed_by(first: &StoredEvent) -> Result<Option<OrderCreated>, EventDecodeError> {
    let first = first.decode::<Order>()?;
    Ok(if let OrderEvent::OrderCreated(content) = first { Some(content) } else { None })
}

fn in_utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_version_or_an_instant_and_nothing_else() {
        let instant = PointInTime::Instant("2026-11-21T17:00:00Z".parse().unwrap());
        assert_eq!("3".parse(), Ok(PointInTime::Version(3)));
        for text in ["2026-11-21T17:00:00Z", "2026-11-21T18:00:00+01:00", "2026-11-21T18:00:00 01:00"] {
            assert_eq!(text.parse(), Ok(instant), "{text}");
        }
        for text in
            ["", "0", "-1", "1.5", "99999999999999999999", "yesterday", "2026-11-21", "2026-13-01T00:00:00Z", " 3"]
        {
            assert_eq!(text.parse::<PointInTime>(), Err(InvalidPointInTime), "{text}");
        }
    }
}
