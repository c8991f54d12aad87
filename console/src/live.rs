//! Pages that keep themselves up to date. `GET /changes` tells an open page that it may have become out of date. The page then asks for
//! itself again, so whatever is shown has come through the rules of that page, and nothing is rendered for nobody.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use access_control::Principal;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bounds::{CapacityShare, KeyedCapacity};
use bytes::Bytes;
use cqrs_es::Aggregate;
use domain::order::Order;
use event_store::read::read_version;
use event_store::{EventStore, LogWakeUpReceiver};
use futures_util::stream;
use http::HeaderName;
use http::header::CONTENT_TYPE;
use problem::{Problem, ProblemType, QueryParameters};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Console;
use crate::admission::Reader;
use crate::display;
use crate::pages::query;

/// The most open pages of a process that are told: a quarter of the connections that the listener has.
const PAGES: usize = 32;
/// Of one reader: a browser has six connections to a server without HTTP/2, and needs some to ask for pages.
const PAGES_OF_READER: usize = 4;
/// A page is told at most once in this time.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// How often a page is told that shows what changes without events.
const BY_TIME: Duration = Duration::from_secs(2);
/// What a page shows changes without events, too: what waits gets older.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// After this long the browser comes again, and its credential is looked at again.
const LIFETIME: Duration = Duration::from_secs(300);

/// How a page follows what it shows. Those who may not follow have pages that stay as they are.
pub(crate) struct LivePage {
    /// When what is shown was read.
    pub(crate) at: display::Instant,
    /// The address that the page asks again, and the one that tells it when. `None`: it is paused.
    pub(crate) follows: Option<(String, String)>,
    /// The address at which it is paused, or follows again.
    pub(crate) other: String,
}

/// What has a page ask for itself again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Follows<'a> {
    /// Each event of the log.
    Log,
    /// Each event of this order.
    Order(&'a str),
    /// Time: what it shows changes without events.
    Time,
}

impl LivePage {
    /// Of the page with this path and query. `None`: its reader may not follow.
    pub(crate) fn of(reader: &Reader, path: &str, asked: Option<&str>, follows: Follows<'_>) -> Option<Self> {
        reader.at("/sagas").ok()?;
        let address = |query: String| if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let pairs: Vec<_> = url::form_urlencoded::parse(asked.unwrap_or_default().as_bytes()).collect();
        let rest = || pairs.iter().filter(|(name, _)| name != PAUSE.0).map(|(name, value)| (&**name, &**value));
        let (page, paused) = (address(query(rest())), address(query(rest().chain([PAUSE]))));
        let is_paused = pairs.iter().any(|(name, value)| (&**name, &**value) == PAUSE);
        let changes = match follows {
            Follows::Log => "/changes".to_owned(),
            Follows::Order(id) => format!("/changes?{}", query([("orderId", id)])),
            Follows::Time => "/changes?by=time".to_owned(),
        };
        let (follows, other) = if is_paused { (None, page) } else { (Some((page, changes)), paused) };
        Some(Self { at: display::Instant::now(), follows, other })
    }
}

/// The parameter of a page that stays as it is.
const PAUSE: (&str, &str) = ("live", "no");

/// The query of a page without what pauses it.
pub(crate) fn without_pause(asked: &str) -> String {
    let pairs = url::form_urlencoded::parse(asked.as_bytes()).filter(|(name, _)| name != PAUSE.0);
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The places of open pages.
pub(crate) struct OpenPages(KeyedCapacity<String>);

impl Default for OpenPages {
    fn default() -> Self {
        Self(KeyedCapacity::new(PAGES, PAGES_OF_READER))
    }
}

impl OpenPages {
    fn place(&self, reader: &Principal) -> Result<CapacityShare<String>, Problem> {
        let mut place = self.0.share(Some(reader.identity()));
        place.grow_to(1).map_err(|_| {
            Problem::new(ProblemType::TooManyStreams, "too many pages are live").retry_after(Duration::from_secs(30))
        })?;
        Ok(place)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangesQuery {
    /// Only those of this order.
    order_id: Option<String>,
    /// `time`: what happens has no part in it.
    by: Option<String>,
}

pub(crate) async fn changes(
    State(console): State<Console>,
    reader: Reader,
    asked: Result<QueryParameters<ChangesQuery>, Problem>,
) -> Result<Response, Problem> {
    let console = &console.0;
    // Those who see nothing that follows are told nothing.
    reader.at("/sagas")?;
    let ChangesQuery { order_id, by } = asked?.0;
    let now = Instant::now();
    // A credential that is revoked is found out when the page asks for itself.
    let expires_in = reader.principal.expires_at().map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    let mut page = OpenPage {
        log: console.store.log_changes(),
        order: order_id.map(|id| FollowedOrder { store: console.store.clone(), id, version: None }),
        by_time: by.is_some_and(|by| by == "time"),
        told_at: now,
        tells_again: false,
        until: now + expires_in.map_or(LIFETIME, |expires_in| expires_in.min(LIFETIME)),
        stop: console.stop.clone(),
        _place: console.open_pages.place(&reader.principal)?,
    };
    if let Some(order) = &mut page.order {
        // Something may have happened since the page was made.
        page.tells_again = true;
        order.has_changed().await;
    }
    let body = Body::from_stream(stream::unfold(page, OpenPage::next));
    // Without the second header nginx holds events back until its buffer is full.
    let headers = [(CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, body).into_response())
}

/// A page that is told of changes.
struct OpenPage {
    log: LogWakeUpReceiver,
    /// `None`: it follows all that happens.
    order: Option<FollowedOrder>,
    by_time: bool,
    told_at: Instant,
    /// Whether it was told of an event that others may not have handled yet.
    tells_again: bool,
    until: Instant,
    stop: CancellationToken,
    _place: CapacityShare<String>,
}

/// The order that a page shows.
struct FollowedOrder {
    store: EventStore,
    id: String,
    /// The one that was looked at last.
    version: Option<i64>,
}

impl FollowedOrder {
    /// Whether it has another version than when it was looked at last. If that can't be found out, the page is told in a while.
    async fn has_changed(&mut self) -> bool {
        let version = read_version(self.store.pool(), Order::TYPE, &self.id).await.ok();
        version.is_some() && std::mem::replace(&mut self.version, version) != version
    }
}

impl OpenPage {
    /// `None`: its time is over, or the process stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.until_out_of_date()).await?;
        let now = Instant::now();
        self.told_at = now;
        // An event without data is none.
        (now < self.until).then(|| (Ok(Bytes::from_static(b"event: changed\ndata: \ndata: \n\n")), self))
    }

    async fn until_out_of_date(&mut self) {
        if self.by_time {
            return tokio::time::sleep_until(self.told_at + BY_TIME).await;
        }
        tokio::time::sleep_until(self.told_at + AT_MOST_EVERY).await;
        if std::mem::take(&mut self.tells_again) {
            return;
        }
        let due = self.told_at + AT_LEAST_EVERY;
        while Instant::now() < due && !self.tells_again {
            let has_grown = self.log.wait().await;
            self.tells_again = match &mut self.order {
                Some(order) if has_grown => order.has_changed().await,
                Some(_) | None => has_grown,
            };
            if has_grown && !self.tells_again {
                // It is others that something happens to, however often.
                tokio::time::sleep(AT_MOST_EVERY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event_store::AppendQueueSettings;

    use super::*;

    #[tokio::test]
    async fn an_order_has_changed_once_it_has_another_version_and_others_do_not_count() {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let mut order = FollowedOrder { store: store.clone(), id: "o-1".to_owned(), version: None };
        order.has_changed().await;
        for (id, version, changed) in [("o-1", 1, true), ("o-2", 1, false), ("o-1", 2, true)] {
            let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                          values ('order', $1, $2, 'OrderHeld', '1.0', '{}', '{}')";
            sqlx::query(insert).bind(id).bind(version).execute(database.pool()).await.unwrap();
            assert_eq!(order.has_changed().await, changed, "{id} {version}");
            assert!(!order.has_changed().await, "{id} {version}");
        }
        store.close().await;
    }

    #[test]
    fn what_pauses_a_page_is_no_part_of_its_question() {
        assert_eq!(without_pause("type=a%20b&live=no&live=x&cursor=1"), "type=a+b&cursor=1");
    }
}
