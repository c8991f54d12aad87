//! Databases beside the platform's, on the same server.

use anyhow::{Context, anyhow, ensure};
use event_store::bulk::{LogImportError, copy_in};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use url::Url;

use crate::baseline::STOCK_TABLE;
use crate::generated_log::GeneratedLog;
use crate::program::Ordo;

/// A database of the server that a benchmark runs on.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) url: String,
    /// For what a benchmark itself wants to know of it.
    pub(crate) pool: PgPool,
}

impl Database {
    pub(crate) async fn at(url: &str) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await;
        Ok(Self { url: url.to_owned(), pool: pool.context("cannot connect to the benchmark's own database")? })
    }

    /// Fills its log, which is empty, as `ordo events import` does.
    pub(crate) async fn import(&self, log: &mut GeneratedLog) -> anyhow::Result<()> {
        let events = log.left();
        let made = copy_in(PgConnection::connect(&self.url).await?, log).await.map_err(|error| match error {
            LogImportError::Source(error) => error,
            LogImportError::NotEmpty => anyhow!("the log is not empty"),
            LogImportError::Database(error) => error.into(),
        })?;
        ensure!(made.events == events, "only {} events were made", made.events);
        Ok(())
    }

    /// A new, empty one on the same server.
    async fn beside(&self, name: &str) -> anyhow::Result<Self> {
        self.pool.execute(format!("create database {name}").as_str()).await?;
        let mut url = Url::parse(&self.url).context("the database has no address")?;
        url.set_path(name);
        Self::at(url.as_str()).await
    }

    /// One with the table that stock postgres-es asks for.
    pub(crate) async fn stock(&self, name: &str) -> anyhow::Result<Self> {
        let stock = self.beside(name).await?;
        stock.pool.execute(STOCK_TABLE).await?;
        Ok(stock)
    }

    /// One with the platform's schema and so many events of orders that nobody asks for.
    pub(crate) async fn preloaded(&self, ordo: &Ordo, events: u64) -> anyhow::Result<Self> {
        let preloaded = self.beside("ordo_preloaded").await?;
        ordo.migrate(&preloaded.url).await?;
        let events = i64::try_from(events).context("that is too many events")?;
        sqlx::query(PRELOAD).bind(events).execute(&preloaded.pool).await.context("the events cannot be preloaded")?;
        // What writing them left to be done is not to be done while others are measured.
        preloaded.pool.execute("vacuum analyze events").await?;
        preloaded.pool.execute("checkpoint").await?;
        Ok(preloaded)
    }

    /// How many orders there are whose ids begin so.
    pub(crate) async fn orders(&self, prefix: &str) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar(
            "select count(*) from events where aggregate_type = 'order' and aggregate_id like $1 || '%' and sequence = 1",
        )
        .bind(prefix)
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(count)?)
    }

    /// How long the rows of orders are.
    pub(crate) async fn row_bytes(&self) -> anyhow::Result<RowBytes> {
        let sizes = "select octet_length(payload::text), octet_length(metadata::text) from events
                      where aggregate_type = 'order' order by aggregate_id limit 1";
        let sizes: Option<(i32, i32)> = sqlx::query_as(sizes).fetch_optional(&self.pool).await?;
        let (content, metadata) = sizes.unwrap_or(USUAL);
        Ok(RowBytes { content: usize::try_from(content)?, metadata: usize::try_from(metadata)? })
    }
}

/// An event's variable parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowBytes {
    pub(crate) content: usize,
    pub(crate) metadata: usize,
}

/// For a table without any rows.
const USUAL: (i32, i32) = (485, 100);

/// Events of the demo order's size, 1,000 at a time so that their ids are spread as those of real orders are not: over the whole
/// index. Positions and event ids are the table's own.
const PRELOAD: &str = r#"
    insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    select 'order', 'preloaded-' || md5(nth::text), 1, 'OrderCreated', '1.0',
           json_build_object('OrderCreated', json_build_object(
               'customerId', 'customer-' || nth % 1000, 'currency', 'USD', 'totalMinor', 12999,
               'lines', json_build_array(json_build_object(
                   'sku', 'sku-123', 'title', 'Wireless Headphones', 'quantity', 1, 'unitPriceMinor', 12999)),
               'notes', rpad('REST Client sample order', 200, ' and more'),
               'metadata', json_build_object('channel', 'rest-client', 'requestedAt', '1759035874964'))),
           json_build_object('actor', 'shop', 'correlationId', md5(nth::text), 'traceparent', '00-' || md5(nth::text) || '-0000000000000000-01')
      from generate_series(1, $1) as nth"#;
