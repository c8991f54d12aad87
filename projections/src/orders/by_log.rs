//! The order of the log: which orders had their last event there.
//!
//! An order's place is its last event up to a bound, which the log alone tells: its item may be older or newer. Forwards the bound is
//! where the read model has got to with all orders, so that nobody walks past a change that can't be read yet. It moves on with the
//! read model, and an order that changed meanwhile comes again. Backwards the bound is the end of the log when the walk began, so that
//! an order that changes meanwhile keeps its place.

use event_store::operations::checkpoints;
use event_store::read::last_position;
use read_models::SortOrder;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::PROJECTION;

/// The most events of which one request reads whose they are. It does not read the events themselves.
const MOST_EVENTS: i64 = 2_000;

/// Where a page ended in a walk along the log: the walk goes on beyond this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogCursor {
    pub(super) position: i64,
    /// Backwards: the end of the log when the walk began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) began_at: Option<i64>,
}

/// A stretch of the log.
#[derive(Debug)]
pub(super) struct LogStretch {
    /// The orders that have their last event in it, each with the position of that event, in the order of the walk.
    pub(super) orders: Vec<(i64, String)>,
    /// `None`: the walk ends here.
    pub(super) next: Option<LogCursor>,
    /// As in the cursor.
    pub(super) began_at: Option<i64>,
}

impl LogStretch {
    /// The events beyond a cursor, or the first ones.
    pub(super) async fn read(
        pool: &PgPool,
        after: Option<LogCursor>,
        direction: SortOrder,
    ) -> Result<Self, sqlx::Error> {
        let (bound, began_at, first) = match direction {
            SortOrder::Ascending => (passed_by_all(pool).await?, None, 0),
            SortOrder::Descending => {
                let began_at = match after.and_then(|after| after.began_at) {
                    Some(began_at) => began_at,
                    None => last_position(pool).await?,
                };
                (began_at, Some(began_at), i64::MAX)
            }
        };
        // What the limit counts are all events, so that those of stock don't make it longer.
        let (beyond, order) = match direction {
            SortOrder::Ascending => (">", "asc"),
            SortOrder::Descending => ("<", "desc"),
        };
        let statement = format!(
            "select e.global_position, case when e.aggregate_type = 'order' then
                    case when not exists (select from events later
                                           where later.aggregate_type = 'order' and later.aggregate_id = e.aggregate_id
                                             and later.sequence > e.sequence and later.global_position <= $2)
                         then e.aggregate_id end end
               from events e where e.global_position {beyond} $1 and e.global_position <= $2
              order by e.global_position {order} limit $3"
        );
        let position = after.map_or(first, |after| after.position);
        let events: Vec<(i64, Option<String>)> =
            sqlx::query_as(&statement).bind(position).bind(bound).bind(MOST_EVENTS).fetch_all(pool).await?;
        let last = events.last().map(|(position, _)| *position);
        let is_last = i64::try_from(events.len()).is_ok_and(|read| read < MOST_EVENTS);
        let orders = events.into_iter().filter_map(|(position, order)| Some((position, order?))).collect();
        let next = last.filter(|_| !is_last).map(|position| LogCursor { position, began_at });
        Ok(Self { orders, next, began_at })
    }
}

/// The position up to which the read model has taken all events.
async fn passed_by_all(pool: &PgPool) -> Result<i64, sqlx::Error> {
    Ok(checkpoints(pool).await?.get(PROJECTION.name).copied().unwrap_or_default())
}
