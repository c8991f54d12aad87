//! What every role talks to: the database, SQS, SES, and where the read models are.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use event_store::database_checks::DurabilityError;
use read_models::ReadModels;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::aws;
use crate::settings::{DatabaseUrl, KeptIn, Settings};

/// How long to wait for a connection. A request that waits longer is better answered 503.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long a connection that was just in use counts as alive.
const TRUSTED: Duration = Duration::from_secs(1);

/// Clients, shared by all roles of the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    /// The pool of database connections.
    pub database: PgPool,
    /// The pool of those who only read, and whom nothing waits for but a client.
    pub reads: PgPool,
    /// The queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The mail service.
    pub ses: aws_sdk_sesv2::Client,
    /// Where the read models are kept.
    pub read_models: Arc<dyn ReadModels>,
    /// Whether the database may forget what it acknowledged, because that was asked for.
    pub may_forget: bool,
}

impl Connections {
    /// Connects to what the settings name. The database must answer; SQS and SES are asked when they are first needed.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let (database, sqs, ses) = tokio::join!(database(settings), aws::sqs(&settings.aws), aws::ses(&settings.aws));
        let database = database?;
        let (read_models, reads) = (read_models(settings, &database).await?, reads(settings)?);
        Ok(Self { read_models, database, reads, sqs, ses, may_forget: false })
    }

    /// Refuses a database whose sessions are not its clients' own, or that could forget what it acknowledged, unless that was
    /// asked for.
    pub async fn check_database(&mut self, unsafe_durability: bool) -> anyhow::Result<()> {
        event_store::database_checks::check_sessions(&self.database).await?;
        self.may_forget = unsafe_durability;
        match event_store::database_checks::check_durability(&self.database).await {
            Err(off @ DurabilityError::Off { .. }) if unsafe_durability => {
                tracing::warn!(error = %off, "started all the same, as --unsafe-durability says");
                Ok(())
            }
            checked => Ok(checked?),
        }
    }
}

/// Whoever stalls inside a transaction holds others up, above all the writers of events, who take turns: so no session may
/// stall for long. And a server that can't reach a client any more must find out, for the sake of that client's locks.
const BOUNDS: &str = "set idle_in_transaction_session_timeout = '60s'; set lock_timeout = '30s';
     set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3";

/// A pool of connections to the database in the settings, which must answer.
pub async fn database(settings: &Settings) -> anyhow::Result<PgPool> {
    let options = options(settings)?;
    // The pool would try again until its time is up, and then know nothing but that.
    let first = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await;
    let connected = first.context("no answer").and_then(|connected| Ok(connected?));
    connected.with_context(|| cannot_connect(settings))?.close().await?;
    Ok(pool(options, settings.database_connections, PATIENCE, BOUNDS.to_owned()))
}

/// A pool to the same database for those who only read. However slow they are, nobody waits for them: theirs are other
/// connections, and no statement takes long.
pub fn reads(settings: &Settings) -> anyhow::Result<PgPool> {
    let patience = settings.read_timeout;
    let bounds = format!("{BOUNDS}; set statement_timeout = {}", patience.as_millis());
    Ok(pool(options(settings)?, settings.read_connections, patience, bounds))
}

fn options(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = named(settings)?.expose().parse().with_context(|| cannot_connect(settings))?;
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("ordo"),
    })
}

fn cannot_connect(settings: &Settings) -> String {
    let url = settings.database_url.as_ref().map(DatabaseUrl::to_string).unwrap_or_default();
    format!("cannot connect to the database at {url}; is it running, and is DATABASE_URL right?")
}

/// Connections that are made when they are needed, and begin with `bounds`.
fn pool(options: PgConnectOptions, most: u32, patience: Duration, bounds: String) -> PgPool {
    let bounds: Arc<str> = bounds.into();
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(patience)
        .test_before_acquire(false)
        .before_acquire(|connection, about| Box::pin(is_alive(connection, about.idle_for)))
        .after_connect(move |connection, _| {
            let bounds = Arc::clone(&bounds);
            Box::pin(async move { connection.execute(&*bounds).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// Whether a pooled connection can be used. Asking the server costs each use a round trip, and never asking fails a request for
/// each connection that the server's restart ended. A restart takes longer than [`TRUSTED`], so only those that have been
/// idle for that long are asked.
async fn is_alive(connection: &mut PgConnection, idle: Duration) -> Result<bool, sqlx::Error> {
    if idle > TRUSTED {
        connection.ping().await?;
    }
    Ok(true)
}

/// Where the settings say that the read models are kept.
pub async fn read_models(settings: &Settings, database: &PgPool) -> anyhow::Result<Arc<dyn ReadModels>> {
    match settings.read_models {
        KeptIn::Postgres => Ok(in_postgres(database)),
        KeptIn::Dynamodb => in_dynamodb(settings, database).await,
    }
}

/// Read models in the database that has the events.
pub fn in_postgres(database: &PgPool) -> Arc<dyn ReadModels> {
    Arc::new(read_models::postgres::Postgres::new(database.clone()))
}

#[cfg(feature = "dynamodb")]
async fn in_dynamodb(settings: &Settings, database: &PgPool) -> anyhow::Result<Arc<dyn ReadModels>> {
    let (client, prefix) = (aws::dynamodb(&settings.aws).await, settings.dynamodb_prefix.clone());
    Ok(Arc::new(read_models::dynamodb::Dynamodb::new(client, database.clone(), prefix)))
}

/// The settings refuse it.
#[cfg(not(feature = "dynamodb"))]
async fn in_dynamodb(_settings: &Settings, _database: &PgPool) -> anyhow::Result<Arc<dyn ReadModels>> {
    anyhow::bail!("this program was built without DynamoDB")
}

fn named(settings: &Settings) -> anyhow::Result<&DatabaseUrl> {
    settings
        .database_url
        .as_ref()
        .context("DATABASE_URL is not set, and no platform runs in .ordo: set it, or start one with `ordo up` (--data-dir, if it is elsewhere)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    #[tokio::test]
    async fn slow_reads_take_no_connections_from_others_and_end() {
        // Given
        let ours = testkit::database().await;
        let variables = [("DATABASE_URL", ours.url()), ("ORDO_READ_CONNECTIONS", "2"), ("ORDO_READ_TIMEOUT", "1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::load(Sources::default().environment(variables)).unwrap().settings;
        let (database, reads) = (database(&settings).await.unwrap(), reads(&settings).unwrap());
        let slow = (0..8).map(|_| {
            let reads = reads.clone();
            tokio::spawn(async move { sqlx::query("select pg_sleep(3600)").execute(&reads).await })
        });
        let slow: Vec<_> = slow.collect();

        // Then
        let mut others = Vec::new();
        for _ in 0..settings.database_connections {
            others.push(database.acquire().await.unwrap());
        }
        for read in slow {
            let error = read.await.unwrap().unwrap_err();
            let cancelled = error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code)
                .is_some_and(|code| code == "57014");
            assert!(cancelled || matches!(error, sqlx::Error::PoolTimedOut), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_meets_a_connection_that_a_restart_ended() {
        // Given
        let ours = testkit::database().await;
        let variables = [("DATABASE_URL".to_owned(), ours.url().to_owned())];
        let settings = Settings::load(Sources::default().environment(variables)).unwrap().settings;
        let pool = database(&settings).await.unwrap();
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&pool).await.unwrap();

        // When
        sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(ours.pool()).await.unwrap();
        tokio::time::sleep(TRUSTED + Duration::from_millis(100)).await;

        // Then
        let next: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&pool).await.unwrap();
        assert_ne!(next, pid);
    }
}
