//! Which mails came, and how long each took.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hdrhistogram::Histogram;

use crate::load::micros;

/// The orders of one run, numbered from 0 and due at a steady rate, and what came of them.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// What the ids of these orders begin with.
    prefix: String,
    /// When the first order was due.
    begin: DateTime<Utc>,
    per_second: f64,
    /// Orders due before are not measured.
    from: DateTime<Utc>,
    /// When the last order was due.
    until: DateTime<Utc>,
    came: Vec<bool>,
    /// Mails of orders that had one already.
    pub(super) doubled: u64,
    /// Orders that have a mail.
    pub(super) mails: u64,
    /// Of those, how many had it when the last order was due.
    pub(super) in_time: u64,
    /// When the last of them came.
    last: Option<DateTime<Utc>>,
    /// From when an order was due until its mail came, in microseconds.
    pub(super) latencies: Histogram<u64>,
}

impl Arrivals {
    /// `prefix` is what the ids of these orders begin with, and of no others; their number follows it.
    pub(super) fn new(
        prefix: &str,
        per_second: f64,
        (begin, from, until): (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>),
    ) -> Self {
        // These bounds are within what it takes.
        let latencies =
            Histogram::new_with_max(LONGEST, 3).unwrap_or_else(|_| unreachable!("the bounds are constants"));
        Self {
            prefix: prefix.to_owned(),
            begin,
            per_second,
            from,
            until,
            came: Vec::new(),
            doubled: 0,
            mails: 0,
            in_time: 0,
            last: None,
            latencies,
        }
    }

    /// A mail that came then. Those that are not about these orders, or say something else of them, do not count.
    pub(super) fn note(&mut self, subject: &str, at: DateTime<Utc>) {
        let Some(nth) = self.confirmed(subject) else { return };
        let Ok(index) = usize::try_from(nth) else { return };
        if self.came.len() <= index {
            self.came.resize(index + 1, false);
        }
        let Some(came) = self.came.get_mut(index) else { return };
        if std::mem::replace(came, true) {
            self.doubled += 1;
            return;
        }
        self.mails += 1;
        self.in_time += u64::from(at <= self.until);
        self.last = self.last.max(Some(at));
        let due = self.due(nth);
        if due >= self.from {
            let took = (at - due).to_std().unwrap_or_default();
            self.latencies.saturating_record(micros(took));
        }
    }

    /// How long after the last order was due the last mail came.
    pub(super) fn last_after(&self) -> Duration {
        self.last.and_then(|last| (last - self.until).to_std().ok()).unwrap_or_default()
    }

    /// The number of the order that a mail says is confirmed.
    fn confirmed(&self, subject: &str) -> Option<u64> {
        let order_id = subject.strip_prefix("Order ")?.strip_suffix(" confirmed")?;
        order_id.strip_prefix(&self.prefix)?.parse().ok()
    }

    fn due(&self, nth: u64) -> DateTime<Utc> {
        #[expect(clippy::cast_precision_loss, reason = "2^53 orders are more than anyone waits for")]
        let after = Duration::from_secs_f64(nth as f64 / self.per_second);
        self.begin + TimeDelta::from_std(after).unwrap_or_default()
    }
}

/// An hour, in microseconds: longer than any backlog that somebody waits for.
const LONGEST: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Latencies;

    #[test]
    fn a_mail_took_from_when_its_order_was_due() {
        let mut arrivals = arrivals();
        for nth in 0..100_u64 {
            // Due every 10 ms; the later ones take longer.
            arrivals.note(&subject(nth), at(10 * nth + nth + 1));
        }

        let of = Latencies::of(&arrivals.latencies);
        assert_eq!((arrivals.mails, arrivals.doubled, arrivals.latencies.len()), (100, 0, 80), "20 were to warm up");
        let near = |told: f64, exact: f64| (told / exact - 1.0).abs() < 0.001;
        assert!(near(of.p50_ms, 60.0) && near(of.p99_ms, 100.0) && near(of.max_ms, 100.0), "{of:?}");
    }

    #[test]
    fn what_comes_after_the_last_order_was_due_is_the_backlog_at_the_end() {
        let mut arrivals = arrivals();
        arrivals.note(&subject(98), at(1_000));
        assert_eq!((arrivals.in_time, arrivals.last_after()), (1, Duration::ZERO));

        arrivals.note(&subject(99), at(1_250));
        arrivals.note(&subject(97), at(1_001));
        assert_eq!((arrivals.mails, arrivals.in_time), (3, 1));
        assert_eq!(arrivals.last_after(), Duration::from_millis(250));
    }

    #[test]
    fn an_order_that_is_told_of_twice_is_doubled_and_counts_once() {
        let mut arrivals = arrivals();
        for _ in 0..3 {
            arrivals.note(&subject(7), at(80));
        }

        assert_eq!((arrivals.mails, arrivals.doubled), (1, 2));
    }

    #[test]
    fn mails_of_other_orders_and_other_kinds_do_not_count() {
        let mut arrivals = arrivals();
        for subject in ["hello", "Order demo-1 confirmed", "Order bench-a- confirmed", "Order bench-a-7 was cancelled"]
        {
            arrivals.note(subject, at(80));
        }

        assert_eq!((arrivals.mails, arrivals.doubled, arrivals.last_after()), (0, 0, Duration::ZERO));
    }

    #[test]
    fn a_clock_that_went_back_makes_no_time_negative() {
        let mut arrivals = arrivals();
        arrivals.note(&subject(50), at(0));

        assert_eq!(arrivals.latencies.max(), 0);
    }

    /// A hundred a second for a second, the first 200 ms of it to warm up.
    fn arrivals() -> Arrivals {
        Arrivals::new("bench-a-", 100.0, (at(0), at(200), at(1_000)))
    }

    fn subject(nth: u64) -> String {
        format!("Order bench-a-{nth:012} confirmed")
    }

    fn at(millis: u64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_millis(millis)
    }
}
