//! `POST /orders`: an order is taken, stored, and only then acknowledged.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use domain::ids::OrderId;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, decide};
use event_store::{AppendError, Executed, Loaded, Outcome};
use http::{HeaderValue, StatusCode, header};
use problem::{Precondition, Problem, Trace};
use serde::Serialize;
use uuid::Uuid;

use crate::idempotency::{self, Keyed};
use crate::{Commands, metadata, refusal};

/// The answer to an order that is stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    status: &'static str,
    order_id: &'a OrderId,
    version: i64,
    position: i64,
}

/// Who asks for what, as idempotency keys are told apart. There is one kind of caller: a shop.
const SCOPE: &str = "shop POST /orders";

pub(crate) async fn create_order(
    State(commands): State<Arc<Commands>>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = commands.bodies.read_json(request).await?;
    // Reading an order that has to be refused would take time from those that were taken.
    commands.store.check_room().map_err(refusal::not_appended)?;
    let keyed = commands.in_flight.begin(&head.headers, SCOPE, &[&body])?;
    let posted = PostedOrder::parse(&body).map_err(refusal::rejected)?;
    let order_id = match posted.order_id {
        Some(given) => given,
        None => OrderId::parse(Uuid::now_v7().to_string()).map_err(Problem::internal)?,
    };
    let precondition = Precondition::read(&head.headers)?;
    if !precondition.is_none() {
        let known: Loaded<Order> = commands.store.load(order_id.as_str()).await.map_err(refusal::not_read)?;
        if let Err(refused) = precondition.check(known.version) {
            return carried_out_before(&commands, keyed.as_ref()).await?.ok_or(refused);
        }
    }
    let metadata = metadata(&trace);
    // Most orders are new: that is taken for granted, and the append says if it was wrong.
    let executed = commands
        .store
        .execute_once(
            order_id.as_str(),
            Loaded::default(),
            &metadata,
            keyed.as_ref().map(Keyed::request),
            |order: &Order| decide(order, OrderCommand::CreateOrder(posted.content.clone())),
        )
        .await
        // Where it is not known whether the order is stored, it can be sent again under the id that was made for it.
        .map_err(|error| refusal::failed(error).with("orderId", order_id.as_str()))?;
    // Somebody else may have posted it this moment.
    if let Executed::Unchanged(order) = &executed
        && let Err(refused) = precondition.check(order.version)
    {
        return carried_out_before(&commands, keyed.as_ref()).await?.ok_or(refused);
    }
    tracing::debug!(%order_id, "order accepted");
    match (executed, &keyed) {
        (Executed::Appended(appended), _) => accepted(&order_id, appended.position),
        // Posted again, an order gets the answer it got the first time.
        (Executed::Unchanged(order), None) => accepted(&order_id, order.first_position),
        (Executed::Unchanged(order), Some(keyed)) => {
            // The key is new even so: from now on it stands for this order.
            match commands.store.record_unchanged::<Order>(keyed.request(), order_id.as_str(), FIRST_VERSION).await {
                Ok(()) => accepted(&order_id, order.first_position),
                Err(AppendError::Repeated(outcome)) => repeated(keyed, &outcome),
                Err(error) => Err(refusal::not_appended(error)),
            }
        }
        (Executed::Repeated(outcome), Some(keyed)) => repeated(keyed, &outcome),
        (Executed::Repeated(outcome), None) => Err(Problem::internal(format!("a key that nobody gave: {outcome:?}"))),
    }
}

/// The version of an order that was just created.
const FIRST_VERSION: i64 = 1;

/// The first answer to a request that is refused now because it was carried out before.
async fn carried_out_before(commands: &Commands, keyed: Option<&Keyed>) -> Result<Option<Response>, Problem> {
    let Some(keyed) = keyed else { return Ok(None) };
    let outcome = commands.store.outcome_of(keyed.request()).await.map_err(|error| refusal::not_read(error.into()))?;
    outcome.map(|outcome| repeated(keyed, &outcome)).transpose()
}

/// The answer that the request got when it was carried out.
fn repeated(keyed: &Keyed, outcome: &Outcome) -> Result<Response, Problem> {
    keyed.check_same(outcome)?;
    let order_id = OrderId::parse(outcome.stream_id.as_str()).map_err(Problem::internal)?;
    let mut response = accepted(&order_id, outcome.position)?;
    let (name, value) = idempotency::REPLAYED;
    response.headers_mut().insert(name, value);
    Ok(response)
}

fn accepted(order_id: &OrderId, position: i64) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("/orders/{order_id}")).map_err(Problem::internal)?;
    let headers = [
        (header::LOCATION, location),
        (header::ETAG, HeaderValue::from_static("\"1\"")),
        (header::HeaderName::from_static("event-position"), HeaderValue::from(position)),
    ];
    let body = Accepted { status: "accepted", order_id, version: FIRST_VERSION, position };
    Ok((StatusCode::CREATED, headers, Json(body)).into_response())
}
