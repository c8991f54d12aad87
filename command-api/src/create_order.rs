//! `POST /orders`: an order is taken, stored, and only then acknowledged.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use domain::{Order, OrderCommand, OrderId, PostedOrder, decide};
use event_store::{EventStore, Executed, Loaded, Metadata};
use http::{HeaderValue, StatusCode, header};
use problem::{Problem, Trace};
use serde::Serialize;
use uuid::Uuid;

use crate::{body, refusal};

/// The answer to an order that is stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    status: &'static str,
    order_id: OrderId,
    version: i64,
    position: i64,
}

pub(crate) async fn create_order(
    State(store): State<EventStore>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let body = body::read_json(request).await?;
    let posted = PostedOrder::parse(&body).map_err(refusal::rejected)?;
    let order_id = match posted.order_id {
        Some(given) => given,
        None => OrderId::parse(Uuid::now_v7().to_string()).map_err(Problem::internal)?,
    };
    let metadata = Metadata {
        actor: Some("shop".to_owned()),
        correlation_id: Some(trace.trace_id().to_owned()),
        causation_id: None,
        traceparent: Some(trace.traceparent().to_owned()),
    };
    // Most orders are new: that is taken for granted, and the append says if it was wrong.
    let executed = store
        .execute(order_id.as_str(), Loaded::default(), &metadata, |order: &Order| {
            decide(order, OrderCommand::CreateOrder(posted.content.clone()))
        })
        .await
        // Where it is not known whether the order is stored, it can be sent again under the id that was made for it.
        .map_err(|error| refusal::failed(error).with("orderId", order_id.as_str()))?;
    // Posted again, an order gets the answer it got the first time.
    let position = match executed {
        Executed::Appended(appended) => appended.position,
        Executed::Unchanged(order) => order.first_position,
    };
    tracing::debug!(%order_id, position, "order accepted");
    accepted(order_id, position)
}

fn accepted(order_id: OrderId, position: i64) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("/orders/{order_id}")).map_err(Problem::internal)?;
    let headers = [
        (header::LOCATION, location),
        (header::ETAG, HeaderValue::from_static("\"1\"")),
        (header::HeaderName::from_static("event-position"), HeaderValue::from(position)),
    ];
    let body = Accepted { status: "accepted", order_id, version: 1, position };
    Ok((StatusCode::CREATED, headers, Json(body)).into_response())
}
