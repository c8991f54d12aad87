//! `/`: how the platform does, with a link to the list behind each figure.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use event_store::operations;
use messaging::DeadLetterOrigin;
use problem::{Problem, ProblemType};
use sagas::report::WaitingSagaFilter;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::query;
use crate::Console;
use crate::admission::Reader;
use crate::answer::{error_text, shown};
use crate::display::{Instant, Text, how_long};
use crate::frame::Frame;

/// How many orders of the last minute are counted.
const COUNTED: &str = "200";

#[derive(Template)]
#[template(path = "home.html")]
struct HomeTemplate {
    frame: Frame,
    now: Instant,
    /// `None`: they are for those who run the platform.
    figures: Option<Figures>,
}

struct Figures {
    orders: OrdersOfMinute,
    running: i64,
    stuck: i64,
    /// How long customers have been waiting for their mails.
    mails: String,
    parked: i64,
    subscriptions: Vec<SubscriptionRow>,
    dead_letters: Vec<DeadLetterCount>,
}

/// The orders that were created within the last minute.
struct OrdersOfMinute {
    count: usize,
    /// Whether there are more.
    is_more: bool,
    /// The question of the list.
    query: String,
}

struct SubscriptionRow {
    name: Text,
    /// The age of the oldest event that it has not handled.
    behind: String,
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
    items: Vec<IgnoredAny>,
    cursor: Option<IgnoredAny>,
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader) -> Result<Response, Problem> {
    let figures = match reader.may_read("/sagas") {
        true => Some(Figures::read(&console, &reader).await?),
        false => None,
    };
    crate::page(&HomeTemplate { frame: Frame::of(&reader, "Home", "/"), now: Instant::now(), figures })
}

impl Figures {
    async fn read(console: &Console, reader: &Reader) -> Result<Self, Problem> {
        let (caller, _) = reader.at("/sagas")?;
        let pool = console.0.store.pool();
        let subscriptions = operations::lag(pool).await.map_err(unavailable)?;
        let stops = operations::stopped_subscriptions(pool).await.map_err(unavailable)?;
        let (running, stuck) = sagas::report::count(pool, WaitingSagaFilter::default()).await.map_err(unavailable)?;
        let mails = sagas::mail_lag(pool).await.map_err(unavailable)?;
        let rows = subscriptions.into_iter().map(|it| SubscriptionRow {
            stopped: stops
                .iter()
                .find(|stop| stop.subscription == it.name)
                .map(|stop| error_text(&caller, &stop.error)),
            behind: seconds(it.lag_seconds),
            events: it.lag_events,
            parked: it.parked,
            name: it.name.into(),
        });
        let rows: Vec<_> = rows.collect();
        let dead_letters = DeadLetterOrigin::ALL
            .iter()
            .map(|origin| DeadLetterCount { queue: origin.as_str(), count: console.0.queues.dead_letters(*origin) });
        Ok(Self {
            orders: OrdersOfMinute::read(console, reader).await?,
            running,
            stuck,
            mails: seconds(mails),
            parked: rows.iter().map(|row| row.parked).sum(),
            subscriptions: rows,
            dead_letters: dead_letters.collect(),
        })
    }
}

impl OrdersOfMinute {
    async fn read(console: &Console, reader: &Reader) -> Result<Self, Problem> {
        let caller = reader.at("/orders")?;
        let since = Instant(Instant::now().0 - TimeDelta::minutes(1)).iso();
        let asked = query([("from", since.as_str()), ("limit", COUNTED)]);
        let found = console.0.queries.orders(&asked, &caller.0, reader.peer).await?;
        let found: CountedOrders = shown(&caller, &found)?;
        let query = query([("from", since.as_str())]);
        Ok(Self { count: found.items.len(), is_more: found.cursor.is_some(), query })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a saturated age is as good")]
fn seconds(seconds: f64) -> String {
    how_long(seconds.round() as i64)
}

/// The database did not answer.
pub(super) fn unavailable(error: sqlx::Error) -> Problem {
    let problem = Problem::new(ProblemType::DatabaseUnavailable, "the database failed");
    problem.retry_after(std::time::Duration::from_secs(1)).caused_by(error)
}
