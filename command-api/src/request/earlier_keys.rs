//! The idempotency keys of earlier builds, which knew one caller: the shop.
//!
//! A request that such a build carried out may come again, because its answer was lost. Its key is in the scope that all shops had then.
//! In a rolling upgrade a copy of the earlier build may write such a record at any moment, so each key is looked up, and nothing that
//! was found is remembered.

use std::time::{Duration, Instant};

use access_control::{AuthorizedCaller, Role};
use event_store::{EventStore, IdempotencyKey, ReadError};
use problem::Problem;

use crate::problems;

/// How long a process looks for keys of earlier builds: a day for the last copy of such a build to end, and one for which its records
/// are kept.
const LOOKED_FOR: Duration = Duration::from_hours(48);

/// Finds what builds that knew only one caller recorded under idempotency keys. It looks for it for 48 hours after the
/// start.
pub(super) struct LegacyIdempotencyKeys {
    until: Instant,
}

impl Default for LegacyIdempotencyKeys {
    fn default() -> Self {
        Self { until: Instant::now() + LOOKED_FOR }
    }
}

impl LegacyIdempotencyKeys {
    /// Puts a key into the scope of earlier builds, if one of them carried out a request under it.
    pub(super) async fn adopt(
        &self,
        store: &EventStore,
        caller: &AuthorizedCaller,
        command: &'static str,
        key: &mut IdempotencyKey,
    ) -> Result<(), Problem> {
        // Nobody else called then.
        if ![Role::Shop, Role::Operator].contains(&caller.principal.role()) || Instant::now() >= self.until {
            return Ok(());
        }
        let earlier = IdempotencyKey { scope: format!("shop {command}"), ..key.clone() };
        let found = store.find_idempotency_record(&earlier).await.map_err(ReadError::from);
        if found.map_err(problems::not_read)?.is_some() {
            *key = earlier;
        }
        Ok(())
    }
}
