//! How many pieces are read at once where their size is known only afterwards.

use crate::Budget;

/// How many pieces the next batch has: as many as fit into [`Budget::BYTES`] if they are as large as the ones before.
/// The first batch is small.
#[derive(Debug, Clone, Copy)]
pub struct ByteLimitedBatchSize {
    now: usize,
    most: usize,
}

impl ByteLimitedBatchSize {
    const FIRST: usize = 32;

    /// At most so many pieces.
    #[must_use]
    pub const fn of(most: usize) -> Self {
        Self { now: if most < Self::FIRST { most } else { Self::FIRST }, most }
    }

    /// How many pieces to read next, at least one.
    #[must_use]
    pub const fn pieces(&self) -> usize {
        if self.now == 0 { 1 } else { self.now }
    }

    /// Learns that so many pieces had so many bytes.
    pub fn observe(&mut self, pieces: usize, bytes: usize) {
        let each = bytes.div_ceil(pieces.max(1)).max(1);
        self.now = (Budget::BYTES / each).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_the_last_pieces_were_small() {
        let mut size = ByteLimitedBatchSize::of(500);
        assert_eq!(size.pieces(), 32);
        size.observe(32, 32 * 700);
        assert_eq!(size.pieces(), 500);
        size.observe(500, 500 * 250_000);
        assert_eq!(size.pieces(), 16);
        size.observe(16, 16 * Budget::BYTES * 2);
        assert_eq!(size.pieces(), 1);
        size.observe(0, 0);
        assert_eq!(size.pieces(), 500);
    }
}
