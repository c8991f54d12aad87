//! An order's timeline: `GET /orders/{id}/events`. It is read from the order's stream, page by page, and has no read
//! model.

use std::collections::BTreeMap;

use access_control::AuthorizedCaller;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use cqrs_es::{Aggregate, DomainEvent};
use domain::ids::CustomerId;
use domain::order::saga::OperatorDecision;
use domain::order::{Order, OrderEvent};
use event_store::StoredEvent;
use event_store::read::{read_stream_after, read_version};
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::orders::time_travel::placed_by;
use crate::parameters::ParameterErrors;
use crate::reads::{ReadRouteState, may_see, no_order, parse_order_id, unavailable};

pub(crate) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(timeline))
}

/// A page of what happened to an order, oldest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimelinePage {
    order_id: String,
    items: Vec<TimelineEntry>,
    /// The cursor of the next page. `None`: this is the last page.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineQuery {
    /// The most events of the page; 200 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
    /// Only checked against the end of the log: the timeline is never behind it.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// The events of a page, unless the client wants fewer. Most orders have fewer than this.
pub(crate) const LONGEST_PAGE: u16 = 200;
/// The bytes of a page. A single event may be larger.
const MAX_BYTES: i64 = 1 << 20;

/// An event as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimelineEntry {
    /// The version of the order after it.
    pub(crate) version: i64,
    /// Its place in the log.
    pub(crate) position: i64,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) event_id: Uuid,
    pub(crate) recorded_at: DateTime<Utc>,
    /// Who caused it, and what: `actor`, `correlationId`, `causationId`, `traceparent`.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// What happened, as the event's type says.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// The order's timeline
///
/// What happened to the order, oldest first, from the log itself: it is never behind.
#[utoipa::path(
    get,
    path = "/orders/{order_id}/events",
    tag = "orders",
    operation_id = "listOrderEvents",
    params(
        ("order_id" = String, Path, description = "The order's id", pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "order-1001"),
        TimelineQuery,
    ),
    responses((status = 200, description = "A page of events", body = TimelinePage), (status = 404, description = "There is no such order"))
)]
pub(crate) async fn timeline(
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<TimelineQuery>, Problem>,
    caller: AuthorizedCaller,
    headers: HeaderMap,
) -> Result<Json<TimelinePage>, Problem> {
    let (order_id, parameters) = (parse_order_id(path)?.to_string(), parameters?.0);
    let mut errors = ParameterErrors::default();
    let limit = errors.page_limit(Some(parameters.limit.unwrap_or(LONGEST_PAGE.into())));
    let after = errors.parse("cursor", parameters.cursor, version).unwrap_or(0);
    errors.into_result()?;
    reads.position_in_log(parameters.min_position, &headers).await?;
    let pool = reads.store.pool();
    if caller.only_customer().is_some() {
        let first =
            read_stream_after(pool, (Order::TYPE, order_id.as_str(), 0), 1, MAX_BYTES).await.map_err(unavailable)?;
        let placed = first.first().map_or(Ok(None), placed_by).map_err(Problem::internal)?;
        if !placed.is_some_and(|placed| may_see(&caller, placed.customer_id.as_ref().map(CustomerId::as_str))) {
            return Err(no_order(&order_id));
        }
    }
    page(&reads, &order_id, after, limit).await?.map(Json).ok_or_else(|| no_order(&order_id))
}

/// The events of an order after a version. `None`: there is no such order.
pub(crate) async fn page(
    reads: &ReadRouteState,
    order_id: &str,
    after: i64,
    limit: u16,
) -> Result<Option<TimelinePage>, Problem> {
    let pool = reads.store.pool();
    let stream = (Order::TYPE, order_id, after);
    let events = read_stream_after(pool, stream, limit.into(), MAX_BYTES).await.map_err(unavailable)?;
    let last = read_version(pool, Order::TYPE, order_id).await.map_err(unavailable)?;
    if last == 0 {
        return Ok(None);
    }
    let cursor = events.last().filter(|event| event.version < last).map(|event| event.version.to_string());
    let items = events.into_iter().map(TimelineEntry::try_from).collect::<Result<_, _>>().map_err(Problem::internal)?;
    Ok(Some(TimelinePage { order_id: order_id.to_owned(), items, cursor }))
}

/// The version in a cursor: that of the last event of the page before.
#[expect(clippy::needless_pass_by_value, reason = "the signature of all parameter parsers")]
fn version(cursor: String) -> Result<i64, &'static str> {
    let version = cursor.parse().ok().filter(|version| *version > 0);
    version.ok_or("must be the cursor of an earlier answer")
}

impl TimelineEntry {
    /// What happened, as JSON.
    pub(crate) fn data(&self) -> &str {
        self.data.get()
    }
}

impl TryFrom<StoredEvent> for TimelineEntry {
    type Error = serde_json::Error;

    fn try_from(event: StoredEvent) -> Result<Self, Self::Error> {
        let decoded = event.is_of::<Order>().then(|| event.decode::<Order>());
        let data = match decoded {
            // Payment tokens are for the payment provider only.
            Some(Ok(OrderEvent::OrderCreated(mut content))) => {
                content.payment_token = None;
                content.payments.iter_mut().for_each(|payment| payment.token = None);
                to_raw_value(&content)?
            }
            Some(Ok(OrderEvent::OrderEditRequested(mut requested))) => {
                requested.payment.iter_mut().for_each(|payment| payment.token = None);
                to_raw_value(&requested)?
            }
            Some(Ok(OrderEvent::OperatorIntervened(mut intervened))) => {
                if let OperatorDecision::Retry { payment_token } = &mut intervened.decision {
                    *payment_token = None;
                }
                to_raw_value(&intervened)?
            }
            // Events of earlier versions are shown in today's version.
            Some(Ok(now)) if now.event_version() != event.event_version => {
                content(&event.event_type, &to_raw_value(&now)?)
            }
            Some(Ok(_)) | None => content(&event.event_type, &event.payload),
            // An unknown event is shown as it is stored, without payment tokens.
            Some(Err(_)) => without_tokens(&content(&event.event_type, &event.payload)),
        };
        Ok(Self {
            version: event.version,
            position: event.position,
            data,
            event_type: event.event_type,
            event_id: event.event_id,
            recorded_at: event.recorded_at,
            metadata: event.metadata,
        })
    }
}

/// The payload without the event's name around it: stored payloads look like `{"OrderConfirmed": {…}}`.
fn content(event_type: &str, payload: &RawValue) -> Box<RawValue> {
    let named: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(payload.get()).ok();
    named.and_then(|mut named| named.remove(event_type)).unwrap_or_else(|| payload.to_owned())
}

/// The content without payment tokens; null if it can't be parsed.
fn without_tokens(content: &RawValue) -> Box<RawValue> {
    let content = serde_json::from_str(content.get()).and_then(|mut content: Value| {
        remove_tokens(&mut content);
        to_raw_value(&content)
    });
    content.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn remove_tokens(content: &mut Value) {
    match content {
        Value::Object(members) => {
            members.remove("paymentToken");
            members.remove("token");
            members.values_mut().for_each(remove_tokens);
        }
        Value::Array(elements) => elements.iter_mut().for_each(remove_tokens),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
