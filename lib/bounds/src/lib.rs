//! How much is held in memory at once.
//!
//! A count says how long a piece of work takes, not how much memory: five hundred orders can be a few hundred kilobytes or more than a
//! hundred megabytes. So whoever reads, gathers or writes several things together takes them within a [`Budget`], and comes back for the rest.

/// So many pieces, and so many bytes, whichever ends first. The first piece is taken however large it is, so that everything gets
/// its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pieces: usize,
    bytes: usize,
    begun: bool,
}

impl Budget {
    /// The bytes of a budget for which nothing else is said: thousands of usual events, and a dozen of the largest. What is made of them
    /// takes a few times as much, and several who read do so at the same time.
    pub const BYTES: usize = 4 << 20;

    /// A budget of so many pieces, of [`BYTES`](Self::BYTES) together.
    #[must_use]
    pub const fn of(pieces: usize) -> Self {
        Self { pieces, bytes: Self::BYTES, begun: false }
    }

    /// The same with so many bytes.
    #[must_use]
    pub const fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Whether there is certainly no room left.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.begun && (self.pieces == 0 || self.bytes == 0)
    }

    /// How many pieces are left.
    #[must_use]
    pub const fn pieces(&self) -> usize {
        self.pieces
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a piece of so many bytes, or says that there is no room left for it.
    pub const fn take(&mut self, bytes: usize) -> bool {
        if self.begun && (self.pieces == 0 || bytes > self.bytes) {
            return false;
        }
        self.spend(bytes);
        true
    }

    /// Counts a piece that is there already.
    pub const fn spend(&mut self, bytes: usize) {
        self.begun = true;
        self.pieces = self.pieces.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// How many pieces are taken in one go where their bytes are known only afterwards: as many as fit into [`Budget::BYTES`] if they are as
/// large as the ones before. The first time it is few.
#[derive(Debug, Clone, Copy)]
pub struct Stride {
    now: usize,
    most: usize,
}

impl Stride {
    const FIRST: usize = 32;

    /// At most so many.
    #[must_use]
    pub const fn of(most: usize) -> Self {
        Self { now: if most < Self::FIRST { most } else { Self::FIRST }, most }
    }

    /// How many it is now, at least one.
    #[must_use]
    pub const fn pieces(&self) -> usize {
        if self.now == 0 { 1 } else { self.now }
    }

    /// So many pieces had so many bytes.
    pub fn had(&mut self, pieces: usize, bytes: usize) {
        let each = bytes.div_ceil(pieces.max(1)).max(1);
        self.now = (Budget::BYTES / each).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_is_as_long_as_the_last_pieces_were_small() {
        let mut stride = Stride::of(500);
        assert_eq!(stride.pieces(), 32);
        stride.had(32, 32 * 700);
        assert_eq!(stride.pieces(), 500);
        stride.had(500, 500 * 250_000);
        assert_eq!(stride.pieces(), 16);
        stride.had(16, 16 * Budget::BYTES * 2);
        assert_eq!(stride.pieces(), 1);
        stride.had(0, 0);
        assert_eq!(stride.pieces(), 500);
    }

    fn taken(mut budget: Budget, pieces: &[usize]) -> usize {
        pieces.iter().take_while(|bytes| budget.take(**bytes)).count()
    }

    #[test]
    fn pieces_are_taken_until_their_number_or_their_bytes_are_used_up() {
        let budget = Budget::of(3).with_bytes(10);
        assert_eq!(taken(budget, &[1, 1, 1, 1]), 3);
        assert_eq!(taken(budget, &[6, 4, 1]), 2);
        assert_eq!(taken(budget, &[6, 5, 1]), 1);
    }

    #[test]
    fn the_first_is_always_taken() {
        assert_eq!(taken(Budget::of(3).with_bytes(10), &[1_000, 1]), 1);
        assert_eq!(taken(Budget::of(0), &[1, 1]), 1);
    }
}
