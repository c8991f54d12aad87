//! Which streams of the log belong to this platform.
//!
//! Other programs may keep streams of other types in the same log. These foreign streams are counted, sealed, exported and imported with
//! the log, and shown to operators. Nothing here folds them or shows them to clients.

use cqrs_es::Aggregate;

use crate::dead_letter::DeadLetterDecisions;
use crate::document::DocumentSeries;
use crate::order::Order;
use crate::order_number::OrderNumberSeries;
use crate::stock::Stock;

/// The types of streams whose events clients can follow. The orders' events name the numbers of series.
pub const FOLLOWED_STREAM_TYPES: [&str; 2] = [Order::TYPE, Stock::TYPE];

/// Whether streams of this type belong to this platform. All others are foreign.
#[must_use]
pub fn is_known(stream_type: &str) -> bool {
    FOLLOWED_STREAM_TYPES.contains(&stream_type)
        || [DocumentSeries::TYPE, OrderNumberSeries::TYPE, DeadLetterDecisions::TYPE].contains(&stream_type)
}
