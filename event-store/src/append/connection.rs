//! The writer's connection: kept between batches, and replaced when it breaks.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tokio_util::sync::CancellationToken;

/// How long the writer looks for a connection that answers, and how long it waits between two.
const RECONNECT: Duration = Duration::from_secs(5);
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(10);
/// How long the writer waits for a connection while it stops.
const RECONNECT_ONCE_STOPPED: Duration = Duration::from_millis(500);

/// The writer's connection, kept from batch to batch and replaced once it fails.
pub(super) struct WriterConnection {
    pool: PgPool,
    kept: Option<PoolConnection<Postgres>>,
    stop: CancellationToken,
}

impl WriterConnection {
    pub(super) fn new(pool: PgPool, stop: CancellationToken) -> Self {
        Self { pool, kept: None, stop }
    }

    /// The kept connection, or a new one that answers.
    pub(super) async fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if let Some(kept) = self.kept.take() {
            return Ok(self.kept.insert(kept));
        }
        // A database that is away must not hold up the stop.
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(RECONNECT_ONCE_STOPPED).await;
        };
        let connection = tokio::select! {
            connected = tokio::time::timeout(RECONNECT, healthy_connection(&self.pool)) => {
                connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))?
            }
            () = stopped => return Err(sqlx::Error::PoolTimedOut),
        };
        Ok(self.kept.insert(connection))
    }

    /// Closes the connection after an error: it may be in the middle of a transaction.
    pub(super) fn discard(&mut self) {
        drop(self.kept.take().map(PoolConnection::detach));
    }
}

/// A connection that answers. After a restart of the server those in the pool may all be dead, and new ones fail for a while.
async fn healthy_connection(pool: &PgPool) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    loop {
        let error = match pool.acquire().await {
            Ok(mut connection) => match connection.ping().await {
                Ok(()) => return Ok(connection),
                Err(error) => {
                    drop(connection.detach());
                    error
                }
            },
            Err(error) => error,
        };
        if !is_connection_lost(&error) {
            return Err(error);
        }
        tokio::time::sleep(BETWEEN_CONNECTIONS).await;
    }
}

/// Whether an error means that the connection failed, and not the statement.
pub(super) fn is_connection_lost(error: &sqlx::Error) -> bool {
    // Class 57: the server is shutting down, has crashed, or is not up yet.
    let ended = |code: Option<Cow<'_, str>>| code.is_some_and(|code| code.starts_with("57P"));
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
        || ended(error.as_database_error().and_then(DatabaseError::code))
}
