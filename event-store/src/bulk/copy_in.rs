//! Importing events into an empty log, with their positions, ids and times.

use sqlx::{Connection, PgConnection};

use super::row::{self, HEADER, TRAILER};
use crate::event::{BorrowedEvent, COLUMNS};

/// How many bytes are gathered for one message to the database.
const CHUNK: usize = 64 * 1024;

/// A source of events to import.
pub trait ImportSource {
    /// Why the next event could not be read.
    type Error;

    /// The next event; `None`: these were all. Positions must ascend, and each stream must have every version from 1 on. The source has
    /// to check that.
    fn next(&mut self) -> impl Future<Output = Result<Option<BorrowedEvent<'_>>, Self::Error>> + Send;
}

/// What was imported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportSummary {
    pub events: u64,
    /// The position of the last one; 0: there was none.
    pub last_position: i64,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum LogImportError<E> {
    /// The log has events.
    #[error("there are events in the log already")]
    NotEmpty,
    /// The source failed.
    #[error("the events could not be read")]
    Source(#[source] E),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// Imports all events of a source into an empty log, in one transaction. Nobody else can append meanwhile, and later events come
/// after them. It takes the connection, which is of no use after an error.
pub async fn copy_in<S: ImportSource>(
    mut connection: PgConnection,
    source: &mut S,
) -> Result<ImportSummary, LogImportError<S::Error>> {
    let mut transaction = connection.begin().await?;
    // The source has no gaps, and the trigger would keep a second copy of all events. This statement waits for appends, so it comes
    // before the lock that appends wait for.
    sqlx::query("alter table events disable trigger events_follow_one_another").execute(&mut *transaction).await?;
    // As in every append: a log that is empty now stays empty while the lock is held.
    sqlx::query("select events_lock()").execute(&mut *transaction).await?;
    if sqlx::query_scalar("select exists (select from events)").fetch_one(&mut *transaction).await? {
        return Err(LogImportError::NotEmpty);
    }
    let done = copy(&mut transaction, source).await?;
    sqlx::query("alter table events enable trigger events_follow_one_another").execute(&mut *transaction).await?;
    if done.events > 0 {
        sqlx::query("select setval('events_global_position', $1)")
            .bind(done.last_position)
            .execute(&mut *transaction)
            .await?;
        // The next reader reads all events: its plan should know how many there are.
        sqlx::query("analyze events").execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    // If this fails, the server notices by itself that the connection is gone.
    let _ = connection.close().await;
    Ok(done)
}

async fn copy<S: ImportSource>(
    transaction: &mut PgConnection,
    source: &mut S,
) -> Result<ImportSummary, LogImportError<S::Error>> {
    let statement = format!("copy events ({COLUMNS}) from stdin with (format binary)");
    let mut copy = transaction.copy_in_raw(&statement).await?;
    let (mut done, mut chunk) = (ImportSummary::default(), HEADER.to_vec());
    while let Some(event) = source.next().await.map_err(LogImportError::Source)? {
        row::write(&event, &mut chunk);
        done = ImportSummary { events: done.events + 1, last_position: event.position };
        if chunk.len() >= CHUNK {
            copy.send(chunk.as_slice()).await?;
            chunk.clear();
        }
    }
    chunk.extend(TRAILER);
    copy.send(chunk.as_slice()).await?;
    copy.finish().await?;
    Ok(done)
}
