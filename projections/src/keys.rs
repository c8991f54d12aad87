//! Parts of keys that several read models use.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::order::OrderStatus;
use event_store::partition_of;

/// How many partitions an index with all orders or all SKUs is split into. DynamoDB limits the throughput of each
/// partition; a query about all of them reads each.
const SHARDS: usize = 4;

/// The partition of an index that has a stream's item.
pub(crate) fn sharded(name: &str, stream_id: &str) -> String {
    format!("{name}#{}", partition_of(stream_id) % SHARDS)
}

/// All partitions of that name.
pub(crate) fn shards(name: &str) -> Vec<String> {
    (0..SHARDS).map(|shard| format!("{name}#{shard}")).collect()
}

/// A string that sorts like the time: it always has the same number of digits.
pub(crate) fn sortable(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A string that sorts like the amount, which is 0 or more.
pub(crate) fn sortable_amount(minor: i64) -> String {
    format!("{minor:019}")
}

pub(crate) const STATUSES: [OrderStatus; 5] = [
    OrderStatus::Pending,
    OrderStatus::Confirmed,
    OrderStatus::Completed,
    OrderStatus::Rejected,
    OrderStatus::Cancelled,
];

/// A status in keys and answers.
pub(crate) fn status_name(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "pending",
        OrderStatus::Confirmed => "confirmed",
        OrderStatus::Completed => "completed",
        OrderStatus::Rejected => "rejected",
        OrderStatus::Cancelled => "cancelled",
    }
}

pub(crate) fn status_of(name: &str) -> Option<OrderStatus> {
    STATUSES.into_iter().find(|status| status_name(*status) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_one_name_everywhere() {
        for status in STATUSES {
            assert_eq!(serde_json::to_value(status).unwrap(), status_name(status));
            assert_eq!(status_of(status_name(status)), Some(status));
        }
        assert_eq!(status_of("Pending"), None);
    }

    #[test]
    fn a_streams_partition_is_one_of_all() {
        let all = shards("DAY#2026-11-20");
        assert_eq!(all.len(), SHARDS);
        assert!(["a", "b", "order-4711", ""].iter().all(|id| all.contains(&sharded("DAY#2026-11-20", id))));
    }
}
