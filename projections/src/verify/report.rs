//! The result of a verification.

use read_models::Key;

/// How many discrepancies are listed.
const MAX_LISTED: usize = 100;

/// An item that is not what the events make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    pub projection: &'static str,
    /// The item's key.
    pub key: Key,
    /// How it differs, in words.
    pub what: String,
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerificationReport {
    /// How many items are what they should be.
    pub matching: u64,
    /// How many items could not be compared: they are being written, or events of their streams are parked.
    pub skipped: u64,
    /// The first items that are not what they should be.
    pub discrepancies: Vec<Discrepancy>,
    /// How many such items there are, listed or not.
    pub discrepancy_count: u64,
}

impl VerificationReport {
    pub(super) fn add(&mut self, projection: &'static str, key: &Key, what: String) {
        self.discrepancy_count += 1;
        if self.discrepancies.len() < MAX_LISTED {
            self.discrepancies.push(Discrepancy { projection, key: key.clone(), what });
        }
    }
}
