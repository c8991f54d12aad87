//! Exporting events from the log.

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::{Executor, PgConnection};

use super::row::{self, CopyDecodeError, HEADER, TRAILER};
use crate::event::{BorrowedEvent, COLUMNS};
use crate::filter::EventFilter;

/// The order of exported events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyOutOrder {
    /// In commit order.
    ByPosition,
    /// Stream after stream, each oldest first.
    ByStream,
}

/// An export under way. Call [`next`](Self::next) until it returns `None`. A connection that was left earlier, or after an error, has to
/// be closed, because rows are still on their way on it.
pub struct CopyOut<'c> {
    rows: BoxStream<'c, Result<Bytes, sqlx::Error>>,
    begun: bool,
}

/// An exported event as it came: cheap to pass on, to another thread too.
#[derive(Debug, Clone)]
pub struct CopyRow(Bytes);

/// Starts an export of the events that match, as of now.
///
/// It should be called in a transaction, so that the settings for the statement end with it.
pub fn copy_out<'c>(
    connection: &'c mut PgConnection,
    filter: &EventFilter,
    order: CopyOutOrder,
) -> BoxFuture<'c, Result<CopyOut<'c>, sqlx::Error>> {
    let order = match order {
        CopyOutOrder::ByPosition => "global_position",
        CopyOutOrder::ByStream => "aggregate_type, aggregate_id, sequence",
    };
    let condition = filter.condition();
    let copy = format!(
        "copy (select {COLUMNS} from events where {condition} order by {order}) to stdout with (format binary)"
    );
    // Boxed, because otherwise the compiler can't tell that it may be awaited in a task of its own.
    Box::pin(async move {
        // Both orders are those of an index. Without statistics the planner would rather sort the whole log.
        connection.execute("set local enable_sort = off; set local jit = off").await?;
        Ok(CopyOut { rows: connection.copy_out_raw(&copy).await?, begun: false })
    })
}

impl CopyOut<'_> {
    /// The next event; `None`: these were all.
    pub async fn next(&mut self) -> Result<Option<CopyRow>, sqlx::Error> {
        // The protocol has each row in a message of its own.
        while let Some(mut message) = self.rows.try_next().await? {
            if !self.begun {
                // The header comes together with the first row, or with the trailer.
                if !message.starts_with(HEADER) {
                    return Err(sqlx::Error::Protocol("a copy without the header of the binary format".to_owned()));
                }
                message = message.slice(HEADER.len()..);
                self.begun = true;
            }
            if !message.is_empty() && message != TRAILER.as_slice() {
                return Ok(Some(CopyRow(message)));
            }
        }
        Ok(None)
    }
}

impl CopyRow {
    /// The row as it came: the number of its columns, then each behind its length.
    pub(crate) fn row(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes of memory it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The event. This only looks for where its fields begin.
    pub fn read(&self) -> Result<BorrowedEvent<'_>, CopyDecodeError> {
        row::read(&self.0)
    }
}
