//! `/`: how the platform does, with a link to the list behind each figure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access_control::Role;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use event_store::operations;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use messaging::DeadLetterOrigin;
use problem::{Problem, ProblemType, QueryParameters};
use sagas::report::WaitingSagaFilter;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::query;
use crate::Console;
use crate::admission::Reader;
use crate::answer::{error_text, shown, told};
use crate::chart::BarChart;
use crate::display::{Instant, Text, how_long};
use crate::frame::Frame;

/// How many of the latest orders are counted by the minute. Open pages have it done each second.
const COUNTED: &str = "200";
/// The minutes of the chart of orders.
const MINUTES: usize = 60;
/// How long a figure may take to find out.
const PATIENCE: Duration = Duration::from_secs(10);
/// How old the oldest unhandled event of a subscription is that keeps up.
const BEHIND: Duration = Duration::from_mins(1);
/// How old figures are that are shown.
const FRESH: Duration = Duration::from_millis(900);

#[derive(Template)]
#[template(path = "home.html")]
struct HomeTemplate {
    frame: Frame,
    /// Whether the page keeps itself up to date.
    is_live: bool,
    /// `None`: they are for those who run the platform.
    figures: Option<Arc<Figures>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HomeQuery {
    /// `no`: the page stays as it is.
    live: Option<String>,
}

/// The latest figures, which all who read them at the same time have together.
#[derive(Default)]
pub(crate) struct SharedFigures(Mutex<HashMap<Role, (tokio::time::Instant, RoleFigures)>>);

/// What those of a role see, or why it can't be seen: once it is read.
type RoleFigures = Shared<BoxFuture<'static, Result<Arc<Figures>, Problem>>>;

impl SharedFigures {
    /// What is being read, or was read a moment ago. It is read to its end, whoever goes away meanwhile.
    fn read(&self, console: &Console, reader: &Reader) -> RoleFigures {
        let mut by_role = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let role = reader.principal.role();
        if let Some((begun_at, figures)) = by_role.get(&role)
            && (figures.peek().is_none() || begun_at.elapsed() < FRESH)
        {
            return figures.clone();
        }
        let (console, reader) = (console.clone(), reader.clone());
        let reading = tokio::spawn(async move { Figures::read(&console, &reader).await.map(Arc::new) });
        let figures = reading.map(|read| read.unwrap_or_else(|failed| Err(Problem::internal(failed)))).boxed().shared();
        by_role.insert(role, (tokio::time::Instant::now(), figures.clone()));
        figures
    }
}

/// `None` stands for what could not be found out.
struct Figures {
    at: Instant,
    orders: Option<OrdersOfMinute>,
    /// How many run, and how many are stuck.
    sagas: Option<(i64, i64)>,
    /// How long customers have been waiting for their mails.
    mails: Option<String>,
    parked: Option<i64>,
    subscriptions: Option<Vec<SubscriptionRow>>,
    /// Why something is not known.
    failures: Vec<Text>,
    dead_letters: Vec<DeadLetterCount>,
}

/// The orders that were created within the last minute, and those of the minutes before.
struct OrdersOfMinute {
    count: usize,
    /// Whether there are more.
    is_more: bool,
    /// The question of the list.
    query: String,
    /// Orders a minute, as far back as they were counted. `None`: not even a minute was.
    chart: Option<BarChart>,
}

struct SubscriptionRow {
    name: Text,
    /// The age of the oldest event that it has not handled.
    behind: String,
    /// Whether that is older than it should be, for whatever reason: it fails, or no process has it.
    is_behind: bool,
    events: i64,
    parked: i64,
    /// Why it stopped, if it did.
    stopped: Option<Text>,
}

struct DeadLetterCount {
    queue: &'static str,
    /// `None`: this process does not look after the queue.
    count: Option<u64>,
}

#[derive(Deserialize)]
struct CountedOrders {
    items: Vec<CountedOrder>,
    cursor: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CountedOrder {
    created_at: Instant,
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    asked: Result<QueryParameters<HomeQuery>, Problem>,
) -> Result<Response, Problem> {
    let is_live = asked?.0.live.is_none_or(|live| live != "no");
    let figures = match reader.may_read("/sagas") {
        true => Some(console.0.figures.read(&console, &reader).await?),
        false => None,
    };
    crate::page(&HomeTemplate { frame: Frame::of(&reader, "Home", "/"), is_live, figures })
}

impl Figures {
    async fn read(console: &Console, reader: &Reader) -> Result<Self, Problem> {
        let at = Instant::now();
        let (caller, _) = reader.at("/sagas")?;
        let pool = console.0.store.pool();
        let subscriptions = async {
            let lag = operations::lag(pool).await.map_err(unavailable)?;
            Ok((lag, operations::stopped_subscriptions(pool).await.map_err(unavailable)?))
        };
        let sagas = async { sagas::report::count(pool, WaitingSagaFilter::default()).await.map_err(unavailable) };
        let mails = async { sagas::mail_lag(pool).await.map_err(unavailable) };
        let (subscriptions, sagas, mails, orders) = tokio::join!(
            in_time(subscriptions),
            in_time(sagas),
            in_time(mails),
            in_time(OrdersOfMinute::read(console, reader))
        );
        let failures =
            [subscriptions.as_ref().err(), sagas.as_ref().err(), mails.as_ref().err(), orders.as_ref().err()];
        let failures: Vec<_> = failures.into_iter().flatten().cloned().collect();
        if let [.., last] = &failures[..]
            && failures.len() == 4
        {
            return Err(last.clone());
        }
        let told = failures.iter().map(|problem| error_text(&caller, &told(problem)));
        let failures: Vec<_> = told.collect();
        let row = |it: operations::SubscriptionLag, stops: &[operations::StoppedSubscription]| SubscriptionRow {
            stopped: stops
                .iter()
                .find(|stop| stop.subscription == it.name)
                .map(|stop| error_text(&caller, &stop.error)),
            behind: seconds(it.lag_seconds),
            is_behind: it.lag_seconds >= BEHIND.as_secs_f64(),
            events: it.lag_events,
            parked: it.parked,
            name: it.name.into(),
        };
        let subscriptions = subscriptions.ok();
        let rows = subscriptions.map(|(lag, stops)| lag.into_iter().map(|it| row(it, &stops)).collect::<Vec<_>>());
        let dead_letters = DeadLetterOrigin::ALL
            .iter()
            .map(|origin| DeadLetterCount { queue: origin.as_str(), count: console.0.queues.dead_letters(*origin) });
        Ok(Self {
            at,
            orders: orders.ok(),
            sagas: sagas.ok(),
            mails: mails.ok().map(seconds),
            parked: rows.as_ref().map(|rows| rows.iter().map(|row| row.parked).sum()),
            subscriptions: rows,
            failures,
            dead_letters: dead_letters.collect(),
        })
    }
}

/// What is found out within the time that a page takes at the most.
pub(super) async fn in_time<T>(read: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| {
        let detail = format!("there was no answer within {} s", PATIENCE.as_secs());
        Err(Problem::new(ProblemType::DatabaseUnavailable, detail).retry_after(Duration::from_secs(1)))
    })
}

impl OrdersOfMinute {
    async fn read(console: &Console, reader: &Reader) -> Result<Self, Problem> {
        let caller = reader.at("/orders")?;
        let now = Instant::now();
        let before = |minutes| Instant(now.0 - TimeDelta::minutes(minutes)).iso();
        let asked = query([("from", before(60).as_str()), ("limit", COUNTED)]);
        let found = console.0.queries.orders(&asked, &caller.0, reader.peer).await?;
        let found: CountedOrders = shown(&caller, &found)?;
        let created: Vec<_> = found.items.iter().map(|order| order.created_at).collect();
        Ok(Self::of(now, &created, found.cursor.is_some(), query([("from", before(1).as_str())])))
    }

    /// `created`: when orders were created, the newest first. `is_cut`: there are older ones within the hour.
    fn of(now: Instant, created: &[Instant], is_cut: bool, query: String) -> Self {
        let minutes_ago = |at: &Instant| usize::try_from((now.0 - at.0).num_minutes()).unwrap_or(0);
        let mut a_minute = [0_i128; MINUTES];
        for minute in created.iter().map(minutes_ago).filter(|minute| *minute < MINUTES) {
            a_minute[minute] += 1;
        }
        // The last minute that was looked at may have more.
        let known = if is_cut { created.last().map_or(0, minutes_ago) } else { MINUTES };
        let bar = |minute: usize| (format!("{minute} min ago"), vec![("authorized", a_minute[minute])]);
        let title = format!("Orders a minute, the last {known} minutes");
        let chart = (known > 0)
            .then(|| BarChart::of(title, (0..known.min(MINUTES)).rev().map(bar).collect(), |count| count.to_string()));
        let count = created.iter().filter(|at| minutes_ago(at) == 0).count();
        Self { count, is_more: is_cut && known == 0, query, chart }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a saturated age is as good")]
pub(super) fn seconds(seconds: f64) -> String {
    how_long(seconds.round() as i64)
}

/// The database did not answer.
pub(super) fn unavailable(error: sqlx::Error) -> Problem {
    let problem = Problem::new(ProblemType::DatabaseUnavailable, "the database failed");
    problem.retry_after(Duration::from_secs(1)).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of orders that were created so many seconds ago.
    fn of(seconds: &[i64], is_cut: bool) -> OrdersOfMinute {
        let now = Instant::now();
        let created: Vec<_> = seconds.iter().map(|ago| Instant(now.0 - TimeDelta::seconds(*ago))).collect();
        OrdersOfMinute::of(now, &created, is_cut, String::new())
    }

    #[test]
    fn orders_are_counted_by_the_minute_as_far_as_they_are_known() {
        let all = of(&[1, 59, 61, 130, 3_700], false);
        let chart = all.chart.unwrap();
        assert_eq!((all.count, all.is_more, chart.bars.len(), chart.highest.as_str()), (2, false, 60, "2"));
        assert_eq!(chart.bars[59].label, "0 min ago: 2");
        // Of the third minute not all may be known.
        let some = of(&[1, 61, 130], true);
        assert_eq!((some.count, some.is_more, some.chart.unwrap().bars.len()), (1, false, 2));
        let many = of(&[1, 2, 3], true);
        assert_eq!((many.count, many.is_more, many.chart.is_none()), (3, true, true));
        assert_eq!(of(&[], false).chart.unwrap().highest, "0");
    }
}
