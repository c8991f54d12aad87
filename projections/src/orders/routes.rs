//! `GET /orders/{id}`, `GET /orders`, `GET /customers/{id}/orders`; `collections` has what hangs on an order.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use domain::ids::CustomerId;
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use serde::{Deserialize, Serialize};

use super::asked::{Asked, OrdersQuery};
use super::days::LogDays;
use super::items::OrderItem;
use super::question::Way;
use super::search::{Found, Search};
use super::view::OrderView;
use super::{PROJECTION, collection};
use crate::keys::sortable;
use crate::parameters::invalid;
use crate::reads::{Reads, order_id, store_problem, unavailable, versioned};
use crate::time_travel::{History, Moment, TimeTravelError};

pub(super) fn routes() -> Router<Reads> {
    Router::new()
        .route("/orders/{order_id}", get(order))
        .route("/orders", get(orders))
        .route("/customers/{customer_id}/orders", get(customers_orders))
        .merge(super::collections::routes())
}

/// Some orders, each without what hangs on it. As long as there is a cursor there may be more.
#[derive(Serialize)]
struct OrdersPage {
    items: Vec<OrderItem>,
    cursor: Option<String>,
}

/// Which order, and as of when.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrderQuery {
    as_of: Option<String>,
    min_position: Option<i64>,
}

async fn order(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<QueryParameters<OrderQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (order_id, asked) = (order_id(path)?, asked?.0);
    if let Some(as_of) = &asked.as_of {
        return order_then(&reads, order_id.as_str(), as_of, &headers).await;
    }
    reads.wait_for(PROJECTION.name, asked.min_position, &headers).await?;
    let items = reads.table(PROJECTION.name).collection(&collection(order_id.as_str())).await.map_err(store_problem)?;
    let Some(view) = OrderView::of(&items).map_err(Problem::internal)? else {
        return Err(Problem::not_found(format!("there is no order {order_id}")));
    };
    versioned(&headers, view.order.version, view)
}

/// The order as it was. No view is read for it, so there is none to wait for: the log has every position that was ever told.
async fn order_then(reads: &Reads, order_id: &str, as_of: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let moment: Moment = as_of.parse().map_err(|error| invalid("asOf", error))?;
    let then = History::read(reads.store.pool(), order_id).await.and_then(|history| history.at(moment))?;
    versioned(headers, then.version, then.view)
}

impl From<TimeTravelError> for Problem {
    fn from(error: TimeTravelError) -> Self {
        match error {
            TimeTravelError::NoOrder(_) => Self::not_found(error.to_string()),
            TimeTravelError::NoVersion { last, .. } => Self::not_found(error.to_string()).with("currentVersion", last),
            TimeTravelError::NotYet { created_at, .. } => {
                Self::not_found(error.to_string()).with("createdAt", sortable(created_at))
            }
            TimeTravelError::Database(error) => unavailable(error),
            TimeTravelError::Fold(_) | TimeTravelError::Shown(_) => Self::internal(error),
        }
    }
}

async fn orders(
    State(reads): State<Reads>,
    asked: Result<QueryParameters<OrdersQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    page(&reads, asked?.0, &headers).await
}

async fn customers_orders(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<QueryParameters<OrdersQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let mut asked = asked?.0;
    if asked.customer_id.is_some() {
        return Err(invalid("customerId", "is given by the path already"));
    }
    // What is no id is no customer's, and has no orders.
    let Some(customer_id) = path.ok().and_then(|Path(id)| CustomerId::parse(id).ok()) else {
        asked.parse()?;
        return Ok(Json(OrdersPage { items: vec![], cursor: None }));
    };
    asked.customer_id = Some(customer_id.into());
    page(&reads, asked, &headers).await
}

async fn page(reads: &Reads, asked: OrdersQuery, headers: &HeaderMap) -> Result<Json<OrdersPage>, Problem> {
    let min_position = asked.min_position;
    let Asked { question, limit, cursor } = asked.parse()?;
    reads.wait_for(PROJECTION.name, min_position, headers).await?;
    let days = match question.way() {
        Way::ByDay => LogDays::read(reads.store.pool()).await.map_err(unavailable)?,
        Way::Along { .. } => None,
    };
    let search = Search::new(reads.table(PROJECTION.name), &question, limit);
    let Found { orders, cursor } = search.page(days, cursor.as_deref()).await?;
    Ok(Json(OrdersPage { items: orders, cursor }))
}
