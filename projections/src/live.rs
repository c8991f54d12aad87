//! `GET /events/stream`: the log as server-sent events.
//!
//! The `id` of each event is its position. A client that reconnects with `Last-Event-ID` goes on there: it misses no
//! event and gets none twice, whatever was restarted in between. Nothing is buffered for a slow client: its next events
//! are read from the log when it takes them. The HTTP server closes a connection on which nothing is taken.

mod feed;
mod follower;
mod frame;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use access_control::Principal;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bounds::{CapacityShare, KeyedCapacity};
use bytes::Bytes;
use error_chain::error_chain;
use event_store::EventStore;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use problem::{ClientNetwork, Problem, ProblemType, QueryParameters};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::feed::SharedEventFeed;
use self::follower::LiveStreamReader;
use crate::described;
use crate::log::selection;
use crate::parameters::invalid;
use crate::reads::{Caller, SlowReads, unavailable};

/// The most live streams of a process: each holds a connection for as long as the client likes.
const CLIENTS: usize = 1_000;
/// How long clients should wait before they reconnect.
const RETRY: Duration = Duration::from_secs(1);

/// The heartbeat of live streams, and how many a client may have.
#[derive(Debug, Clone, Copy)]
pub struct LiveStreamSettings {
    /// A heartbeat is sent after this long without an event. It keeps proxies from closing the connection, and finds
    /// clients that have gone.
    pub heartbeat: Duration,
    /// The most live streams of one client address.
    pub per_address: usize,
    /// The most live streams of one principal, wherever it asks from.
    pub per_principal: usize,
}

impl Default for LiveStreamSettings {
    fn default() -> Self {
        // A quarter of the 60 s after which proxies usually give up an idle connection.
        Self { heartbeat: Duration::from_secs(15), per_address: CLIENTS / 2, per_principal: CLIENTS / 2 }
    }
}

/// The route of the live stream. All streams end when `stop` is cancelled; clients reconnect by themselves.
pub fn live_routes(
    store: EventStore,
    slow: SlowReads,
    settings: LiveStreamSettings,
    stop: CancellationToken,
) -> OpenApiRouter {
    let open_streams = KeyedCapacity::new(CLIENTS, settings.per_address);
    let by_principal = KeyedCapacity::new(CLIENTS, settings.per_principal);
    router().with_state(LiveStreamState {
        feed: SharedEventFeed::of(store, slow),
        settings,
        stop,
        open_streams,
        by_principal,
    })
}

pub(crate) fn router() -> OpenApiRouter<LiveStreamState> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Shared by all live streams of a process.
#[derive(Clone)]
pub(crate) struct LiveStreamState {
    feed: SharedEventFeed,
    settings: LiveStreamSettings,
    stop: CancellationToken,
    open_streams: KeyedCapacity<ClientNetwork>,
    /// By the principal's name, which stays the same with another token.
    by_principal: KeyedCapacity<Arc<str>>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LiveStreamParameters {
    /// `end`, which is the default, or a position. 0 starts at the first event.
    #[param(pattern = "^(end|0|[1-9][0-9]{0,17})$", example = "end")]
    after: Option<String>,
    /// Event names, separated by commas.
    #[param(example = "OrderCreated,OrderConfirmed")]
    r#type: Option<String>,
    /// Only streams of this kind.
    #[param(schema_with = described::stream_type)]
    stream_type: Option<String>,
    /// Only this stream: the id of an order or a SKU.
    #[param(min_length = 1)]
    stream_id: Option<String>,
}

/// What happens, as it happens
///
/// Server-sent events, until the client leaves. The `id` of each is its position in the log, `event` is the event's name, and `data` is
/// what an order's timeline has, with `streamType` and `streamId`. A client that comes back with `Last-Event-ID` misses nothing and sees
/// nothing twice.
#[utoipa::path(
    get,
    path = "/events/stream",
    tag = "events",
    operation_id = "streamEvents",
    params(
        LiveStreamParameters,
        ("Last-Event-ID" = Option<i64>, Header, description = "The last event that the client got: counts for more than `after`", minimum = 0),
    ),
    responses((
        status = 200,
        description = "The events",
        body = String,
        content_type = "text/event-stream",
        headers(("Cache-Control" = String, description = "`no-store`"), ("X-Accel-Buffering" = String, description = "`no`: for nginx"))
    ))
)]
async fn events(
    State(live): State<LiveStreamState>,
    parameters: Result<QueryParameters<LiveStreamParameters>, Problem>,
    peer: Option<Extension<ClientNetwork>>,
    principal: Option<Extension<Principal>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = parameters?.0;
    // A client that reconnects sends both: its start in the URL, and the last event that it got in the header.
    let after = match (last_event_id(&headers)?, &parameters.after) {
        (Some(position), _) => Some(position),
        (None, Some(after)) => position(after)?,
        (None, None) => None,
    };
    let LiveStreamParameters { r#type, stream_type, stream_id, .. } = parameters;
    let selection = selection(r#type.as_deref(), stream_type, stream_id)?;
    let principal = principal.map(|Extension(principal)| Arc::from(principal.identity()));
    let caller = (peer.map(|Extension(peer)| peer), principal);
    let slots = live.slots(&caller)?;
    let end = live.feed.join().await.map_err(unavailable)?;
    if let Some(after) = after.filter(|after| *after > end) {
        // Most likely a position of another log: waiting for it would skip all events before it.
        return Err(Problem::malformed(format!("position {after} is beyond the end of the log, which is at {end}")));
    }
    let follower = LiveStreamReader::starting(live.feed.clone(), caller, selection, after.unwrap_or(end));
    let stream = ClientEventStream::to(follower, &live, slots);
    let body = Body::from_stream(stream::unfold(stream, ClientEventStream::next));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // Without this nginx holds events back until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
}

impl LiveStreamState {
    /// A place among the open streams, and one among those of the same principal.
    fn slots(&self, (peer, principal): &Caller) -> Result<StreamSlots, Problem> {
        let refused =
            |detail: String| Problem::new(ProblemType::TooManyStreams, detail).retry_after(Duration::from_secs(5));
        let mut slot = self.open_streams.share(*peer);
        slot.grow_to(1).map_err(|exceeded| match exceeded.total {
            true => refused(format!("{CLIENTS} clients follow already")),
            false => refused(format!("{} clients follow from this address already", self.settings.per_address)),
        })?;
        let mut by_principal = self.by_principal.share(principal.clone());
        by_principal.grow_to(1).map_err(|_| {
            refused(format!("{} clients follow as this principal already", self.settings.per_principal))
        })?;
        Ok((slot, by_principal))
    }
}

type StreamSlots = (CapacityShare<ClientNetwork>, CapacityShare<Arc<str>>);

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

/// The stream of one client.
struct ClientEventStream {
    follower: LiveStreamReader,
    has_begun: bool,
    heartbeat: Duration,
    /// When the next heartbeat is due.
    due: Instant,
    stop: CancellationToken,
    /// Its places among the open streams.
    _slots: StreamSlots,
}

impl ClientEventStream {
    fn to(follower: LiveStreamReader, live: &LiveStreamState, slots: StreamSlots) -> Self {
        let heartbeat = live.settings.heartbeat;
        let due = Instant::now() + heartbeat;
        let stop = live.stop.clone();
        Self { follower, has_begun: false, heartbeat, due, stop, _slots: slots }
    }

    /// The next chunk. `None`: the stream ends.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let stop = self.stop.clone();
        let chunk = stop.run_until_cancelled(self.chunk()).await??;
        self.due = Instant::now() + self.heartbeat;
        Some((Ok(chunk), self))
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        if !self.has_begun {
            self.has_begun = true;
            // Tells the client its position, in case it loses the connection before the first event.
            return Some(frame::beginning(self.follower.position(), RETRY));
        }
        loop {
            match self.follower.read().await {
                Ok(Some(chunk)) => return Some(chunk),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        error = %error_chain(&error),
                        "a live stream ends; its client comes back"
                    );
                    return None;
                }
            }
            if tokio::time::timeout_at(self.due, self.follower.wait()).await.is_err() {
                // Every wanted event up to this position has been sent.
                return Some(frame::heartbeat(self.follower.position()));
            }
        }
    }
}
