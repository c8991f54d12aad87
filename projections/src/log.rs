//! The log page by page: `GET /events`. It is read from the log itself, so it is never behind.

pub(crate) mod audit;

use access_control::AuthorizedCaller;
use axum::extract::State;
use axum::{Extension, Json};
use bounds::Budget;
use chrono::{DateTime, TimeDelta, Utc};
use domain::order::OrderEvent;
use domain::stock::StockEvent;
use domain::streams::FOLLOWED_STREAM_TYPES;
use event_store::{EventFilter, LogDirection, LogPage, StoredEvent, position_at};
use http::HeaderMap;
use problem::{ClientNetwork, Problem, QueryParameters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::described;
use crate::parameters::{ParameterErrors, instant, invalid};
use crate::reads::{ReadRouteState, unavailable};
use crate::timeline::TimelineEntry;

/// The bytes of a page. A single event may be larger.
const MAX_BYTES: usize = 1 << 20;
/// How far the clock of the database may have been set back, so that a page by time misses nothing.
const CLOCK: TimeDelta = TimeDelta::hours(1);

pub(crate) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(events))
}

/// A page of the log. If it has a cursor, there may be more, even if it has no events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventsPage {
    items: Vec<LoggedEvent>,
    cursor: Option<String>,
}

/// An event of the log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LoggedEvent {
    /// `order` or `stock`.
    stream_type: String,
    /// The id of the order, or the SKU.
    stream_id: String,
    #[serde(flatten)]
    entry: TimelineEntry,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsParameters {
    /// `-position`, the newest first, which is the default, or `position`.
    #[param(pattern = "^-?position$", example = "-position")]
    sort: Option<String>,
    /// Only events from this position on.
    #[param(minimum = 0)]
    from_position: Option<i64>,
    /// Only events up to this position, with it.
    #[param(minimum = 0)]
    to_position: Option<i64>,
    /// Only events that were recorded at this instant or later.
    #[param(schema_with = described::instant_or_day)]
    from: Option<String>,
    /// Only events that were recorded before this instant.
    #[param(schema_with = described::instant_or_day)]
    to: Option<String>,
    /// Event names, separated by commas.
    #[param(example = "OrderCreated,OrderConfirmed")]
    r#type: Option<String>,
    /// Only streams of this kind.
    #[param(schema_with = described::stream_type)]
    stream_type: Option<String>,
    /// Only this stream, the id of an order or a SKU. It goes with `streamType`.
    #[param(min_length = 1)]
    stream_id: Option<String>,
    /// The most events of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
    /// Only checked against the end of the log: the list is never behind it.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// The events of the log
///
/// The newest first, or from a position on with `sort=position`. Positions follow the order of commits: who reads on from the last position
/// misses nothing. A page can be shorter than `limit`, or empty: as long as there is a `cursor`, there may be more.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    operation_id = "listEvents",
    params(EventsParameters),
    responses((status = 200, description = "A page of events", body = EventsPage))
)]
pub(crate) async fn events(
    State(reads): State<ReadRouteState>,
    parameters: Result<QueryParameters<EventsParameters>, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: HeaderMap,
) -> Result<Json<EventsPage>, Problem> {
    let parameters = parameters?.0;
    let min_position = parameters.min_position;
    let request = parameters.parse()?;
    reads.position_in_log(min_position, &headers).await?;
    let page = request.read(&reads, &caller, peer).await?;
    let items = page.events.into_iter().map(LoggedEvent::of).collect::<Result<_, _>>().map_err(Problem::internal)?;
    Ok(Json(EventsPage { items, cursor: page.next.map(|next| next.to_string()) }))
}

/// A page of the log that is asked for.
struct LogRequest {
    filter: EventFilter,
    direction: LogDirection,
    limit: u16,
}

impl EventsParameters {
    fn parse(self) -> Result<LogRequest, Problem> {
        let mut filter = selection(self.r#type.as_deref(), self.stream_type, self.stream_id)?;
        let mut errors = ParameterErrors::default();
        if filter.stream_id.is_some() && filter.stream_types.len() != 1 {
            errors.add("streamType", "is required with streamId");
        }
        let direction = errors.parse("sort", self.sort, |sort| match sort.as_str() {
            "position" => Ok(LogDirection::OldestFirst),
            "-position" => Ok(LogDirection::NewestFirst),
            _ => Err("must be position or -position"),
        });
        let direction = direction.unwrap_or(LogDirection::NewestFirst);
        let mut position = |name, given: Option<i64>| {
            if given.is_some_and(|position| position < 0) {
                errors.add(name, "must be a position of the log, which is 0 or more");
            }
            given
        };
        let from = position("fromPosition", self.from_position);
        let to = position("toPosition", self.to_position);
        filter.after = from.map_or(0, |from| from.saturating_sub(1));
        filter.up_to = to;
        let limit = errors.page_limit(self.limit);
        add_period(&mut filter, &mut errors, self.from, self.to);
        go_on(&mut filter, direction, errors.parse("cursor", self.cursor, cursor));
        errors.into_result()?;
        Ok(LogRequest { filter, direction, limit })
    }
}

impl LogRequest {
    /// Reads the page, once it is the caller's turn.
    async fn read(
        mut self,
        reads: &ReadRouteState,
        caller: &AuthorizedCaller,
        peer: Option<Extension<ClientNetwork>>,
    ) -> Result<LogPage, Problem> {
        let read = async {
            let mut connection = reads.store.pool().acquire().await?;
            // The log has no index by time, and its times follow its positions but for clocks that are set.
            if let Some(from) = self.filter.recorded_from.and_then(|from| from.checked_sub_signed(CLOCK)) {
                let first = position_at(&mut connection, from).await?;
                self.filter.after = self.filter.after.max(first - 1);
            }
            if let Some(until) = self.filter.recorded_until.and_then(|until| until.checked_add_signed(CLOCK)) {
                let after = position_at(&mut connection, until).await?;
                self.filter.up_to = Some(self.filter.up_to.map_or(after - 1, |up_to| up_to.min(after - 1)));
            }
            let budget = Budget::of(usize::from(self.limit)).with_bytes(MAX_BYTES);
            self.filter.page(&mut connection, self.direction, budget).await
        };
        let read = async { read.await.map_err(unavailable) };
        reads.read_log(caller, peer.map(|Extension(peer)| peer), read).await
    }
}

impl LoggedEvent {
    fn of(event: StoredEvent) -> Result<Self, serde_json::Error> {
        let (stream_type, stream_id) = (event.stream_type.clone(), event.stream_id.clone());
        Ok(Self { stream_type, stream_id, entry: TimelineEntry::try_from(event)? })
    }
}

/// Which events are asked for by name and stream. Those of other applications in the same log are not for clients.
pub(crate) fn selection(
    types: Option<&str>,
    stream_type: Option<String>,
    stream_id: Option<String>,
) -> Result<EventFilter, Problem> {
    let event_types: Vec<String> = types.into_iter().flat_map(|names| names.split(',')).map(str::to_owned).collect();
    for (name, values) in [
        ("type", event_types.iter().collect::<Vec<_>>()),
        ("streamType", stream_type.iter().collect()),
        ("streamId", stream_id.iter().collect()),
    ] {
        if values.iter().any(|value| value.is_empty()) {
            return Err(invalid(name, "is given without a value"));
        }
    }
    // Most likely a misspelling, and the client would wait forever.
    if let Some(unknown) = stream_type.as_ref().filter(|kind| !FOLLOWED_STREAM_TYPES.contains(&kind.as_str())) {
        let kinds = FOLLOWED_STREAM_TYPES.join(" and ");
        return Err(invalid("streamType", format!("{unknown:?} is no kind of stream; there are {kinds}")));
    }
    let stream_types = stream_type.map_or_else(|| FOLLOWED_STREAM_TYPES.map(str::to_owned).to_vec(), |kind| vec![kind]);
    let names = OrderEvent::NAMES.iter().chain(StockEvent::NAMES);
    if let Some(unknown) = event_types.iter().find(|name| names.clone().all(|known| known != name)) {
        return Err(invalid("type", format!("there is no event {unknown:?}")));
    }
    Ok(EventFilter { event_types, stream_types, stream_id, ..EventFilter::default() })
}

/// The period in which events were recorded. `to` is not in it: recorded times have microseconds.
fn add_period(filter: &mut EventFilter, errors: &mut ParameterErrors, from: Option<String>, to: Option<String>) {
    let from: Option<DateTime<Utc>> = errors.parse("from", from, instant);
    let to = errors.parse("to", to, instant);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        errors.add("to", "must not be before from");
    }
    filter.recorded_from = from;
    filter.recorded_until = to.map(|to| to - TimeDelta::microseconds(1));
}

/// Goes on where a page ended.
fn go_on(filter: &mut EventFilter, direction: LogDirection, reached: Option<i64>) {
    match (direction, reached) {
        (_, None) => {}
        (LogDirection::OldestFirst, Some(reached)) => filter.after = filter.after.max(reached),
        (LogDirection::NewestFirst, Some(reached)) => {
            filter.up_to = Some(filter.up_to.map_or(reached, |up_to| up_to.min(reached)));
        }
    }
}

/// The position in a cursor.
#[expect(clippy::needless_pass_by_value, reason = "the signature of all parameter parsers")]
fn cursor(cursor: String) -> Result<i64, &'static str> {
    let position = cursor.parse().ok().filter(|position| *position >= 0);
    position.ok_or("must be the cursor of an earlier answer")
}
