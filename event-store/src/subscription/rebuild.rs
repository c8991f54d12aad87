//! Taking a subscription's work out of its copies' hands for a moment, to put something else in the place of what it wrote.

use sqlx::{PgConnection, PgPool};

use super::SubscriptionSettings;
use super::leases::Leases;

/// All partitions of a subscription, held alone. Its copies are fenced out: what they are in the middle of does not commit. If
/// whoever holds this dies, the copies go on when its lease has run out; the session that began it is ended then.
pub struct Takeover(Leases);

impl Takeover {
    /// Takes the partitions, from now on and for everyone to see: not in a transaction.
    pub async fn begin(
        connection: &mut PgConnection,
        subscription: &str,
        settings: SubscriptionSettings,
    ) -> Result<Self, sqlx::Error> {
        let mut leases = Leases::new(subscription, settings.lease);
        leases.take_all(connection).await?;
        Ok(Self(leases))
    }

    /// Everything up to here was done when the partitions were taken.
    pub fn position(&self) -> i64 {
        self.0.held.iter().map(|held| held.position).min().unwrap_or(0)
    }

    /// Does something while the lease is renewed; `None`: it was lost in the meantime.
    pub async fn hold<T>(&mut self, pool: &PgPool, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.0.keep(pool) => None,
        }
    }

    /// Moves the subscription on to a position, forgets what it had parked, and gives it back to its copies, all with the commit
    /// that must follow: copies wait for it. Fails if the lease was lost.
    pub async fn finish(mut self, transaction: &mut PgConnection, position: i64) -> Result<(), sqlx::Error> {
        self.0.release_at(&mut *transaction, position).await?;
        let forget = sqlx::query("delete from parked_events where subscription = $1");
        forget.bind(&self.0.subscription).execute(transaction).await?;
        Ok(())
    }

    /// Gives the subscription back as it was.
    pub async fn give_up(mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        self.0.release(&mut *pool.acquire().await?).await
    }
}

impl Leases {
    async fn release_at(&mut self, transaction: &mut PgConnection, position: i64) -> Result<(), sqlx::Error> {
        // Before the next statement shares it: two who shared it and wanted it alone would wait for each other.
        sqlx::query("select lock_leases($1)").bind(&self.subscription).execute(&mut *transaction).await?;
        self.advance(transaction, position).await?;
        self.release(transaction).await
    }
}
