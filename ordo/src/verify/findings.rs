//! The findings.

/// Something that `ordo verify` found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// `order o-1`, `SKU sku-1`.
    pub(super) about: String,
    /// How it is and how it should be.
    pub(super) what: String,
}

/// The first findings, and the number of all.
#[derive(Debug)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    most: usize,
    count: usize,
}

impl Findings {
    /// Keeps `most` findings, and counts the others.
    pub(super) fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, count: 0 }
    }

    pub(super) fn add(&mut self, about: impl Into<String>, what: impl Into<String>) {
        self.count += 1;
        if self.kept.len() < self.most {
            self.kept.push(Finding { about: about.into(), what: what.into() });
        }
    }

    /// Counts findings without details.
    pub(super) fn add_unseen(&mut self, more: u64) {
        self.count += usize::try_from(more).unwrap_or(usize::MAX);
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &Finding> {
        self.kept.iter()
    }
}
