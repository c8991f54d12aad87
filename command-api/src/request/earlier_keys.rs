//! The idempotency keys of earlier builds, which knew one caller: the shop.
//!
//! A request that such a build carried out may come again, because its answer was lost. Its key is in the scope that all shops had then.
//! Records are pruned after a day, so from then on nothing is looked up here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use access_control::{Caller, Role};
use event_store::{EventStore, IdempotencyKey, ReadError};
use problem::Problem;

use crate::problems;

/// How often it is looked whether there are such records. A copy of an earlier build may still write some.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Whether there are records of earlier builds, by command.
#[derive(Default)]
pub(super) struct EarlierKeys(Mutex<HashMap<&'static str, EarlierRecords>>);

#[derive(Clone, Copy)]
struct EarlierRecords {
    any: bool,
    looked_at: Instant,
}

impl EarlierKeys {
    /// Puts a key into the scope of earlier builds, if one of them carried out a request under it.
    pub(super) async fn adopt(
        &self,
        store: &EventStore,
        caller: &Caller,
        command: &'static str,
        key: &mut IdempotencyKey,
    ) -> Result<(), Problem> {
        // Nobody else called then.
        if ![Role::Shop, Role::Operator].contains(&caller.principal.role()) {
            return Ok(());
        }
        let known = self.lock().get(command).copied().filter(|known| known.looked_at.elapsed() < LOOK_AGAIN);
        if known.is_some_and(|known| !known.any) {
            return Ok(());
        }
        let earlier = IdempotencyKey { scope: format!("shop {command}"), ..key.clone() };
        let any = match known {
            Some(known) => known.any,
            None => {
                let any = store.has_idempotency_records(&earlier.scope).await.map_err(not_read)?;
                self.lock().insert(command, EarlierRecords { any, looked_at: Instant::now() });
                any
            }
        };
        if any && store.find_idempotency_record(&earlier).await.map_err(not_read)?.is_some() {
            *key = earlier;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, EarlierRecords>> {
        // Every change is a single insert.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_read(error: impl Into<ReadError>) -> Problem {
    problems::not_read(error.into())
}
