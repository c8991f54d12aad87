//! Snapshots of SKUs equal the fold of their events.
//!
//! A snapshot that is ahead of the log, or of another build, is not used by anybody and not checked.

use std::collections::HashMap;

use domain::stock::Stock;
use event_store::StoredEvent;
use event_store::snapshots::SnapshotToVerify;
use sqlx::PgConnection;

use super::findings::Findings;

/// The digests of the stock snapshots that this build can use, by SKU.
pub(super) struct SnapshotDigestsBySku(HashMap<String, SnapshotToVerify>);

impl SnapshotDigestsBySku {
    pub(super) async fn read(connection: &mut PgConnection, findings: &mut Findings) -> Result<Self, sqlx::Error> {
        let mut snapshots = event_store::snapshots::usable_snapshots::<Stock>(connection).await?;
        snapshots.retain(|sku, snapshot| {
            if !snapshot.intact {
                findings.add(about(sku), format!("its snapshot at version {} is damaged", snapshot.version));
            }
            snapshot.intact
        });
        Ok(Self(snapshots))
    }

    /// Compares a SKU after an event with its snapshot of that version, if there is one.
    pub(super) fn check(
        &self,
        event: &StoredEvent,
        stock: &Stock,
        findings: &mut Findings,
    ) -> Result<(), serde_json::Error> {
        if let Some(snapshot) = self.0.get(&event.stream_id)
            && !snapshot.agrees_with(event, stock)?
        {
            let what = format!("its snapshot at version {} is not what its events come to", snapshot.version);
            findings.add(about(&event.stream_id), what);
        }
        Ok(())
    }
}

fn about(sku: &str) -> String {
    format!("SKU {sku}")
}
