//! Which partitions a copy of a subscriber holds, and for how long.
//!
//! A lease is a row with an owner and an expiry time by the database's clock; nobody waits for anybody. If two copies both think that
//! they hold a partition, the fence decides, not the time: see `advance_subscription()`. Each change of leases is one statement, so a
//! copy never freezes in the middle of one.

mod share;

use std::time::Duration;

use error_chain::error_chain;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, PgPool, Row};
use tokio::time::Instant;
use uuid::Uuid;

use self::share::{PartitionLeaseRow, share};
use super::{PARTITIONS, Subscriber};

/// A partition that this copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldPartition {
    pub(super) partition: usize,
    pub(super) position: i64,
    pub(super) fence: i64,
}

/// The partitions that a copy holds.
#[derive(Debug)]
pub(super) struct HeldPartitions {
    pub(super) subscription: String,
    pub(super) owner: Uuid,
    /// By partition.
    pub(super) held: Vec<HeldPartition>,
    length: Duration,
    due: Instant,
}

impl HeldPartitions {
    pub(super) fn new(subscription: &str, length: Duration) -> Self {
        let (subscription, owner) = (subscription.to_owned(), Uuid::now_v7());
        Self { subscription, owner, held: Vec::new(), length, due: Instant::now() }
    }

    /// When to renew: well before the leases run out, and as soon as another copy's lease does.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The partitions may be lost or may have moved: they are renewed before anything else.
    pub(super) fn invalidate(&mut self) {
        self.due = Instant::now();
    }

    /// Renews held partitions, and takes this copy's share of those that are free or of which others hold too many. A subscription
    /// that has not begun begins where the subscriber says.
    pub(super) async fn rebalance(
        &mut self,
        connection: &mut PgConnection,
        subscriber: &mut impl Subscriber,
    ) -> Result<(), sqlx::Error> {
        let began = Instant::now();
        let mut leases = read_leases(connection, &self.subscription).await?;
        if leases.len() < PARTITIONS {
            let mut transaction = connection.begin().await?;
            let after = subscriber.begins_after(&mut transaction).await?;
            begin_after(&mut transaction, &self.subscription, after).await?;
            transaction.commit().await?;
            leases = read_leases(connection, &self.subscription).await?;
        }
        let wanted = share(&leases, self.owner);
        self.held = self.take(connection, &wanted, false).await?;
        let theirs = leases.iter().filter(|lease| lease.owner != Some(self.owner)).filter_map(|lease| lease.left).min();
        let next = theirs.map_or(self.length, |left| left + Duration::from_millis(5)).min(self.length / 3);
        // With fewer than wanted another copy was faster: look again at once.
        self.due = if self.held.len() == wanted.len() { began + next } else { began };
        Ok(())
    }

    /// Takes every partition from its holder, for a rebuild: no copy takes a share while the lease runs.
    pub(super) async fn take_all(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        begin_after(connection, &self.subscription, 0).await?;
        while self.held.len() < PARTITIONS {
            let all = read_leases(connection, &self.subscription).await?;
            self.held = self.take(connection, &all.iter().collect::<Vec<_>>(), true).await?;
        }
        self.due = Instant::now() + self.length / 3;
        Ok(())
    }

    /// Renews the leases while other work is done. Returns only if a lease was lost.
    pub(super) async fn renew_until_lost(&mut self, pool: &PgPool) {
        loop {
            tokio::time::sleep_until(self.due.max(Instant::now() + self.length / 10)).await;
            match self.renew(pool).await {
                Ok(true) => self.due = Instant::now() + self.length / 3,
                Ok(false) => return,
                Err(error) => {
                    let subscription = &self.subscription;
                    tracing::warn!(subscription, error = %error_chain(&error), "leases were not renewed");
                }
            }
        }
    }

    /// Renews the leases, and says whether all are still held.
    async fn renew(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let renew = sqlx::query_scalar("select renew_partitions($1, $2, $3)").bind(&self.subscription);
        let renewed: i64 = renew.bind(self.owner).bind(self.milliseconds()).fetch_one(pool).await?;
        Ok(usize::try_from(renewed) == Ok(self.held.len()))
    }

    /// Gives all partitions back, and notifies other copies.
    pub(super) async fn release(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let release = sqlx::query("select release_partitions($1, $2)").bind(&self.subscription).bind(self.owner);
        release.execute(connection).await?;
        self.held.clear();
        Ok(())
    }

    /// Moves all held partitions to a position: the last statement of the transaction. Fails if one of them is no longer held.
    pub(super) async fn advance(&self, transaction: &mut PgConnection, to: i64) -> Result<(), sqlx::Error> {
        let advance = sqlx::query("select advance_subscription($1, $2, $3, $4, $5)");
        let advance = advance.bind(&self.subscription).bind(self.owner);
        let advance = advance.bind(numbers(self.held.iter().map(|held| held.partition)));
        let advance = advance.bind(self.held.iter().map(|held| held.fence).collect::<Vec<_>>()).bind(to);
        advance.execute(transaction).await?;
        Ok(())
    }

    /// Moves all that is held to a position and gives it back, with the commit of the transaction.
    pub(super) async fn release_at(
        &mut self,
        transaction: &mut PgConnection,
        position: i64,
    ) -> Result<(), sqlx::Error> {
        // Taken exclusively before the next statement takes it shared: two transactions that upgraded it would deadlock.
        sqlx::query("select lock_leases($1)").bind(&self.subscription).execute(&mut *transaction).await?;
        self.advance(transaction, position).await?;
        self.release(transaction).await
    }

    async fn take(
        &self,
        connection: &mut PgConnection,
        wanted: &[&PartitionLeaseRow],
        alone: bool,
    ) -> Result<Vec<HeldPartition>, sqlx::Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let rows =
            sqlx::query("select partition, position, fence from take_partitions($1, $2, $3, $4, $5, $6) order by 1")
                .bind(&self.subscription)
                .bind(self.owner)
                .bind(numbers(wanted.iter().map(|lease| lease.partition)))
                .bind(wanted.iter().map(|lease| lease.fence).collect::<Vec<_>>())
                .bind(self.milliseconds())
                .bind(alone)
                .fetch_all(connection)
                .await?;
        let held =
            |row| Ok(HeldPartition { partition: partition(row)?, position: row.try_get(1)?, fence: row.try_get(2)? });
        rows.iter().map(held).collect()
    }

    fn milliseconds(&self) -> i64 {
        i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Has a subscription that has not begun yet begin after a position. One that has begun goes on where it is.
async fn begin_after(connection: &mut PgConnection, subscription: &str, position: i64) -> Result<(), sqlx::Error> {
    let begin = "insert into subscription_partitions (subscription, partition, position)
                 select $1, unnest($2::smallint[]), $3 on conflict do nothing";
    let begin = sqlx::query(begin).bind(subscription).bind(numbers(0..PARTITIONS)).bind(position);
    begin.execute(connection).await.map(drop)
}

/// All leases of a subscription, by partition; fewer than there are partitions if it has not begun.
async fn read_leases(connection: &mut PgConnection, subscription: &str) -> Result<Vec<PartitionLeaseRow>, sqlx::Error> {
    // A lease also ends with its owner's session. The start of other roles' sessions may not be visible.
    let look = "select p.partition, p.owner, p.fence, p.exclusive,
                       case when a.pid is not null then extract(epoch from p.leased_until - clock_timestamp())::float8 end
                  from subscription_partitions p
                  left join pg_stat_activity a on a.pid = p.session and coalesce(a.backend_start = p.session_from, true)
                 where p.subscription = $1 order by p.partition";
    let rows = sqlx::query(look).bind(subscription).fetch_all(connection).await?;
    let lease = |row: &PgRow| {
        let seconds_left: Option<f64> = row.try_get(4)?;
        let left = seconds_left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let (owner, fence, exclusive) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok(PartitionLeaseRow { partition: partition(row)?, owner, fence, exclusive, left })
    };
    rows.iter().map(lease).collect()
}

/// Partitions as the database numbers them.
pub(super) fn numbers(partitions: impl Iterator<Item = usize>) -> Vec<i16> {
    partitions.filter_map(|partition| i16::try_from(partition).ok()).collect()
}

/// The partition in a row's first column.
pub(super) fn partition(row: &PgRow) -> Result<usize, sqlx::Error> {
    let number: i16 = row.try_get(0)?;
    usize::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}
