//! `GET /events/stream`: the log as it grows, as server-sent events.
//!
//! Each event's `id` is its position, so that whoever comes back with `Last-Event-ID` goes on where they were: nothing is left out
//! and nothing comes twice, whatever restarts in between. A client that reads slowly is not run ahead of: what it has not taken
//! yet is still in the log, and nowhere else; whoever serves it gives up a connection on which nothing is taken.

mod feed;
mod follower;
mod frame;
mod places;

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use domain::order::OrderEvent;
use domain::stock::StockEvent;
use domain::streams::{STREAM_TYPES, is_ours};
use event_store::{EventFilter, EventStore};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use problem::{Peer, Problem, QueryParameters};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::feed::Feed;
use self::follower::Follower;
use self::places::{NoPlace, Place, Places};
use crate::parameters::invalid;
use crate::reads::unavailable;

/// The most clients of a process that follow at the same time: each holds a connection for as long as it likes.
const CLIENTS: usize = 1_000;
/// What a client is told to wait before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// How live streams behave.
#[derive(Debug, Clone, Copy)]
pub struct LiveSettings {
    /// After how long without an event something is sent all the same: whoever is in between sees that the connection is in use,
    /// and a client that has gone is noticed.
    pub heartbeat: Duration,
    /// How many clients may follow from one address.
    pub per_address: usize,
}

impl Default for LiveSettings {
    fn default() -> Self {
        // A quarter of the 60 s after which proxies usually give up an idle connection.
        Self { heartbeat: Duration::from_secs(15), per_address: CLIENTS / 2 }
    }
}

/// The route of the live stream. All streams end once `stop` is cancelled; clients come back by themselves.
pub fn live_routes(store: EventStore, settings: LiveSettings, stop: CancellationToken) -> Router {
    let places = Places::new(CLIENTS, settings.per_address);
    Router::new().route("/events/stream", get(events)).with_state(Live {
        feed: Feed::of(store),
        settings,
        stop,
        places,
    })
}

/// What all streams of a process share.
#[derive(Clone)]
struct Live {
    feed: Feed,
    settings: LiveSettings,
    stop: CancellationToken,
    places: Places,
}

/// From where, and which events.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LiveQuery {
    /// `end`, which is the default, or a position; 0: from the first event.
    after: Option<String>,
    /// Names of events, separated by commas.
    r#type: Option<String>,
    stream_type: Option<String>,
    stream_id: Option<String>,
}

async fn events(
    State(live): State<Live>,
    asked: Result<QueryParameters<LiveQuery>, Problem>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = asked?.0;
    // A client that comes back sends both: where it began, in its URL, and how far it came.
    let after = match (last_event_id(&headers)?, &asked.after) {
        (Some(position), _) => Some(position),
        (None, Some(after)) => position(after)?,
        (None, None) => None,
    };
    let selection = selection(asked)?;
    let place = live.places.take(peer.map(|Extension(peer)| peer)).map_err(|none| {
        let detail = match none {
            NoPlace::OfAll(clients) => format!("{clients} clients follow already"),
            NoPlace::OfAddress(clients) => format!("{clients} clients follow from this address already"),
        };
        Problem::unavailable("too-many-streams", detail, Duration::from_secs(5))
    })?;
    let end = live.feed.join().await.map_err(unavailable)?;
    if let Some(after) = after.filter(|after| *after > end) {
        // Of another log, most likely. Waiting until this one has come as far would leave out all that is before.
        return Err(Problem::malformed(format!("position {after} is beyond the end of the log, which is at {end}")));
    }
    let follower = Follower::starting(live.feed.clone(), selection, after.unwrap_or(end));
    let sending = Sending::to(follower, &live, place);
    let body = Body::from_stream(stream::unfold(sending, Sending::next));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // nginx would otherwise keep events until it has a buffer full of them.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let position = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|position| *position >= 0);
    position.map(Some).ok_or_else(|| Problem::malformed("header Last-Event-ID must be a position of the log"))
}

/// `None`: the end of the log.
fn position(after: &str) -> Result<Option<i64>, Problem> {
    if after == "end" {
        return Ok(None);
    }
    let position = after.parse().ok().filter(|position| *position >= 0);
    position.map(Some).ok_or_else(|| invalid("after", "must be a position of the log, 0 for all of it, or end"))
}

fn selection(asked: LiveQuery) -> Result<EventFilter, Problem> {
    let event_types: Vec<String> = asked.r#type.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect();
    for (name, values) in [
        ("type", event_types.iter().collect::<Vec<_>>()),
        ("streamType", asked.stream_type.iter().collect()),
        ("streamId", asked.stream_id.iter().collect()),
    ] {
        if values.iter().any(|value| value.is_empty()) {
            return Err(invalid(name, "is given without a value"));
        }
    }
    // Whoever waits for what never comes has most likely misspelled it.
    if let Some(unknown) = asked.stream_type.as_ref().filter(|kind| !is_ours(kind)) {
        let kinds = STREAM_TYPES.join(" and ");
        return Err(invalid("streamType", format!("{unknown:?} is no kind of stream; there are {kinds}")));
    }
    // Foreign streams are not for clients.
    let stream_types = asked.stream_type.map_or_else(|| STREAM_TYPES.map(str::to_owned).to_vec(), |kind| vec![kind]);
    let names = OrderEvent::NAMES.iter().chain(StockEvent::NAMES);
    if let Some(unknown) = event_types.iter().find(|name| names.clone().all(|known| known != name)) {
        return Err(invalid("type", format!("there is no event {unknown:?}")));
    }
    Ok(EventFilter { event_types, stream_types, stream_id: asked.stream_id, ..EventFilter::default() })
}

/// What is sent to one client.
struct Sending {
    follower: Follower,
    begun: bool,
    heartbeat: Duration,
    /// When something has to be sent.
    due: Instant,
    stop: CancellationToken,
    _place: Place,
}

impl Sending {
    fn to(follower: Follower, live: &Live, place: Place) -> Self {
        let heartbeat = live.settings.heartbeat;
        let due = Instant::now() + heartbeat;
        let stop = live.stop.clone();
        Self { follower, begun: false, heartbeat, due, stop, _place: place }
    }

    /// The next piece; `None`: the end.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let stop = self.stop.clone();
        let piece = stop.run_until_cancelled(self.piece()).await??;
        self.due = Instant::now() + self.heartbeat;
        Some((Ok(piece), self))
    }

    async fn piece(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            // From here a client resumes that loses its connection before its first event.
            return Some(frame::beginning(self.follower.position(), RETRY));
        }
        loop {
            match self.follower.read().await {
                Ok(Some(piece)) => return Some(piece),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a live stream ends; its client comes back"
                    );
                    return None;
                }
            }
            if tokio::time::timeout_at(self.due, self.follower.wait()).await.is_err() {
                // All up to there was sent, or is not asked for.
                return Some(frame::heartbeat(self.follower.position()));
            }
        }
    }
}
