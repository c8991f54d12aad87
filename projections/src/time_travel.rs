//! Orders as they were: folded from the log, up to a version or an instant, through the fold that makes the read model.

use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use cqrs_es::Aggregate;
use domain::order::Order;
use event_store::StoredEvent;
use event_store::read::read_stream;
use read_models::{Change, Item};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::PgExecutor;

use crate::orders::{self, OrderView};
use crate::projection::FoldError;

/// A point in the life of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the event that made it this version, from 1.
    Version(i64),
    /// With all that was recorded by then.
    Instant(DateTime<Utc>),
}

/// All that happened to an order.
pub struct History {
    order_id: String,
    events: Vec<StoredEvent>,
    created_at: DateTime<Utc>,
}

/// An order as it was.
#[derive(Debug, Clone)]
pub struct OrderThen {
    /// The version it had.
    pub version: i64,
    /// When it became that.
    pub since: DateTime<Utc>,
    /// What `GET /orders/{id}` answered then.
    pub view: Box<RawValue>,
}

/// A text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a version of the order, from 1 on, or an instant such as 2026-11-21T18:00:00Z")]
pub struct InvalidMoment;

/// Why it can't be said how an order was.
#[derive(Debug, thiserror::Error)]
pub enum TimeTravelError {
    /// There is no such order.
    #[error("there is no order {0}")]
    NoOrder(String),
    /// It never had that version.
    #[error("order {order_id} has no version {version}; it has 1 to {last}")]
    NoVersion {
        /// Which order.
        order_id: String,
        /// What was asked for.
        version: i64,
        /// The version it has now.
        last: i64,
    },
    /// It was ordered later.
    #[error("there was no order {order_id} at that time; it was created at {}", in_utc(*created_at))]
    NotYet {
        /// Which order.
        order_id: String,
        /// When it came into being.
        created_at: DateTime<Utc>,
    },
    /// Its events could not be folded.
    #[error("the events of the order could not be folded")]
    Fold(#[from] FoldError),
    /// What came of it could not be shown.
    #[error("the order can't be shown")]
    Shown(#[from] serde_json::Error),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl History {
    /// Reads the order's stream.
    pub async fn read(executor: impl PgExecutor<'_>, order_id: &str) -> Result<Self, TimeTravelError> {
        let events = read_stream(executor, Order::TYPE, order_id).await?;
        match events.first() {
            Some(first) => Ok(Self { order_id: order_id.to_owned(), created_at: first.recorded_at, events }),
            None => Err(TimeTravelError::NoOrder(order_id.to_owned())),
        }
    }

    /// The version that the order has now.
    pub fn last_version(&self) -> i64 {
        self.events.last().map_or(0, |event| event.version)
    }

    /// The order as it was at a moment; at an instant that is still to come, as it is now.
    pub fn at(&self, moment: Moment) -> Result<OrderThen, TimeTravelError> {
        let until = self.until(moment)?;
        let mut items: Vec<Item> = orders::PROJECTION.fold_alone(until)?.map_or_else(Vec::new, Change::into_items);
        items.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        let view = OrderView::of(&items)?;
        match (view, until.last()) {
            (Some(view), Some(last)) => {
                Ok(OrderThen { version: last.version, since: last.recorded_at, view: to_raw_value(&view)? })
            }
            (None, _) | (_, None) => Err(TimeTravelError::NoOrder(self.order_id.clone())),
        }
    }

    /// The names of the events behind one version and up to another, in order.
    pub fn between(&self, version: i64, later: i64) -> Vec<&str> {
        let events = self.events.iter().filter(|event| version < event.version && event.version <= later);
        events.map(|event| event.event_type.as_str()).collect()
    }

    /// What had happened by then.
    fn until(&self, moment: Moment) -> Result<&[StoredEvent], TimeTravelError> {
        let order_id = || self.order_id.clone();
        match moment {
            Moment::Version(version) => {
                let at = self.events.iter().position(|event| event.version == version);
                let last = self.last_version();
                let missing = TimeTravelError::NoVersion { order_id: order_id(), version, last };
                at.map(|at| &self.events[..=at]).ok_or(missing)
            }
            // A clock may have been put back: then what came after a later time came later all the same.
            Moment::Instant(instant) => {
                match self.events.iter().take_while(|event| event.recorded_at <= instant).count() {
                    0 => Err(TimeTravelError::NotYet { order_id: order_id(), created_at: self.created_at }),
                    count => Ok(&self.events[..count]),
                }
            }
        }
    }
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        if let Ok(version) = text.parse() {
            return if version >= 1 { Ok(Self::Version(version)) } else { Err(InvalidMoment) };
        }
        // The `+` of `+01:00` reaches us as a space if it was not escaped in a URL.
        let mended = text.rsplit_once(' ').filter(|(_, offset)| offset.len() == "01:00".len());
        let mended = mended.map(|(instant, offset)| format!("{instant}+{offset}"));
        let instant = DateTime::parse_from_rfc3339(mended.as_deref().unwrap_or(text));
        instant.map(|instant| Self::Instant(instant.to_utc())).map_err(|_| InvalidMoment)
    }
}

fn in_utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_version_or_an_instant_and_nothing_else() {
        let instant = Moment::Instant("2026-11-21T17:00:00Z".parse().unwrap());
        assert_eq!("3".parse(), Ok(Moment::Version(3)));
        for text in ["2026-11-21T17:00:00Z", "2026-11-21T18:00:00+01:00", "2026-11-21T18:00:00 01:00"] {
            assert_eq!(text.parse(), Ok(instant), "{text}");
        }
        for text in
            ["", "0", "-1", "1.5", "99999999999999999999", "yesterday", "2026-11-21", "2026-13-01T00:00:00Z", " 3"]
        {
            assert_eq!(text.parse::<Moment>(), Err(InvalidMoment), "{text}");
        }
    }
}
