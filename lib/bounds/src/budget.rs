//! How much is read, gathered or written together.

/// A number of pieces and a number of bytes, whichever is used up first. The first piece is taken however large it is, so that
/// nothing is left behind for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pieces: usize,
    bytes: usize,
    begun: bool,
}

impl Budget {
    /// The default number of bytes: thousands of usual events, or a dozen of the largest. What is made of them takes a few times as
    /// much memory, and several readers work at the same time.
    pub const BYTES: usize = 4 << 20;

    /// A budget of so many pieces and [`BYTES`](Self::BYTES).
    #[must_use]
    pub const fn of(pieces: usize) -> Self {
        Self { pieces, bytes: Self::BYTES, begun: false }
    }

    /// The same number of pieces with so many bytes.
    #[must_use]
    pub const fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Whether certainly nothing fits any more.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.begun && (self.pieces == 0 || self.bytes == 0)
    }

    #[must_use]
    pub const fn pieces(&self) -> usize {
        self.pieces
    }

    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a piece of so many bytes; `false`: it does not fit.
    pub const fn take(&mut self, bytes: usize) -> bool {
        if self.begun && (self.pieces == 0 || bytes > self.bytes) {
            return false;
        }
        self.spend(bytes);
        true
    }

    /// Counts a piece whether or not it fits.
    pub const fn spend(&mut self, bytes: usize) {
        self.begun = true;
        self.pieces = self.pieces.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
