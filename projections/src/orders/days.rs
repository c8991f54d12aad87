//! The days that there can be orders of, and the cursor of a scan over them.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// The first and the last day of the log, both included, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogDayRange {
    pub(super) first: NaiveDate,
    pub(super) last: NaiveDate,
}

impl LogDayRange {
    /// `None`: the log is empty.
    pub(super) async fn read(pool: &PgPool) -> Result<Option<Self>, sqlx::Error> {
        // Imported events may be later than this clock's time, and after a clock was set back the second event may be
        // earlier than the first. So the last day is the later of the two, and the first day is one day earlier.
        let ends = "select (select recorded_at from events order by global_position limit 1),
                           greatest(now(), (select recorded_at from events order by global_position desc limit 1))";
        let (first, last): (Option<DateTime<Utc>>, DateTime<Utc>) = sqlx::query_as(ends).fetch_one(pool).await?;
        let first = first.map(|first| first.date_naive());
        Ok(first.map(|first| Self { first: first.pred_opt().unwrap_or(first), last: last.date_naive() }))
    }

    /// The days of the log between two instants; the second is excluded.
    pub(super) fn within(self, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<Self> {
        let first = from.map_or(self.first, |from| self.first.max(from.date_naive()));
        let last = to.map_or(self.last, |to| self.last.min(to.date_naive()));
        (first <= last).then_some(Self { first, last })
    }
}

/// Where a page ended in a scan by day.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DayCursor {
    /// The day to go on with.
    pub(super) day: NaiveDate,
    /// The table's cursor within that day. `None`: the scan has not reached that day yet.
    pub(super) after: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn only_days_that_there_are_events_of_are_scanned() {
        let days = LogDayRange { first: day("2026-11-01"), last: day("2026-11-20") };
        let within = |from, to| days.within(from, to).map(|days| (days.first.to_string(), days.last.to_string()));
        let both = |first: &str, last: &str| Some((first.to_owned(), last.to_owned()));
        assert_eq!(within(None, None), both("2026-11-01", "2026-11-20"));
        assert_eq!(within(at("2020-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")), both("2026-11-01", "2026-11-20"));
        assert_eq!(within(at("2026-11-05T10:00:00Z"), at("2026-11-07T00:00:01Z")), both("2026-11-05", "2026-11-07"));
        assert_eq!(within(at("2026-11-21T00:00:00Z"), None), None);
        assert_eq!(within(None, at("2026-10-31T00:00:00Z")), None);
    }
}
