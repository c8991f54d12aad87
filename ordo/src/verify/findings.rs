//! What is wrong, in words.

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// With what: `order o-1`, `SKU sku-1`.
    pub(super) about: String,
    /// How it is, and how it should be.
    pub(super) what: String,
}

/// All findings, of which the first are kept.
#[derive(Debug)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    most: usize,
    count: usize,
}

impl Findings {
    /// Nothing is wrong yet. So many findings are kept, the others only counted.
    pub(super) fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, count: 0 }
    }

    pub(super) fn add(&mut self, about: impl Into<String>, what: impl Into<String>) {
        self.count += 1;
        if self.kept.len() < self.most {
            self.kept.push(Finding { about: about.into(), what: what.into() });
        }
    }

    /// There are so many more, of which nothing else is known.
    pub(super) fn add_unseen(&mut self, more: u64) {
        self.count += usize::try_from(more).unwrap_or(usize::MAX);
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The first of them.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Finding> {
        self.kept.iter()
    }
}
