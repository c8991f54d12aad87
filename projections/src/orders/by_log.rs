//! The order of the log: which orders had their last event there.

use read_models::SortOrder;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// The most events of which one request reads whose they are. It does not read the events themselves.
pub(super) const MOST_EVENTS: usize = 5_000;

/// Where a page ended in a walk along the log: the walk goes on beyond this position.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogCursor {
    pub(super) position: i64,
}

impl LogCursor {
    pub(super) fn first(direction: SortOrder) -> Self {
        let position = match direction {
            SortOrder::Ascending => 0,
            SortOrder::Descending => i64::MAX,
        };
        Self { position }
    }
}

/// A stretch of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogStretch {
    /// The orders that have events in it, each with the position of its last one here, sorted by that.
    pub(super) orders: Vec<(i64, String)>,
    /// `None`: the log ends here.
    pub(super) next: Option<LogCursor>,
}

impl LogStretch {
    /// The events beyond a cursor.
    pub(super) async fn read(pool: &PgPool, after: &LogCursor, direction: SortOrder) -> Result<Self, sqlx::Error> {
        // What the limit counts are all events, so that those of stock don't make it longer.
        let statement = match direction {
            SortOrder::Ascending => {
                "select global_position, case when aggregate_type = 'order' then aggregate_id end
                   from events where global_position > $1 order by global_position limit $2"
            }
            SortOrder::Descending => {
                "select global_position, case when aggregate_type = 'order' then aggregate_id end
                   from events where global_position < $1 order by global_position desc limit $2"
            }
        };
        let limit = i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX);
        let events = sqlx::query_as(statement).bind(after.position).bind(limit).fetch_all(pool).await?;
        Ok(Self::of(events, direction))
    }

    /// `events` have their position and, of an order, its id.
    fn of(events: Vec<(i64, Option<String>)>, direction: SortOrder) -> Self {
        let next = events.last().filter(|_| events.len() >= MOST_EVENTS);
        let next = next.map(|(position, _)| LogCursor { position: *position });
        let mut orders: Vec<(i64, String)> =
            events.into_iter().filter_map(|(position, order)| Some((position, order?))).collect();
        // Of each order the latest comes first, and stays.
        orders.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let mut met = std::collections::HashSet::new();
        orders.retain(|(_, order)| met.insert(order.clone()));
        if direction == SortOrder::Ascending {
            orders.reverse();
        }
        Self { orders, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_once_at_its_last_event() {
        let of = |order: &str| Some(order.to_owned());
        let events = vec![(1, of("a")), (2, of("b")), (3, None), (4, of("a")), (7, of("c")), (8, of("b"))];
        let orders = [(4, "a".to_owned()), (7, "c".to_owned()), (8, "b".to_owned())];
        let forwards = LogStretch::of(events.clone(), SortOrder::Ascending);
        assert_eq!(forwards, LogStretch { orders: orders.to_vec(), next: None });
        let backwards = LogStretch::of(events.into_iter().rev().collect(), SortOrder::Descending);
        assert_eq!(backwards.orders, orders.into_iter().rev().collect::<Vec<_>>());
    }
}
