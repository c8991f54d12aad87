//! A row of the log as it is hashed: a tuple of a binary COPY, column by column.

/// The columns of a row. Their order never changes: every head depends on it.
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

/// An event's row as binary COPY has it, cut into columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopyTuple<'a> {
    /// All of it.
    pub(super) tuple: &'a [u8],
    /// The content of each column.
    pub(super) columns: [&'a [u8]; COLUMNS.len()],
}

impl<'a> CopyTuple<'a> {
    /// A row from all its bytes.
    pub(super) fn parse(tuple: &'a [u8]) -> Result<Self, sqlx::Error> {
        let (mut columns, mut rest) = ([&tuple[..0]; COLUMNS.len()], tuple.get(2..).unwrap_or_default());
        for column in &mut columns {
            (*column, rest) = split_column(rest).ok_or_else(malformed)?;
        }
        Ok(Self { tuple, columns })
    }

    /// Its place in the log.
    pub(super) fn position(&self) -> i64 {
        self.columns[0].first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
    }

    /// The bytes of the same row with other contents in some columns.
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

/// The content of the first column, and the rest. A null, which only an attacker can write, has no content; only its length differs from
/// an empty text's.
fn split_column(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    match i32::from_be_bytes(*length) {
        -1 => Some((&rest[..0], rest)),
        length => rest.split_at_checked(usize::try_from(length).ok()?),
    }
}

fn malformed() -> sqlx::Error {
    sqlx::Error::Protocol("a row that ends within a column came from the copy of the log".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(content: &str) -> Vec<u8> {
        let mut row = 10_i16.to_be_bytes().to_vec();
        for column in [&7_i64.to_be_bytes()[..], content.as_bytes(), b"", b"", b"", b"", b"", b"", b"", b"end"] {
            row.extend(i32::try_from(column.len()).unwrap().to_be_bytes());
            row.extend(column);
        }
        row
    }

    #[test]
    fn a_row_has_its_columns_and_can_be_made_with_others() {
        let (one, other) = (row("one"), row("other"));
        let (one, other) = (CopyTuple::parse(&one).unwrap(), CopyTuple::parse(&other).unwrap());
        assert_eq!((one.position(), one.columns[1], one.columns[9]), (7, &b"one"[..], &b"end"[..]));
        assert_eq!(one.with(|nth| (nth == 1).then_some(other.columns[1])), other.tuple);
    }

    #[test]
    fn a_missing_column_differs_from_an_empty_text() {
        let (mut null, empty) = (row(""), row(""));
        null[2 + 12..2 + 16].copy_from_slice(&(-1_i32).to_be_bytes());
        assert_eq!(CopyTuple::parse(&null).unwrap().columns, CopyTuple::parse(&empty).unwrap().columns);
        assert_ne!(null, empty);
    }

    #[test]
    fn a_truncated_row_is_refused() {
        let complete = row("content");
        for end in 0..complete.len() {
            assert!(CopyTuple::parse(&complete[..end]).is_err(), "{end}");
        }
    }
}
