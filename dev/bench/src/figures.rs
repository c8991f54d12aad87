//! From single runs to the figures that are shown.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// One figure over several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of nothing. The median of an even number is the mean of the two in the middle.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (below, above) = (values.get((values.len() - 1) / 2)?, values.get(values.len() / 2)?);
        Some(Self { median: f64::midpoint(*below, *above), min, max })
    }

    /// Run by run, how many times `those` these are: what slows both runs of a pair down does not count.
    pub(crate) fn of_ratios(these: &[f64], those: &[f64]) -> Option<Self> {
        let pairs = these.iter().zip(those).filter(|(_, that)| **that > 0.0);
        Self::of(pairs.map(|(this, that)| this / that))
    }
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latencies {
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Latencies {
    /// Of a histogram of microseconds.
    pub(crate) fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile: f64| millis(micros.value_at_quantile(quantile));
        Self { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), p999_ms: at(0.999), max_ms: millis(micros.max()) }
    }

    /// Of each its median.
    pub(crate) fn median(all: &[Self]) -> Self {
        let median = |of: fn(&Self) -> f64| Spread::of(all.iter().map(of)).map_or(0.0, |spread| spread.median);
        Self {
            p50_ms: median(|one| one.p50_ms),
            p90_ms: median(|one| one.p90_ms),
            p99_ms: median(|one| one.p99_ms),
            p999_ms: median(|one| one.p999_ms),
            max_ms: median(|one| one.max_ms),
        }
    }
}

fn millis(micros: u64) -> f64 {
    count(micros) / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and shown with a few digits")]
pub(crate) fn count(count: u64) -> f64 {
    count as f64
}

/// Microseconds of `time` for each of `orders`.
pub(crate) fn micros_per_order(time: Duration, orders: u64) -> Option<f64> {
    (orders > 0).then(|| time.as_secs_f64() * 1e6 / count(orders))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let of = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
    }

    #[test]
    fn ratios_are_of_the_runs_that_were_made_side_by_side() {
        let ratios = Spread::of_ratios(&[20.0, 10.0, 40.0], &[10.0, 5.0, 8.0]);
        assert_eq!(ratios, Some(Spread { median: 2.0, min: 2.0, max: 5.0 }));
        assert_eq!(Spread::of_ratios(&[20.0], &[0.0]), None);
    }

    #[test]
    fn percentiles_are_values_that_so_many_are_not_above() {
        let mut micros = Histogram::<u64>::new(3).unwrap();
        for ms in 1..=1_000 {
            micros.record(ms * 1_000).unwrap();
        }
        let told = Latencies::of(&micros);
        let near = |told: f64, exact: f64| (told / exact - 1.0).abs() < 0.001;
        assert!(near(told.p50_ms, 500.0) && near(told.p90_ms, 900.0) && near(told.p99_ms, 990.0), "{told:?}");
        assert!(near(told.p999_ms, 999.0) && near(told.max_ms, 1_000.0), "{told:?}");
        let slower = Latencies { p50_ms: 700.0, ..told };
        assert_eq!(Latencies::median(&[slower, told, slower]).p50_ms, 700.0);
    }

    #[test]
    fn processor_time_is_shared_out_over_the_orders() {
        assert_eq!(micros_per_order(Duration::from_secs(1), 50_000), Some(20.0));
        assert_eq!(micros_per_order(Duration::from_secs(1), 0), None);
    }
}
