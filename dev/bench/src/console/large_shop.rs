//! A platform's data as it is after a long time: many orders that are done, their read models, and sagas that are stuck.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{TimeDelta, Utc};
use embedded::postgres::{Options, Postgres};
use sqlx::Executor;
use tempfile::TempDir;

use crate::args::Console;
use crate::databases::Database;
use crate::generated_log::GeneratedLog;
use crate::orders::OrderBody;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::replay::process::replay;

/// Of each order in the log.
const EVENTS: u64 = 5;
/// Without any progress for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever follows the log beside read models has seen all of it, long ago.
const FOLLOWED: &str = "
    insert into subscription_partitions (subscription, partition, position)
    select name, partition, (select max(global_position) from events)
      from unnest(array['order_fulfilment', 'webhooks']) as name, generate_series(0, 15) as partition
        on conflict (subscription, partition) do update set position = excluded.position";

/// The newest orders ship. Their payments were made by the generator, and the sandbox knows nothing of them: to take their money is refused,
/// and the sagas are stuck.
const SHIPPED: &str = r#"
    insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    select 'order', aggregate_id, sequence + 1, 'OrderShipped', '3.0',
           '{"OrderShipped":{"shipmentId":"s-1","lines":[{"lineNumber":1,"quantity":1}],"parcels":[]}}',
           '{"actor":"shop","correlationId":"bench"}'
      from events where event_type = 'NotificationSent' order by global_position desc limit $1"#;

pub(super) struct LargeShop {
    postgres: Postgres,
    pub(super) database: Database,
    _folder: TempDir,
}

impl LargeShop {
    /// Its orders are of the weeks until now.
    pub(super) async fn make(args: &Console, ordo: &Ordo, progress: &Progress) -> anyhow::Result<Self> {
        progress.say("starting a database");
        let folder = tempfile::tempdir()?;
        let postgres = Postgres::start(Options { data_dir: folder.path().to_owned(), ephemeral: true }).await?;
        let database = Database::at(&postgres.url()).await?;
        let shop = Self { postgres, database, _folder: folder };
        let Self { database, .. } = &shop;
        ordo.migrate(&database.url).await?;
        progress.say(&format!("making {} orders", args.orders));
        let events = args.orders * EVENTS;
        let just_now = Utc::now() - TimeDelta::minutes(1);
        database.import(&mut GeneratedLog::new(events, OrderBody::Demo, false)?.until(just_now)?).await?;
        database.pool.execute("vacuum analyze events").await?;
        progress.say("making their read models");
        let replayed = replay(ordo, &database.url, None, false).await?;
        ensure!(replayed.events == events, "read models were made of {} events", replayed.events);
        database.pool.execute(FOLLOWED).await?;
        let stuck = i64::try_from(args.stuck).context("that is too many sagas")?;
        sqlx::query(SHIPPED).bind(stuck).execute(&database.pool).await.context("no order can ship")?;
        // What writing it left to be done is not to be done while it is read.
        for done in ["vacuum analyze read_model_orders", "vacuum analyze read_model_sales", "checkpoint"] {
            database.pool.execute(done).await?;
        }
        Ok(shop)
    }

    /// Waits until all that follows the log has handled what is in it, and so many sagas are stuck.
    pub(super) async fn until_stuck(&self, wanted: u64) -> anyhow::Result<()> {
        let (mut before, mut since) = ((0, i64::MAX), Instant::now());
        loop {
            let lag = event_store::operations::lag(&self.database.pool).await?;
            let behind = lag.iter().map(|it| it.lag_events).max().unwrap_or(0);
            let stuck = "select count(*) from saga_work where stuck";
            let stuck: i64 = sqlx::query_scalar(stuck).fetch_one(&self.database.pool).await?;
            if behind == 0 && u64::try_from(stuck)? >= wanted {
                ensure!(u64::try_from(stuck)? == wanted, "{stuck} sagas are stuck, not {wanted}");
                return Ok(());
            }
            if (stuck, behind) != before {
                (before, since) = ((stuck, behind), Instant::now());
            }
            ensure!(
                since.elapsed() < PATIENCE,
                "nothing happens any more: {stuck} sagas are stuck, and a subscription is {behind} events behind"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The id of one whose saga is stuck.
    pub(super) async fn an_order(&self) -> anyhow::Result<String> {
        let newest =
            "select aggregate_id from events where event_type = 'NotificationSent' and aggregate_type = 'order'
                       order by global_position desc limit 1";
        sqlx::query_scalar(newest).fetch_one(&self.database.pool).await.context("there is no order")
    }

    pub(super) async fn stop(self) {
        self.postgres.stop().await;
    }
}
