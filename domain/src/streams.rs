//! Which streams are ours.
//!
//! Others may keep streams of kinds of their own in the same log. Those are foreign: they are counted, sealed, exported and imported with
//! the log, and shown to operators; nobody here follows them, looks into them, or shows them to clients.

use cqrs_es::Aggregate;

use crate::order::Order;
use crate::stock::Stock;

/// The kinds of streams that this platform keeps.
pub const STREAM_TYPES: [&str; 2] = [Order::TYPE, Stock::TYPE];

/// Whether streams of this kind are this platform's; any others are foreign.
#[must_use]
pub fn is_ours(stream_type: &str) -> bool {
    STREAM_TYPES.contains(&stream_type)
}
