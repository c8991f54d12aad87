//! How far subscriptions have come, for those who wait for it.
//!
//! A subscription in this process says so right after its commit: whoever waits here is woken and asks nobody. Where other
//! processes hold partitions, one of those who wait asks the database for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{PgPool, Row};
use tokio::sync::watch;

use super::PARTITIONS;
use super::leases::{Held, partition};
use crate::EventStore;

/// How often the database is asked while others hold partitions.
const OFTEN: Duration = Duration::from_millis(2);
/// And while all of them are held here: a copy that was frozen learns late that it has lost them.
const SELDOM: Duration = Duration::from_millis(100);

/// What this process knows of every subscription.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<HashMap<String, Arc<Known>>>>);

/// What is known of one subscription.
#[derive(Default)]
pub(super) struct Known {
    positions: watch::Sender<Positions>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Positions {
    /// Positions that were committed, by partition. They may be further by now, never less far.
    reached: [i64; PARTITIONS],
    /// How many partitions are held in this process.
    here: usize,
}

impl Progress {
    pub(super) fn of(&self, subscription: &str) -> Arc<Known> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(subscription) {
            return Arc::clone(known);
        }
        Arc::clone(all.entry(subscription.to_owned()).or_default())
    }
}

impl Known {
    /// Says what is held in this process, and how far it is.
    pub(super) fn publish(&self, held: &[Held]) {
        self.positions.send_modify(|positions| {
            positions.here = held.len();
            positions.raise(held.iter().map(|held| (held.partition, held.position)));
        });
    }

    async fn ask(&self, pool: &PgPool, subscription: &str) -> Result<(), sqlx::Error> {
        let ask = "select partition, position from subscription_partitions where subscription = $1";
        let rows = sqlx::query(ask).bind(subscription).fetch_all(pool).await?;
        let reached = |row| Ok((partition(row)?, row.try_get(1)?));
        let reached = rows.iter().map(reached).collect::<Result<Vec<_>, sqlx::Error>>()?;
        self.positions.send_modify(|positions| positions.raise(reached.into_iter()));
        Ok(())
    }
}

impl Positions {
    fn raise(&mut self, reached: impl Iterator<Item = (usize, i64)>) {
        for (partition, position) in reached {
            if let Some(known) = self.reached.get_mut(partition) {
                *known = position.max(*known);
            }
        }
    }

    fn has_passed(&self, position: i64) -> bool {
        self.reached.iter().all(|reached| *reached >= position)
    }
}

impl EventStore {
    /// Waits until a subscription has passed a position of the log, in whichever process it runs. What it wrote on the way can
    /// be seen then, but for parked streams.
    pub async fn until_passed(&self, subscription: &str, position: i64) -> Result<(), sqlx::Error> {
        let known = self.progress.of(subscription);
        let mut positions = known.positions.subscribe();
        loop {
            let all_here = {
                let now = positions.borrow_and_update();
                if now.has_passed(position) {
                    return Ok(());
                }
                now.here == PARTITIONS
            };
            tokio::select! {
                biased;
                // The sender is kept above.
                _ = positions.changed() => {}
                _asking = known.asking.lock() => {
                    let pause = if all_here { SELDOM } else { OFTEN };
                    if !all_here {
                        known.ask(&self.pool, subscription).await?;
                        if positions.borrow().has_passed(position) {
                            return Ok(());
                        }
                    }
                    let quiet = tokio::time::timeout(pause, positions.changed()).await.is_err();
                    if quiet && all_here {
                        known.ask(&self.pool, subscription).await?;
                    }
                }
            }
        }
    }
}
