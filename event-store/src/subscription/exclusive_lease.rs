//! An exclusive lease on a subscription, for replacing what it wrote.

use sqlx::{PgConnection, PgPool};

use super::LeaseSettings;
use super::leases::HeldPartitions;

/// All partitions of a subscription, held by one owner. The subscription's copies are fenced out: a batch that they are working on
/// does not commit. If the owner dies, the copies go on when the lease has run out, and the owner's session is ended then.
pub struct ExclusiveLease(HeldPartitions);

impl ExclusiveLease {
    /// Takes the partitions, at once and for everyone to see: not in a transaction.
    pub async fn acquire(
        connection: &mut PgConnection,
        subscription: &str,
        settings: LeaseSettings,
    ) -> Result<Self, sqlx::Error> {
        let mut leases = HeldPartitions::new(subscription, settings.lease);
        leases.take_all(connection).await?;
        Ok(Self(leases))
    }

    /// Everything up to this position was handled when the partitions were taken.
    pub fn position(&self) -> i64 {
        self.0.held.iter().map(|held| held.position).min().unwrap_or(0)
    }

    /// Does work while the lease is renewed; `None`: the lease was lost in the meantime.
    pub async fn while_held<T>(&mut self, pool: &PgPool, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.0.renew_until_lost(pool) => None,
        }
    }

    /// Moves the subscription on to a position, deletes its parked events, and gives it back to its copies, all with the commit that
    /// must follow; the copies wait for that. Fails if the lease was lost.
    pub async fn release_at(mut self, transaction: &mut PgConnection, position: i64) -> Result<(), sqlx::Error> {
        self.0.release_at(&mut *transaction, position).await?;
        let delete = sqlx::query("delete from parked_events where subscription = $1");
        delete.bind(&self.0.subscription).execute(transaction).await?;
        Ok(())
    }

    /// Gives the subscription back as it was.
    pub async fn release(mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        self.0.release(&mut *pool.acquire().await?).await
    }
}
