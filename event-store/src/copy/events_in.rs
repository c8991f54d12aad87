//! Events into a log that has none, with the positions, ids and times that they have.

use sqlx::{Connection, PgConnection};

use super::row::{self, HEADER, TRAILER};
use crate::event::{COLUMNS, EventRef};

/// How much is gathered for one message to the database.
const CHUNK: usize = 64 * 1024;

/// Where events come from that are put into a log.
pub trait EventSource {
    /// Why there is no next event although there should be.
    type Error;

    /// The next event; none: these were all. Positions have to ascend, and each stream has to begin at version 1 and leave none
    /// out: whoever hands events over has checked that.
    fn next(&mut self) -> impl Future<Output = Result<Option<EventRef<'_>>, Self::Error>> + Send;
}

/// What was put in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopiedIn {
    /// How many events.
    pub events: u64,
    /// The position of the last one; 0: there was none.
    pub last_position: i64,
}

/// Why events were not put in. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum CopyInError<E> {
    /// The log has events.
    #[error("there are events in the log already")]
    NotEmpty,
    /// What handed them over failed.
    #[error("the events could not be read")]
    Source(#[source] E),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// Puts all events of a source into a log that has none, in one transaction: all or nothing. Nobody else appends meanwhile, and
/// what is appended afterwards comes behind them. Takes a connection of its own, which an error leaves of no use.
pub async fn copy_in<S: EventSource>(
    mut connection: PgConnection,
    source: &mut S,
) -> Result<CopiedIn, CopyInError<S::Error>> {
    let mut transaction = connection.begin().await?;
    // Its source has been checked for gaps; the trigger would keep a second copy of all of it. This waits for those who append, so
    // it comes before the lock that they wait for.
    sqlx::query("alter table events disable trigger events_follow_one_another").execute(&mut *transaction).await?;
    // As every append does: what is found empty under it stays so.
    sqlx::query("select events_lock()").execute(&mut *transaction).await?;
    if sqlx::query_scalar("select exists (select from events)").fetch_one(&mut *transaction).await? {
        return Err(CopyInError::NotEmpty);
    }
    let done = copy(&mut transaction, source).await?;
    sqlx::query("alter table events enable trigger events_follow_one_another").execute(&mut *transaction).await?;
    if done.events > 0 {
        sqlx::query("select setval('events_global_position', $1)")
            .bind(done.last_position)
            .execute(&mut *transaction)
            .await?;
        // Whoever reads them next, reads all: better with a plan that knows how many they are.
        sqlx::query("analyze events").execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    // The server notices a connection that is gone by itself.
    let _ = connection.close().await;
    Ok(done)
}

async fn copy<S: EventSource>(
    transaction: &mut PgConnection,
    source: &mut S,
) -> Result<CopiedIn, CopyInError<S::Error>> {
    let statement = format!("copy events ({COLUMNS}) from stdin with (format binary)");
    let mut copy = transaction.copy_in_raw(&statement).await?;
    let (mut done, mut chunk) = (CopiedIn::default(), HEADER.to_vec());
    while let Some(event) = source.next().await.map_err(CopyInError::Source)? {
        row::write(&event, &mut chunk);
        done = CopiedIn { events: done.events + 1, last_position: event.position };
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
