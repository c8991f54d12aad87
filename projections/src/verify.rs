//! Verifies that every read model is what its projection makes of the events: each stream is folded again and compared
//! with the stored items.
//!
//! The streams come one after the other, from one snapshot of the log. The items are read a little later; items that
//! were written since the snapshot, or are still to be written, are skipped. Only the current streams' items are in
//! memory, and a Bloom filter of the keys of the earlier ones, so the memory does not grow with the log. The tallies
//! are kept until the end.
//!
//! - `stream`: one stream, folded again up to the checkpoint and up to the end of the log.
//! - `read_model`: one read model, compared with what is stored.
//! - `report`: the result.
//! - `sums`: the tallies.
//! - `difference`: how two items differ, in words.
//! - `bloom_filter`: the keys that were seen.

mod bloom_filter;
mod difference;
mod read_model;
mod report;
mod stream;
mod sums;

use event_store::StoredEvent;
use read_models::GenerationStore;
use sqlx::PgConnection;

use self::read_model::ReadModelCheck;
pub use self::report::{Discrepancy, VerificationReport};
use crate::error::ProjectError;
use crate::registry::REGISTRY;

/// Verifies all read models. It gets the log stream by stream.
#[derive(Debug)]
pub struct ReadModelVerifier {
    checks: Vec<ReadModelCheck>,
    report: VerificationReport,
}

impl ReadModelVerifier {
    /// Begins in a transaction with one snapshot. All events of the snapshot have to be passed to [`read`](Self::read).
    pub async fn begin(connection: &mut PgConnection, read_models: &dyn GenerationStore) -> Result<Self, sqlx::Error> {
        let last = "select coalesce(max(global_position), 0) from events";
        let last: i64 = sqlx::query_scalar(last).fetch_one(&mut *connection).await?;
        let mut checks = Vec::with_capacity(REGISTRY.len());
        for projection in REGISTRY {
            checks.push(ReadModelCheck::new(connection, read_models, projection, last).await?);
        }
        Ok(Self { checks, report: VerificationReport::default() })
    }

    /// Takes the next events. They come stream by stream, the oldest event of each first.
    pub async fn read(&mut self, connection: &mut PgConnection, events: &[StoredEvent]) -> Result<(), ProjectError> {
        let same_stream = |one: &StoredEvent, next: &StoredEvent| {
            one.stream_id == next.stream_id && one.stream_type == next.stream_type
        };
        for events in events.chunk_by(same_stream) {
            for check in &mut self.checks {
                check.fold(events, &mut self.report);
                check.compare_pending(connection, false, &mut self.report).await?;
            }
        }
        Ok(())
    }

    /// Compares the rest, once all events are read.
    pub async fn end(mut self, connection: &mut PgConnection) -> Result<VerificationReport, ProjectError> {
        for check in &mut self.checks {
            check.end_of_stream();
            check.compare_pending(connection, true, &mut self.report).await?;
            check.compare_sums(&mut self.report).await?;
            check.find_orphans(connection, &mut self.report).await?;
        }
        Ok(self.report)
    }
}
