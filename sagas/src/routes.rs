//! `GET /orders/{id}/saga`: the report on an order's sagas. `GET /sagas`: the sagas that wait.

mod list;

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use domain::ids::OrderId;
use event_store::{EventStore, ReadError};
use problem::{Problem, ProblemType};

use crate::report::{self, OrderSagasReport};

/// The routes. They need no running saga.
pub fn routes(store: EventStore) -> Router {
    Router::new().route("/orders/{order_id}/saga", get(saga)).route("/sagas", get(list::waiting)).with_state(store)
}

async fn saga(
    State(store): State<EventStore>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<OrderSagasReport>, Problem> {
    // There is no order under a text that is no id.
    let order_id = path.ok().and_then(|Path(id)| OrderId::parse(id).ok());
    let order_id = order_id.ok_or_else(|| Problem::not_found("there is no such order"))?;
    let report = report::read(&store, order_id.as_str()).await.map_err(|error| match error {
        ReadError::Database(error) => unavailable(error),
        ReadError::Decode(_) => Problem::internal(error),
    })?;
    report.map(Json).ok_or_else(|| Problem::not_found(format!("there is no order {order_id}")))
}

/// The database did not answer a read.
fn unavailable(error: sqlx::Error) -> Problem {
    Problem::new(ProblemType::DatabaseUnavailable, "the database failed")
        .retry_after(Duration::from_secs(1))
        .caused_by(error)
}
