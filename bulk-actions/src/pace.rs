//! The rate of a bulk action.

use std::time::Duration;

use tokio::time::Instant;

/// Spreads items over time: in any time there are no more than the rate allows, and one batch.
#[derive(Debug)]
pub(crate) struct Pace {
    per_item: Duration,
    /// When the next batch may begin.
    next: Instant,
}

impl Pace {
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self { per_item: Duration::from_secs(1) / rate.max(1), next: now }
    }

    /// How long to wait for the next batch after one that began at `began` and had so many items.
    pub(crate) fn after(&mut self, items: usize, began: Instant, now: Instant) -> Duration {
        let taken = self.per_item.saturating_mul(u32::try_from(items).unwrap_or(u32::MAX));
        // Time that nothing was done in is not made up for.
        self.next = self.next.max(began) + taken;
        self.next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_has_more_items_than_the_rate_and_a_batch() {
        let start = Instant::now();
        let (mut pace, mut clock, mut done) = (Pace::new(5, start), start, Vec::new());
        // Batches that take no time, some time, and longer than they may.
        for takes in [0, 300, 0, 2_500, 0, 10, 0, 0] {
            let began = clock;
            done.push((began, 3));
            clock += Duration::from_millis(takes);
            clock += pace.after(3, began, clock);
        }
        for (from, _) in &done {
            let within = |at: &Instant| at >= from && *at < *from + Duration::from_secs(1);
            let items: usize = done.iter().filter(|(at, _)| within(at)).map(|(_, items)| items).sum();
            assert!(items <= 5 + 3, "{items} within a second");
        }
        let most = (clock - start).as_secs_f64() * 5.0 + 3.0;
        assert!(f64::from(done.iter().map(|(_, items)| u32::try_from(*items).unwrap()).sum::<u32>()) <= most);
    }
}
