//! The log's rows as they are hashed: the tuples of a binary COPY, column by column.

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::PgConnection;

/// The columns that are hashed, in this order, for ever: a hash that was written down depends on it.
pub(super) const COLUMNS: [&str; 10] = [
    "global_position",
    "aggregate_type",
    "aggregate_id",
    "sequence",
    "event_type",
    "event_version",
    "payload",
    "metadata",
    "event_id",
    "recorded_at",
];

/// What a binary COPY begins with; flags and the length of an extension follow.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = SIGNATURE.len() + 8;

/// Rows of the log, by position.
pub(super) struct Rows<'c> {
    copied: BoxStream<'c, Result<Bytes, sqlx::Error>>,
    /// What came, of which so much is done with.
    buffer: Vec<u8>,
    done: usize,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// All of it.
    pub(super) tuple: &'a [u8],
    /// The content of each column.
    pub(super) columns: [&'a [u8]; COLUMNS.len()],
}

impl<'c> Rows<'c> {
    /// So many rows after a position.
    pub(super) async fn after(connection: &'c mut PgConnection, after: i64, limit: i64) -> Result<Self, sqlx::Error> {
        Self::copy(connection, &format!("where global_position > '{after}' order by global_position limit {limit}"))
            .await
    }

    /// The rows after a position and up to another; `None`: from the first, or to the last.
    pub(super) async fn between(
        connection: &'c mut PgConnection,
        after: Option<i64>,
        up_to: Option<i64>,
    ) -> Result<Self, sqlx::Error> {
        let after = after.map_or_else(String::new, |after| format!("and global_position > '{after}'"));
        let up_to = up_to.map_or_else(String::new, |up_to| format!("and global_position <= '{up_to}'"));
        Self::copy(connection, &format!("where true {after} {up_to} order by global_position")).await
    }

    async fn copy(connection: &'c mut PgConnection, which: &str) -> Result<Self, sqlx::Error> {
        let copy = format!("copy (select {} from events {which}) to stdout (format binary)", COLUMNS.join(", "));
        Ok(Self { copied: connection.copy_out_raw(&copy).await?, buffer: Vec::new(), done: 0 })
    }

    /// The next row. All of them have to be read before the connection can be used again.
    pub(super) async fn next(&mut self) -> Result<Option<Row<'_>>, sqlx::Error> {
        loop {
            if let Some(length) = complete(&self.buffer[self.done..])? {
                let from = self.done;
                self.done += length;
                return Row::parse(&self.buffer[from..self.done]).map(Some);
            }
            // Usually a message is a row, and the buffer empty.
            self.buffer.drain(..std::mem::take(&mut self.done));
            let Some(more) = self.copied.try_next().await? else { return Ok(None) };
            self.buffer.extend_from_slice(&more);
            if self.buffer.starts_with(SIGNATURE) && self.buffer.len() >= HEADER {
                self.done = HEADER;
            }
        }
    }
}

/// How long the first row is; `None`: it is not all there, or there is none.
fn complete(bytes: &[u8]) -> Result<Option<usize>, sqlx::Error> {
    let mut at = 2;
    match bytes.first_chunk().map(|count| i16::from_be_bytes(*count)) {
        // A signature that is not all there is read as a number of columns, too.
        None | Some(-1 | 0x5047) => return Ok(None),
        Some(count) if usize::try_from(count) == Ok(COLUMNS.len()) => {}
        Some(count) => return Err(garbled(&format!("a row of {count} columns"))),
    }
    for _ in COLUMNS {
        let Some(length) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        at += 4 + content(*length)?;
    }
    Ok((bytes.len() >= at).then_some(at))
}

/// How long a column is. One that is null has nothing: its length is another than that of an empty one.
fn content(length: [u8; 4]) -> Result<usize, sqlx::Error> {
    match i32::from_be_bytes(length) {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| garbled(&format!("a column of {length} bytes"))),
    }
}

impl<'a> Row<'a> {
    /// A row from all its bytes.
    pub(super) fn parse(tuple: &'a [u8]) -> Result<Self, sqlx::Error> {
        let (mut columns, mut rest) = ([&tuple[..0]; COLUMNS.len()], tuple.get(2..).unwrap_or_default());
        for column in &mut columns {
            let too_short = || garbled("a row that ends within a column");
            let (length, behind) = rest.split_first_chunk().ok_or_else(too_short)?;
            (*column, rest) = behind.split_at_checked(content(*length)?).ok_or_else(too_short)?;
        }
        Ok(Self { tuple, columns })
    }

    /// Its place in the log.
    pub(super) fn position(&self) -> i64 {
        self.columns[0].first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
    }

    /// The same row with other contents in some columns, as its bytes.
    pub(super) fn with(&self, other: impl Fn(usize) -> Option<&'a [u8]>) -> Vec<u8> {
        let mut tuple = self.tuple[..2].to_vec();
        for (nth, own) in self.columns.iter().enumerate() {
            let column = other(nth).unwrap_or(own);
            tuple.extend_from_slice(&i32::try_from(column.len()).unwrap_or(i32::MAX).to_be_bytes());
            tuple.extend_from_slice(column);
        }
        tuple
    }
}

fn garbled(what: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("{what} came from the copy of the log"))
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn rows_are_the_same_however_they_come_in_pieces() {
        // Given
        let columns: Vec<Vec<u8>> = (0..10).map(|nth| vec![nth; usize::from(nth) * 3]).collect();
        let mut row = 10_i16.to_be_bytes().to_vec();
        for column in &columns {
            row.extend(i32::try_from(column.len()).unwrap().to_be_bytes());
            row.extend(column);
        }
        let all = [SIGNATURE, &[0; 8], &row, &row, &[0xff, 0xff]].concat();

        for size in [1, 2, 7, 19, 20, 100, all.len()] {
            // When
            let pieces: Vec<_> = all.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let mut rows = Rows { copied: stream::iter(pieces).boxed(), buffer: Vec::new(), done: 0 };

            // Then
            for _ in 0..2 {
                let read = rows.next().await.unwrap().unwrap();
                assert_eq!((read.tuple, read.columns.to_vec()), (&row[..], columns.iter().map(|it| &it[..]).collect()));
            }
            assert!(rows.next().await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn what_is_no_row_of_the_log_is_refused() {
        for garbled in [&[0, 9][..], &[0, 10, 0x80, 0, 0, 0]] {
            let piece = Ok(Bytes::copy_from_slice(garbled));
            let mut rows = Rows { copied: stream::iter([piece]).boxed(), buffer: Vec::new(), done: 0 };
            assert!(rows.next().await.is_err(), "{garbled:?}");
        }
    }
}
