//! Waits until a server answers queries, and makes sure that it is ours and has its database.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{access::Access, disk, error::PostgresError, watchdog::Watchdog};

/// Recovery after a crash reads up to `max_wal_size` of changes again: tens of seconds on a slow disk.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a wrong password may be answered: another server may have the port until ours has ended for want of it.
const DOUBT: Duration = Duration::from_secs(5);

/// A recovery on a full disk that has not ended by now waits for room.
const HOPELESS: Duration = Duration::from_secs(10);

/// How waiting ended.
pub(super) enum Readiness {
    /// The server answers, and its database exists.
    Ready,
    /// The server does not take the password.
    Refused,
    /// The server has ended; its log says why.
    Exited,
}

/// Waits for the server on the port.
pub(super) async fn wait(
    watchdog: &mut Watchdog,
    access: &Access,
    port: u16,
    directory: &Path,
) -> Result<Readiness, PostgresError> {
    let began = Instant::now();
    let until = began + PATIENCE;
    let options: PgConnectOptions = access
        .url(port, "postgres")
        .parse()
        .map_err(|source| PostgresError::NotReady { seconds: 0, source: Some(source) })?;
    let options = options.ssl_mode(PgSslMode::Disable);
    let mut refused = None;
    let mut last = None;
    while Instant::now() < until {
        if !watchdog.is_running() {
            return Ok(Readiness::Exited);
        }
        match connect(&options).await {
            Ok(mut connection) => {
                // If it is not ours, another server took the port first, and ours is about to end.
                if serves(&mut connection, directory).await {
                    create_database(&mut connection).await?;
                    // The server notices a closed connection by itself.
                    let _ = connection.close().await;
                    return Ok(Readiness::Ready);
                }
            }
            Err(error) => {
                let code = code_of(&error);
                if code.as_deref() == Some(INVALID_PASSWORD)
                    && refused.get_or_insert_with(Instant::now).elapsed() > DOUBT
                {
                    return Ok(Readiness::Refused);
                }
                // A server that runs can be unable to take up a session for want of room, or to end its recovery.
                let starting = code.as_deref() == Some(STARTING);
                if code.is_some()
                    && (!starting || began.elapsed() > HOPELESS)
                    && let Some(full) = disk::full("", directory)
                {
                    return Err(full);
                }
                last = Some(error);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(PostgresError::NotReady { seconds: PATIENCE.as_secs(), source: last })
}

const INVALID_PASSWORD: &str = "28P01";
const STARTING: &str = "57P03";

fn code_of(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    // A foreign service on the port may accept and stay silent.
    match tokio::time::timeout(Duration::from_secs(5), PgConnection::connect_with(options)).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

async fn serves(connection: &mut PgConnection, directory: &Path) -> bool {
    let answer: Result<String, _> =
        sqlx::query_scalar("select current_setting('data_directory')").fetch_one(connection).await;
    answer.is_ok_and(|answer| Path::new(&answer) == directory)
}

async fn create_database(connection: &mut PgConnection) -> Result<(), PostgresError> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = 'ordo')")
        .fetch_one(&mut *connection)
        .await
        .map_err(PostgresError::CreateDatabase)?;
    if !exists {
        sqlx::query("create database ordo").execute(connection).await.map_err(PostgresError::CreateDatabase)?;
    }
    Ok(())
}
