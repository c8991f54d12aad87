//! `/`: how the platform does, with a link to the list behind each figure.

mod minutes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access_control::Role;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::Uri;
use messaging::DeadLetterOrigin;
use problem::{Problem, ProblemType, QueryParameters};
use sagas::report::WaitingSagaFilter;
use serde::Deserialize;

use self::minutes::CountedMinutes;
use super::query;
use super::subscriptions::{self, Subscription};
use crate::Console;
use crate::admission::Reader;
use crate::answer::{error_text, told};
use crate::chart::BarChart;
use crate::display::{Instant, Text, how_long};
use crate::frame::Frame;
use crate::live::{Follows, LivePage};

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
    /// `None`: they are for those who run the platform.
    figures: Option<Arc<Figures>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HomeQuery {
    /// `no`: the page stays as it is.
    #[serde(rename = "live")]
    _live: Option<String>,
}

/// The latest figures, which all who read them at the same time have together.
#[derive(Default)]
pub(crate) struct SharedFigures {
    by_role: Mutex<HashMap<Role, (tokio::time::Instant, RoleFigures)>>,
    minutes: Mutex<CountedMinutes>,
}

/// What those of a role see, or why it can't be seen: once it is read.
type RoleFigures = Shared<BoxFuture<'static, Result<Arc<Figures>, Problem>>>;

impl SharedFigures {
    /// What is being read, or was read a moment ago. It is read to its end, whoever goes away meanwhile.
    fn read(&self, console: &Console, reader: &Reader) -> RoleFigures {
        let mut by_role = self.by_role.lock().unwrap_or_else(PoisonError::into_inner);
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
    /// Orders a minute, as far back as they were counted.
    chart: Option<BarChart>,
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

/// The orders that were created within the last minute.
struct OrdersOfMinute {
    count: i64,
    /// The question of the list.
    query: String,
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

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    uri: Uri,
    asked: Result<QueryParameters<HomeQuery>, Problem>,
) -> Result<Response, Problem> {
    asked?;
    let figures = match reader.may_read("/sagas") {
        true => Some(console.0.figures.read(&console, &reader).await?),
        false => None,
    };
    let live = LivePage::of(&reader, "/", uri.query(), Follows::Log);
    let live = figures.as_ref().and_then(|figures| Some(LivePage { at: figures.at, ..live? }));
    crate::page(&HomeTemplate { frame: Frame::of(&reader, "Home", "/").following(live), figures })
}

impl Figures {
    async fn read(console: &Console, reader: &Reader) -> Result<Self, Problem> {
        let at = Instant::now();
        let (caller, _) = reader.at("/sagas")?;
        let pool = console.0.store.pool();
        let sagas = async { sagas::report::count(pool, WaitingSagaFilter::default()).await.map_err(unavailable) };
        let mails = async { sagas::mail_lag(pool).await.map_err(unavailable) };
        let (subscriptions, sagas, mails, minutes) = tokio::join!(
            in_time(subscriptions::read(console, reader)),
            in_time(sagas),
            in_time(mails),
            in_time(count_minutes(console, at))
        );
        let failures =
            [subscriptions.as_ref().err(), sagas.as_ref().err(), mails.as_ref().err(), minutes.as_ref().err()];
        let failures: Vec<_> = failures.into_iter().flatten().cloned().collect();
        if let [.., last] = &failures[..]
            && failures.len() == 4
        {
            return Err(last.clone());
        }
        let told = failures.iter().map(|problem| error_text(&caller, &told(problem)));
        let failures: Vec<_> = told.collect();
        let row = |it: Subscription| SubscriptionRow {
            stopped: it.stops.into_iter().next().map(|stop| stop.error),
            behind: seconds(it.lag_seconds),
            is_behind: it.lag_seconds >= BEHIND.as_secs_f64(),
            events: it.lag_events,
            parked: it.parked,
            name: it.name,
        };
        let rows = subscriptions.ok().map(|all| all.into_iter().map(row).collect::<Vec<_>>());
        let dead_letters = DeadLetterOrigin::ALL
            .iter()
            .map(|origin| DeadLetterCount { queue: origin.as_str(), count: console.0.queues.dead_letters(*origin) });
        Ok(Self {
            at,
            orders: minutes.as_ref().ok().and_then(|minutes| OrdersOfMinute::of(minutes, at)),
            chart: minutes.ok().and_then(|minutes| minutes.chart(at.0)),
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
    fn of(minutes: &CountedMinutes, now: Instant) -> Option<Self> {
        let (count, from) = minutes.last_minute(now.0)?;
        Some(Self { count, query: query([("from", Instant(from).iso().as_str())]) })
    }
}

/// The orders of each minute, counted on from what was counted before.
async fn count_minutes(console: &Console, now: Instant) -> Result<CountedMinutes, Problem> {
    let minutes = &console.0.figures.minutes;
    let before = minutes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let counted = before.read_on(console.0.store.pool(), now.0).await.map_err(unavailable)?;
    // Whoever counted at the same time has counted the same log.
    *minutes.lock().unwrap_or_else(PoisonError::into_inner) = counted.clone();
    Ok(counted)
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
