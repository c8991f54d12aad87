//! Seals: what is stored about sealed events, one entry for each, many entries in a seal.

use sqlx::PgConnection;

use super::chain::{RunningHash, Sha256Hash, digest};
use super::row::{COLUMNS, CopyTuple};

/// A short checksum of each column of an event, which shows which of them were changed. Only the digest is reliable.
pub(super) type EventColumnChecksums = [u16; COLUMNS.len()];

/// Bytes of an entry: position, digest, checks.
const ENTRY: usize = 8 + 32 + 2 * COLUMNS.len();

/// The entry of a sealed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SealedEventDigest {
    pub(super) position: i64,
    pub(super) digest: Sha256Hash,
    pub(super) checks: EventColumnChecksums,
}

/// A stored seal over some events.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Seal {
    /// The last position of the seal before; 0: it is the first.
    pub(super) after: i64,
    /// Its last position.
    pub(super) up_to: i64,
    events: i32,
    /// The hash after its last event.
    hash: Vec<u8>,
    entries: Vec<u8>,
}

/// The next seal, while it is being made.
pub(super) struct SealDraft {
    /// The last position of the seal before.
    pub(super) after: i64,
    up_to: i64,
    events: i32,
    chain: RunningHash,
    entries: Vec<u8>,
}

impl SealedEventDigest {
    pub(super) fn of(row: &CopyTuple<'_>) -> Self {
        Self { position: row.position(), digest: digest(row.tuple), checks: checks(row) }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (position, rest) = bytes.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let mut checks = EventColumnChecksums::default();
        for (check, bytes) in checks.iter_mut().zip(rest.chunks_exact(2)) {
            *check = u16::from_be_bytes(*bytes.first_chunk()?);
        }
        Some(Self { position: i64::from_be_bytes(*position), digest: *digest, checks })
    }
}

/// The checks of a row: the lower half of the CRC-32 of each column's content.
pub(super) fn checks(row: &CopyTuple<'_>) -> EventColumnChecksums {
    #[expect(clippy::cast_possible_truncation, reason = "half of it is enough to see a change")]
    row.columns.map(|column| crc32fast::hash(column) as u16)
}

impl SealDraft {
    /// Begins after the last seal.
    pub(super) async fn begin(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let last = "select up_to, hash from event_seals order by up_to desc limit 1";
        let last: Option<(i64, Vec<u8>)> = sqlx::query_as(last).fetch_optional(connection).await?;
        let (after, chain) = match last {
            None => (0, RunningHash::default()),
            Some((up_to, hash)) => (up_to, chain(&hash).ok_or_else(|| malformed(up_to))?),
        };
        Ok(Self { after, up_to: after, events: 0, chain, entries: Vec::new() })
    }

    /// Adds an event.
    pub(super) fn add(&mut self, entry: &SealedEventDigest) {
        self.up_to = entry.position;
        self.events += 1;
        self.chain.add(&entry.digest);
        self.entries.extend_from_slice(&entry.position.to_be_bytes());
        self.entries.extend_from_slice(&entry.digest);
        self.entries.extend(entry.checks.iter().flat_map(|check| check.to_be_bytes()));
    }

    /// Stores the seal unless it is empty, and says how many events it has.
    pub(super) async fn store(self, connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
        if self.events > 0 {
            sqlx::query("insert into event_seals (after, up_to, events, hash, entries) values ($1, $2, $3, $4, $5)")
                .bind(self.after)
                .bind(self.up_to)
                .bind(self.events)
                .bind(&self.chain.0[..])
                .bind(self.entries)
                .execute(connection)
                .await?;
        }
        Ok(u64::from(self.events.unsigned_abs()))
    }
}

impl Seal {
    /// The seals after a position, at most `limit`.
    pub(super) async fn read(connection: &mut PgConnection, after: i64, limit: i64) -> Result<Vec<Self>, sqlx::Error> {
        let read =
            "select after, up_to, events, hash, entries from event_seals where up_to > $1 order by up_to limit $2";
        sqlx::query_as(read).bind(after).bind(limit).fetch_all(connection).await
    }

    /// Its entries, if it is well-formed: as many as it says, in order, within its bounds.
    pub(super) fn entries(&self) -> Option<Vec<SealedEventDigest>> {
        let entries: Vec<SealedEventDigest> =
            self.entries.chunks(ENTRY).map(SealedEventDigest::read).collect::<Option<_>>()?;
        let ordered = entries.is_sorted_by(|one, next| one.position < next.position);
        let first = entries.first().is_some_and(|first| first.position > self.after);
        let last = entries.last().is_some_and(|last| last.position == self.up_to);
        let complete = self.entries.len().is_multiple_of(ENTRY) && i32::try_from(entries.len()) == Ok(self.events);
        (ordered && first && last && complete).then_some(entries)
    }

    /// The hash that it says the chain has after its last event; `None`: it is no hash.
    pub(super) fn end(&self) -> Option<RunningHash> {
        chain(&self.hash)
    }
}

fn chain(hash: &[u8]) -> Option<RunningHash> {
    hash.try_into().ok().map(RunningHash)
}

fn malformed(up_to: i64) -> sqlx::Error {
    sqlx::Error::Protocol(format!("the hash of the seal up to position {up_to} is none"))
}
