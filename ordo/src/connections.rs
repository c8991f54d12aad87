//! The connections of all roles: the database, SQS, SES and the read models.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use event_store::database_checks::DurabilityError;
use read_models::GenerationStore;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::aws;
use crate::settings::{DatabaseUrl, ReadModelStoreKind, Settings};

/// How long to wait for a connection. A request that waits longer is better answered 503.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that was used within this time is not checked.
const ASSUMED_ALIVE: Duration = Duration::from_secs(1);

/// The clients of the database, SQS, SES and the read models, shared by all roles of the process; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SharedClients {
    pub(crate) database: PgPool,
    /// The pool of GET requests.
    pub(crate) reads: PgPool,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) ses: aws_sdk_sesv2::Client,
    pub(crate) read_models: Arc<dyn GenerationStore>,
    /// Whether the database may lose acknowledged orders, because `--unsafe-durability` allows it.
    pub(crate) may_forget: bool,
}

impl SharedClients {
    /// Connects as the settings say. The database must answer; SQS and SES are first asked when they are needed.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let (database, sqs, ses) = tokio::join!(database(settings), aws::sqs(&settings.aws), aws::ses(&settings.aws));
        let database = database?;
        if let Some(url) = settings.database_url.as_ref().filter(|url| url.trusts_the_network()) {
            tracing::warn!(database = %url, "nobody checks that this is the database: leave out sslmode, or set it to verify-full");
        }
        let (read_models, reads) = (read_models(settings, &database).await?, reads(settings)?);
        Ok(Self { read_models, database, reads, sqs, ses, may_forget: false })
    }

    /// Refuses a database whose sessions are shared by a proxy, and one that could lose acknowledged orders, unless that is allowed.
    pub(crate) async fn check_database(&mut self, unsafe_durability: bool) -> anyhow::Result<()> {
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

/// A session that stalls inside a transaction holds up others, above all the writers of events, so its time is limited. And the
/// server must notice clients that it cannot reach any more, in order to free their locks.
const SESSION_TIMEOUTS: &str = "set idle_in_transaction_session_timeout = '60s'; set lock_timeout = '30s';
     set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3";

/// A pool of connections to the database in the settings, which must answer.
pub(crate) async fn database(settings: &Settings) -> anyhow::Result<PgPool> {
    let options = options(settings)?;
    // The pool would retry until its time-out and then report only that, not the cause.
    let first = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await;
    let connected = first.context("no answer").and_then(|connected| Ok(connected?));
    let tls_failed = matches!(&connected, Err(error) if error.downcast_ref().is_some_and(is_of_tls));
    connected
        .with_context(|| if tls_failed { not_proven(settings) } else { cannot_connect(settings) })?
        .close()
        .await?;
    Ok(pool(options, settings.database_connections, PATIENCE, SESSION_TIMEOUTS.to_owned()))
}

/// A pool to the same database for GET requests. Slow ones take no connections from others, and their statements have a time-out.
pub(crate) fn reads(settings: &Settings) -> anyhow::Result<PgPool> {
    let patience = settings.read_timeout;
    let bounds = format!("{SESSION_TIMEOUTS}; set statement_timeout = {}", patience.as_millis());
    Ok(pool(options(settings)?, settings.read_connections, patience, bounds))
}

fn options(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
    let options = database_url(settings)?.connect_options().with_context(|| cannot_connect(settings))?;
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("ordo"),
    })
}

fn cannot_connect(settings: &Settings) -> String {
    let url = settings.database_url.as_ref().map(DatabaseUrl::to_string).unwrap_or_default();
    format!("cannot connect to the database at {url}; is it running, and is DATABASE_URL right?")
}

fn is_of_tls(error: &sqlx::Error) -> bool {
    // An answer that is no proof is invalid data to the driver.
    matches!(error, sqlx::Error::Tls(_))
        || matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData)
}

fn not_proven(settings: &Settings) -> String {
    let url = settings.database_url.as_ref().map(DatabaseUrl::to_string).unwrap_or_default();
    format!(
        "the database at {url} does not prove that it is the one: it needs a certificate for that host from an authority that this \
         machine knows, or that sslrootcert=FILE in DATABASE_URL names"
    )
}

/// A pool that connects when needed. Each session begins with `timeouts`.
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

/// Whether a pooled connection is alive. A check costs a round trip; without checks, a restart of the server fails a request for
/// each connection. A restart takes longer than [`ASSUMED_ALIVE`], so only those that have been
/// idle for longer are checked.
async fn is_alive(connection: &mut PgConnection, idle: Duration) -> Result<bool, sqlx::Error> {
    if idle > ASSUMED_ALIVE {
        connection.ping().await?;
    }
    Ok(true)
}

/// The read models, in the store that the settings choose.
pub(crate) async fn read_models(settings: &Settings, database: &PgPool) -> anyhow::Result<Arc<dyn GenerationStore>> {
    match settings.read_models {
        ReadModelStoreKind::Postgres => Ok(in_postgres(database)),
        ReadModelStoreKind::Dynamodb => in_dynamodb(settings, database).await,
    }
}

/// Read models in the database of the events.
pub(crate) fn in_postgres(database: &PgPool) -> Arc<dyn GenerationStore> {
    Arc::new(read_models::postgres::PostgresReadModels::new(database.clone()))
}

#[cfg(feature = "dynamodb")]
async fn in_dynamodb(settings: &Settings, database: &PgPool) -> anyhow::Result<Arc<dyn GenerationStore>> {
    let (client, prefix) = (aws::dynamodb(&settings.aws).await, settings.dynamodb_prefix.clone());
    Ok(Arc::new(read_models::dynamodb::DynamodbReadModels::new(client, database.clone(), prefix)))
}

/// Not reached: the settings refuse DynamoDB in this build.
#[cfg(not(feature = "dynamodb"))]
async fn in_dynamodb(_settings: &Settings, _database: &PgPool) -> anyhow::Result<Arc<dyn GenerationStore>> {
    anyhow::bail!("this program was built without DynamoDB")
}

fn database_url(settings: &Settings) -> anyhow::Result<&DatabaseUrl> {
    settings
        .database_url
        .as_ref()
        .context("DATABASE_URL is not set, and no platform runs in .ordo: set it, or start one with `ordo up` (--data-dir, if it is elsewhere)")
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::settings::RawSettings;

    #[tokio::test]
    async fn slow_reads_take_no_connections_from_others_and_end() {
        // Given
        let ours = testkit::database().await;
        let variables = [("DATABASE_URL", ours.url()), ("ORDO_READ_CONNECTIONS", "2"), ("ORDO_READ_TIMEOUT", "1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::load(RawSettings::default().environment(variables)).unwrap().settings;
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

    fn settings_for(url: &str) -> Settings {
        let variables = [("DATABASE_URL".to_owned(), url.to_owned())];
        Settings::load(RawSettings::default().environment(variables)).unwrap().settings
    }

    #[tokio::test]
    async fn a_server_is_known_by_its_certificate_and_its_host() {
        // Given a server with a certificate for localhost.
        let ours = testkit::database().await;
        let [server, other] = [(), ()].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
        let data: String = sqlx::query_scalar("show data_directory").fetch_one(ours.pool()).await.unwrap();
        for (name, pem) in [("ca.crt", server.cert.pem()), ("ca.key", server.signing_key.serialize_pem())] {
            let pem = BASE64_STANDARD.encode(pem);
            let write = format!("copy (select '{pem}') to program 'umask 077; base64 -d > {data}/{name}'");
            sqlx::raw_sql(&write).execute(ours.pool()).await.unwrap();
        }
        for set in ["ssl_cert_file = 'ca.crt'", "ssl_key_file = 'ca.key'", "ssl = on"] {
            sqlx::raw_sql(&format!("alter system set {set}")).execute(ours.pool()).await.unwrap();
        }
        sqlx::raw_sql("select pg_reload_conf()").execute(ours.pool()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let certificate_in = |name: &str, pem: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path.display().to_string()
        };
        let (right, wrong) = (certificate_in("right", server.cert.pem()), certificate_in("wrong", other.cert.pem()));
        let at = |host: &str, query: &str| format!("{}{query}", ours.url().replace("127.0.0.1", host));
        let verified = format!("?sslmode=verify-full&sslrootcert={right}");

        // Then, once it has read its settings,
        let is_encrypted = || async {
            let Ok(pool) = database(&settings_for(&at("localhost", &verified))).await else { return false };
            let query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
            sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
        };
        testkit::eventually(Duration::from_secs(20), is_encrypted).await;
        // a host that is not in the certificate, another authority, and one that nobody has named are refused; 127.1 is this
        // machine to the system, and a host like any other to us.
        for (host, query) in [
            ("127.0.0.1", verified.clone()),
            ("localhost", format!("?sslmode=verify-full&sslrootcert={wrong}")),
            ("127.1", String::new()),
        ] {
            let refused = database(&settings_for(&at(host, &query))).await.unwrap_err();
            assert!(refused.to_string().contains("does not prove that it is the one"), "{host}: {refused:#}");
        }
        assert!(database(&settings_for(&at("127.1", "?sslmode=disable"))).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_meets_a_connection_that_a_restart_ended() {
        // Given
        let ours = testkit::database().await;
        let variables = [("DATABASE_URL".to_owned(), ours.url().to_owned())];
        let settings = Settings::load(RawSettings::default().environment(variables)).unwrap().settings;
        let pool = database(&settings).await.unwrap();
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&pool).await.unwrap();

        // When
        sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(ours.pool()).await.unwrap();
        tokio::time::sleep(ASSUMED_ALIVE + Duration::from_millis(100)).await;

        // Then
        let next: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&pool).await.unwrap();
        assert_ne!(next, pid);
    }
}
