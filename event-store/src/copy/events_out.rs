//! Events out of the log, many at a time.

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::{Executor, PgConnection};

use super::row::{self, HEADER, MalformedRow, TRAILER};
use crate::event::{COLUMNS, EventRef};
use crate::selection::Selection;

/// In which order events come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyOrder {
    /// As they were committed.
    ByPosition,
    /// Stream after stream, each oldest first.
    ByStream,
}

/// Events on their way out of the log. Ask for the [`next`](Self::next) until there is none: a connection that was left before
/// that, or after an error, has to be closed, because rows are still under way on it.
pub struct EventsOut<'c> {
    rows: BoxStream<'c, Result<Bytes, sqlx::Error>>,
    begun: bool,
}

/// An event that came out of the log: cheap to hand on, to another thread too.
#[derive(Debug, Clone)]
pub struct CopiedEvent(Bytes);

/// Reads events in bulk, all as of now.
///
/// Best in a transaction: what is set for the statement then ends with it.
pub fn copy_out<'c>(
    connection: &'c mut PgConnection,
    selection: &Selection,
    order: CopyOrder,
) -> BoxFuture<'c, Result<EventsOut<'c>, sqlx::Error>> {
    let order = match order {
        CopyOrder::ByPosition => "global_position",
        CopyOrder::ByStream => "aggregate_type, aggregate_id, sequence",
    };
    let condition = selection.condition();
    let copy = format!(
        "copy (select {COLUMNS} from events where {condition} order by {order}) to stdout with (format binary)"
    );
    // Boxed: only so can a task of its own wait for it, as far as the compiler can tell.
    Box::pin(async move {
        // Both orders are those of an index. A planner that does not know yet how the rows lie would rather sort the whole log.
        connection.execute("set local enable_sort = off; set local jit = off").await?;
        Ok(EventsOut { rows: connection.copy_out_raw(&copy).await?, begun: false })
    })
}

impl EventsOut<'_> {
    /// The next event; none: these were all.
    pub async fn next(&mut self) -> Result<Option<CopiedEvent>, sqlx::Error> {
        // The protocol has each row in a message of its own.
        while let Some(mut message) = self.rows.try_next().await? {
            if !self.begun {
                // It comes together with the first row, or with the trailer.
                if !message.starts_with(HEADER) {
                    return Err(sqlx::Error::Protocol("a copy without the header of the binary format".to_owned()));
                }
                message = message.slice(HEADER.len()..);
                self.begun = true;
            }
            if !message.is_empty() && message != TRAILER.as_slice() {
                return Ok(Some(CopiedEvent(message)));
            }
        }
        Ok(None)
    }
}

impl CopiedEvent {
    /// The row as it came: the number of its columns, then each behind its length.
    pub(crate) fn row(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes of memory it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The event. This looks for where its fields begin, and no further.
    pub fn read(&self) -> Result<EventRef<'_>, MalformedRow> {
        row::read(&self.0)
    }
}
