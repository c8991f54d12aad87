//! Events that do not agree with the seals, and what happened to them.

use super::super::chain::digest;
use super::super::fault::HashChainFault;
use super::super::row::{COLUMNS, CopyTuple};
use super::super::seals::{EventColumnChecksums, SealedEventDigest, checks};

/// How many are examined, and how many bytes their rows may take.
const MOST: usize = 100;
const MOST_BYTES: usize = 8 << 20;

/// All suspects; only the first are kept.
pub(super) struct SuspectPositions {
    /// The position of the given head.
    head: i64,
    kept: Vec<SuspectPosition>,
    bytes: usize,
    count: u64,
    up_to_head: u64,
}

/// A position where the log does not agree with the seals.
struct SuspectPosition {
    position: i64,
    /// What was sealed there.
    sealed: Option<SealedEventDigest>,
    /// The row that is there.
    found: Option<Vec<u8>>,
}

impl SuspectPositions {
    pub(super) fn new(head: i64) -> Self {
        Self { head, kept: Vec::new(), bytes: 0, count: 0, up_to_head: 0 }
    }

    /// Adds a sealed event that is missing or differs, or an event that was not sealed. They come in order.
    pub(super) fn add(&mut self, sealed: Option<SealedEventDigest>, row: Option<&CopyTuple<'_>>) {
        let position =
            sealed.as_ref().map(|it| it.position).or_else(|| row.map(CopyTuple::position)).unwrap_or_default();
        self.count += 1;
        self.up_to_head += u64::from(position <= self.head);
        if self.kept.len() < MOST {
            self.bytes += row.map_or(0, |row| row.tuple.len());
            let found = row.filter(|_| self.bytes <= MOST_BYTES).map(|row| row.tuple.to_vec());
            self.kept.push(SuspectPosition { position, sealed, found });
        }
    }

    /// The number of suspects, and of those up to the head's position.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.count, self.up_to_head)
    }

    /// The faults of those that are kept.
    pub(super) fn faults(&self) -> Vec<HashChainFault> {
        self.kept.iter().map(|suspect| self.fault(suspect)).collect()
    }

    fn fault(&self, suspect: &SuspectPosition) -> HashChainFault {
        let position = suspect.position;
        match (&suspect.sealed, suspect.row()) {
            (Some(sealed), Some(row)) => {
                let changed = changed(&sealed.checks, &checks(&row));
                let columns: Vec<_> = changed.iter().map(|nth| COLUMNS[*nth]).collect();
                match self.others(position).find(|(_, other)| sealed.is(&row, other, &changed)) {
                    Some((with, _)) => HashChainFault::Exchanged { position, with, columns },
                    None => HashChainFault::Edited { position, columns },
                }
            }
            (Some(sealed), None) => match self.others(position).find(|(_, other)| sealed.is(other, other, &[])) {
                Some((to, _)) => HashChainFault::MovedAway { position, to },
                None => HashChainFault::Missing { position },
            },
            (None, Some(row)) => {
                let mut missing = self.kept.iter().filter(|it| it.found.is_none()).filter_map(|it| it.sealed.as_ref());
                match missing.find(|sealed| sealed.is(&row, &row, &[])) {
                    Some(sealed) => HashChainFault::MovedHere { position, from: sealed.position },
                    None => HashChainFault::Inserted { position },
                }
            }
            // The row was too large to be kept.
            (None, None) => HashChainFault::Inserted { position },
        }
    }

    fn others(&self, position: i64) -> impl Iterator<Item = (i64, CopyTuple<'_>)> {
        self.kept.iter().filter(move |other| other.position != position).filter_map(|it| Some((it.position, it.row()?)))
    }
}

impl SuspectPosition {
    fn row(&self) -> Option<CopyTuple<'_>> {
        self.found.as_deref().and_then(|tuple| CopyTuple::parse(tuple).ok())
    }
}

impl SealedEventDigest {
    /// Whether this is the entry of `row` at this position with these columns of `other`.
    fn is<'a>(&self, row: &CopyTuple<'a>, other: &CopyTuple<'a>, columns: &[usize]) -> bool {
        let position = self.position.to_be_bytes();
        let tuple = row.with(|nth| match nth {
            0 => Some(&position[..]),
            nth => columns.contains(&nth).then(|| other.columns[nth]),
        });
        digest(&tuple) == self.digest
    }
}

/// The columns that changed.
fn changed(sealed: &EventColumnChecksums, found: &EventColumnChecksums) -> Vec<usize> {
    (0..COLUMNS.len()).filter(|nth| sealed[*nth] != found[*nth]).collect()
}
