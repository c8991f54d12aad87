//! How many orders were created in each ten seconds of the last hour, counted along the log.
//!
//! The log has no index by time, and a busy hour has millions of events. What was counted does not change any more, so each reading goes
//! on where the last one ended, by a bounded number of events: with those that came, and with some of those before. The first readings of
//! a process reach less far back.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use event_store::read::last_position;
use sqlx::PgPool;

use crate::chart::BarChart;

/// The minutes of the chart.
const MINUTES: i32 = 60;
/// Each step that is counted, in seconds: some of them are a minute.
const STEP: i32 = 10;
/// How many positions of the log a reading goes on by. More that came meanwhile have it begin anew.
const CAME: i64 = 20_000;
const BEFORE: i64 = 5_000;

/// What was counted.
#[derive(Debug, Clone, Default)]
pub(super) struct CountedMinutes {
    /// The positions behind this one, up to that one.
    after: i64,
    up_to: i64,
    /// When the earliest of them was recorded.
    since: Option<DateTime<Utc>>,
    /// The orders of each step that has events, by its begin.
    orders: BTreeMap<DateTime<Utc>, i64>,
}

impl CountedMinutes {
    /// Goes on counting.
    pub(super) async fn read_on(self, pool: &PgPool, now: DateTime<Utc>) -> Result<Self, sqlx::Error> {
        self.read_on_by(CAME, BEFORE, pool, now).await
    }

    async fn read_on_by(
        mut self,
        came: i64,
        before: i64,
        pool: &PgPool,
        now: DateTime<Utc>,
    ) -> Result<Self, sqlx::Error> {
        let end = last_position(pool).await?;
        // A database that was put back has another log.
        if end < self.up_to || end - self.up_to > came {
            self = Self { after: end, up_to: end, ..Self::default() };
        }
        self.count(pool, self.up_to, end).await?;
        self.up_to = end;
        let hour = TimeDelta::minutes(i64::from(MINUTES));
        if self.since.is_none_or(|since| since > now - hour) {
            let after = (self.after - before).max(0);
            self.count(pool, after, self.after).await?;
            self.after = after;
        }
        self.orders.retain(|step, _| *step > now - hour - TimeDelta::minutes(1));
        Ok(self)
    }

    async fn count(&mut self, pool: &PgPool, after: i64, up_to: i64) -> Result<(), sqlx::Error> {
        if after == up_to {
            return Ok(());
        }
        let counted = "select date_bin(make_interval(secs => $3), recorded_at, 'epoch'), min(recorded_at),
                              count(*) filter (where aggregate_type = 'order' and event_type = 'OrderCreated')
                         from events where global_position > $1 and global_position <= $2 group by 1";
        let counted = sqlx::query_as(counted).bind(after).bind(up_to).bind(f64::from(STEP));
        let counted: Vec<(DateTime<Utc>, DateTime<Utc>, i64)> = counted.fetch_all(pool).await?;
        for (step, first, orders) in counted {
            *self.orders.entry(step).or_default() += orders;
            self.since = Some(self.since.map_or(first, |since| since.min(first)));
        }
        Ok(())
    }

    /// The orders of the last minute, counted from the begin of a step, and that begin. `None`: not all of them were counted.
    pub(super) fn last_minute(&self, now: DateTime<Utc>) -> Option<(i64, DateTime<Utc>)> {
        let from = (now - TimeDelta::minutes(1)).duration_trunc(TimeDelta::seconds(i64::from(STEP))).ok()?;
        self.is_known(from).then(|| (self.orders.range(from..).map(|(_, orders)| orders).sum(), from))
    }

    /// Whether all since then was counted: that is all of the log, or all since some time before.
    fn is_known(&self, from: DateTime<Utc>) -> bool {
        self.after == 0 || self.since.is_some_and(|since| since <= from)
    }

    /// A bar for each minute that is known whole, up to the one that is not over. `None`: none is.
    pub(super) fn chart(&self, now: DateTime<Utc>) -> Option<BarChart> {
        let this = now.duration_trunc(TimeDelta::minutes(1)).ok()?;
        let minutes = (0..MINUTES).rev().map(|ago| this - TimeDelta::minutes(i64::from(ago)));
        let bar = |minute: DateTime<Utc>| {
            let of_minute = self.orders.range(minute..minute + TimeDelta::minutes(1));
            let orders = of_minute.map(|(_, orders)| orders).sum::<i64>();
            (minute.format("%H:%M UTC").to_string(), vec![("authorized", i128::from(orders))])
        };
        let bars: Vec<_> = minutes.filter(|minute| self.is_known(*minute)).map(bar).collect();
        let title = format!("Orders a minute, the last {} minutes", bars.len());
        (!bars.is_empty()).then(|| BarChart::of(title, bars, |count| count.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores orders that were created so many minutes ago, with another event each.
    async fn orders(pool: &PgPool, at: DateTime<Utc>, minutes: &[i64]) {
        let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at)
                      select 'order', gen_random_uuid()::text, 1, type, '1.0', '{}', '{}', $1 from unnest($2::text[]) type";
        for ago in minutes {
            let types = ["OrderCreated", "StockReserved"].map(str::to_owned);
            let at = at - TimeDelta::minutes(*ago);
            sqlx::query(insert).bind(at).bind(&types[..]).execute(pool).await.unwrap();
        }
    }

    fn bars(counted: &CountedMinutes, now: DateTime<Utc>) -> Vec<String> {
        counted.chart(now).map_or_else(Vec::new, |chart| chart.bars.into_iter().map(|bar| bar.label).collect())
    }

    #[tokio::test]
    async fn each_reading_goes_on_where_the_last_one_ended() {
        let database = testkit::database().await;
        let (pool, now) = (database.pool(), "2026-11-24T12:00:30Z".parse::<DateTime<Utc>>().unwrap());
        orders(pool, now, &[90, 70, 50, 50, 3, 1, 0]).await;
        let first = CountedMinutes::default().read_on_by(3, 4, pool, now).await.unwrap();
        assert_eq!(bars(&first, now), ["12:00 UTC: 1"], "the minute before is known in part");
        assert_eq!(first.last_minute(now).map(|(orders, _)| orders), Some(2));
        let second = first.read_on_by(3, 4, pool, now).await.unwrap();
        assert_eq!(bars(&second, now).len(), 50);
        // One more came, and now all of the hour is known.
        orders(pool, now, &[0]).await;
        let third = second.read_on_by(3, 4, pool, now).await.unwrap();
        let all = bars(&third, now);
        assert_eq!((all.len(), all[59].as_str(), all[58].as_str()), (60, "12:00 UTC: 2", "11:59 UTC: 1"));
        assert_eq!(
            (all[56].as_str(), all[9].as_str(), all[0].as_str()),
            ("11:57 UTC: 1", "11:10 UTC: 2", "11:01 UTC: 0")
        );
        let (after, up_to) = (third.after, third.up_to);
        let fourth = third.read_on_by(3, 4, pool, now).await.unwrap();
        assert_eq!((fourth.after, fourth.up_to), (after, up_to), "what is older than an hour is counted");
        // More came than a reading takes: it begins anew.
        orders(pool, now, &[0, 0]).await;
        let anew = fourth.read_on_by(3, 4, pool, now).await.unwrap();
        assert_eq!((anew.up_to - anew.after, bars(&anew, now).len()), (4, 0));
        assert_eq!(anew.last_minute(now), None, "a part of it is not known");
    }

    #[tokio::test]
    async fn a_log_that_is_counted_from_its_beginning_has_empty_minutes() {
        let database = testkit::database().await;
        let now = "2026-11-24T12:00:30Z".parse::<DateTime<Utc>>().unwrap();
        let none = CountedMinutes::default().read_on(database.pool(), now).await.unwrap();
        assert_eq!(bars(&none, now).len(), 60);
        orders(database.pool(), now, &[5]).await;
        let some = none.read_on(database.pool(), now).await.unwrap();
        assert_eq!(some.chart(now).unwrap().highest, "1");
    }
}
