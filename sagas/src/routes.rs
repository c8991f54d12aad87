//! `GET /orders/{id}/saga`: the report on an order's sagas. `GET /sagas`: the sagas that wait.

mod list;

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use domain::ids::OrderId;
use event_store::{EventStore, ReadError};
use problem::{Problem, ProblemType};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::list::read_waiting;
use crate::report::{self, OrderSagasReport};

/// The routes. They need no running saga.
pub fn routes(store: EventStore) -> OpenApiRouter {
    router().with_state(store)
}

/// How the OpenAPI document describes [`routes()`].
pub fn description() -> OpenApi {
    router().into_openapi()
}

fn router() -> OpenApiRouter<EventStore> {
    OpenApiRouter::new().routes(routes!(saga)).routes(routes!(list::waiting))
}

/// The report on an order's sagas
///
/// Each step: how far it is, what it waits for and why, what an operator can decide.
#[utoipa::path(
    get,
    path = "/orders/{order_id}/saga",
    tag = "operations",
    operation_id = "getOrderSagas",
    params((
        "order_id" = String,
        Path,
        description = "The order's id",
        pattern = "^[A-Za-z0-9._:-]{1,128}$",
        example = "order-1001"
    )),
    responses(
        (status = 200, description = "The report", body = OrderSagasReport),
        (status = 404, description = "There is no such order"),
    )
)]
async fn saga(
    State(store): State<EventStore>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<OrderSagasReport>, Problem> {
    // There is no order under a text that is no id.
    let order_id = path.ok().and_then(|Path(id)| OrderId::parse(id).ok());
    let order_id = order_id.ok_or_else(|| Problem::not_found("there is no such order"))?;
    let report = read_report(&store, &order_id).await?;
    report.map(Json).ok_or_else(|| Problem::not_found(format!("there is no order {order_id}")))
}

/// What `GET /orders/{id}/saga` answers, for answers that have it with them. `None`: there is no such order.
pub async fn read_report(store: &EventStore, order_id: &OrderId) -> Result<Option<OrderSagasReport>, Problem> {
    report::read(store, order_id.as_str()).await.map_err(|error| match error {
        ReadError::Database(error) => unavailable(error),
        ReadError::Decode(_) => Problem::internal(error),
    })
}

/// The database did not answer a read.
fn unavailable(error: sqlx::Error) -> Problem {
    Problem::new(ProblemType::DatabaseUnavailable, "the database failed")
        .retry_after(Duration::from_secs(1))
        .caused_by(error)
}
