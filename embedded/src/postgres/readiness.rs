//! Waits until a server answers queries, and makes sure that it is ours and has its database.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::{error::PostgresError, watchdog::Watchdog};

/// Recovery after a crash reads up to `max_wal_size` of changes again: tens of seconds on a slow disk.
const PATIENCE: Duration = Duration::from_secs(180);

/// How waiting ended.
pub(super) enum Readiness {
    /// The server answers, and its database exists.
    Ready,
    /// The server has ended; its log says why.
    Exited,
}

/// Waits for the server on the port.
pub(super) async fn wait(watchdog: &mut Watchdog, port: u16, directory: &Path) -> Result<Readiness, PostgresError> {
    let until = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < until {
        if !watchdog.is_running() {
            return Ok(Readiness::Exited);
        }
        match connect(port).await {
            Ok(mut connection) => {
                // If it is not ours, another server took the port first, and ours is about to end.
                if serves(&mut connection, directory).await {
                    create_database(&mut connection).await?;
                    // The server notices a closed connection by itself.
                    let _ = connection.close().await;
                    return Ok(Readiness::Ready);
                }
            }
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(PostgresError::NotReady { seconds: PATIENCE.as_secs(), source: last })
}

async fn connect(port: u16) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    // A foreign service on the port may accept and stay silent.
    match tokio::time::timeout(Duration::from_secs(5), PgConnection::connect_with(&options)).await {
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
