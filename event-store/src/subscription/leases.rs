//! Which partitions a copy of a subscriber holds, and for how long.
//!
//! A lease is a row with an owner and a time by the database's clock; nobody waits for anybody. What protects the events from
//! two copies that both think they hold a partition is not the time but the fence: see `advance_subscription()`. Whatever changes
//! leases is one statement: a copy that freezes is never in the middle of it.

mod share;

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use tokio::time::Instant;
use uuid::Uuid;

use self::share::{Lease, share};
use super::PARTITIONS;

/// A partition in this copy's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) partition: usize,
    pub(super) position: i64,
    pub(super) fence: i64,
}

/// The partitions that a copy holds.
#[derive(Debug)]
pub(super) struct Leases {
    pub(super) subscription: String,
    pub(super) owner: Uuid,
    /// By partition.
    pub(super) held: Vec<Held>,
    length: Duration,
    /// When to look at the leases again.
    due: Instant,
}

impl Leases {
    pub(super) fn new(subscription: &str, length: Duration) -> Self {
        let (subscription, owner) = (subscription.to_owned(), Uuid::now_v7());
        Self { subscription, owner, held: Vec::new(), length, due: Instant::now() }
    }

    /// When to look at the leases again: well before they run out, and as soon as another copy's does.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// What is held may no longer be so, or may have moved: look before going on.
    pub(super) fn doubt(&mut self) {
        self.due = Instant::now();
    }

    /// Renews what is held, takes this copy's share of what is free, and of what others hold too much of.
    pub(super) async fn settle(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let began = Instant::now();
        let leases = leases(connection, &self.subscription).await?;
        let wanted = share(&leases, self.owner);
        self.held = self.take(connection, &wanted, false).await?;
        let theirs = leases.iter().filter(|lease| lease.owner != Some(self.owner)).filter_map(|lease| lease.left).min();
        let next = theirs.map_or(self.length, |left| left + Duration::from_millis(5)).min(self.length / 3);
        // Less than wanted: someone else was faster.
        self.due = if self.held.len() == wanted.len() { began + next } else { began };
        Ok(())
    }

    /// Takes every partition from whoever holds it, for a rebuild: no copy takes a share of it while the lease runs.
    pub(super) async fn take_all(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        while self.held.len() < PARTITIONS {
            let all = leases(connection, &self.subscription).await?;
            self.held = self.take(connection, &all.iter().collect::<Vec<_>>(), true).await?;
        }
        self.due = Instant::now() + self.length / 3;
        Ok(())
    }

    /// Keeps what is held while something else is done. Ends only if some of it has been lost.
    pub(super) async fn keep(&mut self, pool: &PgPool) {
        loop {
            tokio::time::sleep_until(self.due.max(Instant::now() + self.length / 10)).await;
            match self.renew(pool).await {
                Ok(true) => self.due = Instant::now() + self.length / 3,
                Ok(false) => return,
                Err(error) => {
                    let subscription = &self.subscription;
                    tracing::warn!(subscription, error = &error as &dyn std::error::Error, "leases were not renewed");
                }
            }
        }
    }

    /// Whether all that is held still is.
    async fn renew(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let renew = sqlx::query_scalar("select renew_partitions($1, $2, $3)").bind(&self.subscription);
        let renewed: i64 = renew.bind(self.owner).bind(self.milliseconds()).fetch_one(pool).await?;
        Ok(usize::try_from(renewed) == Ok(self.held.len()))
    }

    /// Gives everything back, and tells the others.
    pub(super) async fn release(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let release = sqlx::query("select release_partitions($1, $2)").bind(&self.subscription).bind(self.owner);
        release.execute(connection).await?;
        self.held.clear();
        Ok(())
    }

    async fn take(
        &self,
        connection: &mut PgConnection,
        wanted: &[&Lease],
        alone: bool,
    ) -> Result<Vec<Held>, sqlx::Error> {
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
        let held = |row| Ok(Held { partition: partition(row)?, position: row.try_get(1)?, fence: row.try_get(2)? });
        rows.iter().map(held).collect()
    }

    fn milliseconds(&self) -> i64 {
        i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Who holds what, by partition. A subscription that is new gets its rows.
async fn leases(connection: &mut PgConnection, subscription: &str) -> Result<Vec<Lease>, sqlx::Error> {
    // A lease also ends with the session of its owner. When sessions of other roles began is not for everyone to see.
    let look = "select p.partition, p.owner, p.fence, p.exclusive,
                       case when a.pid is not null then extract(epoch from p.leased_until - clock_timestamp())::float8 end
                  from subscription_partitions p
                  left join pg_stat_activity a on a.pid = p.session and coalesce(a.backend_start = p.session_from, true)
                 where p.subscription = $1 order by p.partition";
    let mut rows = sqlx::query(look).bind(subscription).fetch_all(&mut *connection).await?;
    if rows.len() < PARTITIONS {
        let make = "insert into subscription_partitions (subscription, partition)
                    select $1, unnest($2::smallint[]) on conflict do nothing";
        sqlx::query(make).bind(subscription).bind(numbers(0..PARTITIONS)).execute(&mut *connection).await?;
        rows = sqlx::query(look).bind(subscription).fetch_all(connection).await?;
    }
    let lease = |row: &PgRow| {
        let seconds_left: Option<f64> = row.try_get(4)?;
        let left = seconds_left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let (owner, fence, exclusive) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok(Lease { partition: partition(row)?, owner, fence, exclusive, left })
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
