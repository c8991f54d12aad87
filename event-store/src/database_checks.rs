//! Checks whether a database can keep the platform's promises: that commits survive a crash, and that sessions are real ones.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection, PgPool, Row};
use uuid::Uuid;

/// How long a database may take for each part of [`check_sessions`].
const TIMEOUT: Duration = Duration::from_secs(5);
/// The channel on which [`check_sessions`] notifies itself.
const CHANNEL: &str = "ordo_probe";

/// Why a database can't keep the platform's promises.
#[derive(Debug, thiserror::Error)]
pub enum DurabilityError {
    /// A setting lets the server lose what it acknowledged.
    #[error(
        "the database has {setting} = {value}: it could lose acknowledged orders; turn it on, or start with --unsafe-durability"
    )]
    Off {
        /// The server's name of the setting.
        setting: &'static str,
        value: String,
    },
    /// The settings could not be read.
    #[error("could not read the database's durability settings")]
    Database(#[from] sqlx::Error),
}

/// Checks that a commit of this server survives a crash, and with synchronous replication the loss of the server.
pub async fn check_durability(pool: &PgPool) -> Result<(), DurabilityError> {
    let (fsync, synchronous_commit, full_page_writes, standbys): (String, String, String, String) = sqlx::query_as(
        "select current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'),
                current_setting('synchronous_standby_names')",
    )
    .fetch_one(pool)
    .await?;
    // `local` does not wait for standbys, although there are some.
    let is_off = |value: &str| value == "off" || (value == "local" && !standbys.is_empty());
    let settings =
        [("fsync", fsync), ("synchronous_commit", synchronous_commit), ("full_page_writes", full_page_writes)];
    match settings.into_iter().find(|(_, value)| is_off(value)) {
        Some((setting, value)) => Err(DurabilityError::Off { setting, value }),
        None => Ok(()),
    }
}

/// Why a database's sessions can't be relied on: what the check of them found.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseSessionCheckError {
    /// Statements of one connection run in different sessions.
    #[error(
        "the database does not keep a session from one statement to the next, as behind a proxy that pools by transaction: \
         have the proxy pool by session, or name the database itself in DATABASE_URL"
    )]
    NotKept,
    /// It is a copy of another, which goes on without it.
    #[error("the database is a standby, which takes no events: name the primary in DATABASE_URL, or what leads to it")]
    Standby,
    /// An advisory lock can be taken while another session holds it.
    #[error(
        "advisory locks of the database hold nobody up, so that its events would be in no order: name one in DATABASE_URL \
         that has those of Postgres"
    )]
    NoLocks,
    /// A notification did not come.
    #[error(
        "a NOTIFY of the database does not reach who listens, as behind a proxy that pools by transaction: have the proxy \
         pool by session, or name the database itself in DATABASE_URL"
    )]
    NotHeard,
    /// The check failed.
    #[error("could not try the database's sessions")]
    Database(#[from] sqlx::Error),
}

/// Checks what the platform needs of sessions: they can write, settings stay, an advisory lock excludes other sessions, and a NOTIFY arrives.
/// Statements are not prepared, because a proxy may not keep prepared ones.
pub async fn check_sessions(pool: &PgPool) -> Result<(), DatabaseSessionCheckError> {
    let mut one = PgListener::connect_with(pool).await?;
    let mut other = PgConnection::connect_with(&pool.connect_options()).await?;
    if sqlx::raw_sql("select pg_is_in_recovery()").fetch_one(&mut other).await?.try_get(0)? {
        return Err(DatabaseSessionCheckError::Standby);
    }
    let token = Uuid::new_v4();
    one.listen(CHANNEL).await?;
    sqlx::raw_sql(&format!("set ordo.probe = '{token}'")).execute(&mut one).await?;

    // While the second connection is in a transaction, its session can't be shared. Behind a proxy that shares sessions the first
    // connection has another session now.
    let (half, _) = token.as_u64_pair();
    let key = half.cast_signed();
    let begun = sqlx::raw_sql(&format!("begin; select pg_advisory_xact_lock({key})")).execute(&mut other).await;
    begun.map_err(
        |error| if is_protocol_violation(&error) { DatabaseSessionCheckError::NotKept } else { error.into() },
    )?;
    let held = tokio::time::timeout(TIMEOUT, async {
        for _ in 0..3 {
            let kept = sqlx::raw_sql("select current_setting('ordo.probe', true)").fetch_one(&mut one).await?;
            if kept.try_get::<Option<String>, _>(0)? != Some(token.to_string()) {
                return Err(DatabaseSessionCheckError::NotKept);
            }
        }
        let again = format!("select pg_try_advisory_xact_lock({key})");
        Ok(!sqlx::raw_sql(&again).fetch_one(&mut one).await?.try_get::<bool, _>(0)?)
    });
    // No answer: there is only one session, and the second connection has it.
    if !held.await.unwrap_or(Err(DatabaseSessionCheckError::NotKept))? {
        return Err(DatabaseSessionCheckError::NoLocks);
    }

    sqlx::raw_sql(&format!("select pg_notify('{CHANNEL}', '{token}'); commit")).execute(&mut other).await?;
    let heard = tokio::time::timeout(TIMEOUT, async {
        while one.recv().await?.payload() != token.to_string() {}
        Ok::<_, sqlx::Error>(())
    });
    heard.await.map_err(|_| DatabaseSessionCheckError::NotHeard)??;
    sqlx::raw_sql("reset ordo.probe").execute(&mut one).await?;
    Ok(other.close().await?)
}

/// What a proxy that pools by statement says to a transaction.
fn is_protocol_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "08P01")
}
