//! `GET /orders/{id}`, `GET /orders`, `GET /customers/{id}/orders`; `collections` has the lists of one order's
//! shipments, returns and so on.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use domain::ids::CustomerId;
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use serde::{Deserialize, Serialize};

use super::days::LogDays;
use super::filter::AccessPath;
use super::list_request::{ListParameters, ListRequest};
use super::rows::OrderRow;
use super::search::{OrderSearch, OrdersFound};
use super::time_travel::{OrderHistory, PointInTime, TimeTravelError};
use super::view::OrderView;
use super::{PROJECTION, collection};
use crate::keys::sortable;
use crate::parameters::invalid;
use crate::reads::{ReadContext, parse_order_id, store_problem, unavailable, with_etag};

pub(super) fn routes() -> Router<ReadContext> {
    Router::new()
        .route("/orders/{order_id}", get(order))
        .route("/orders", get(orders))
        .route("/customers/{customer_id}/orders", get(customers_orders))
        .merge(super::collections::routes())
}

/// A page of orders, without their shipments, returns and so on. If it has a cursor, there may be more.
#[derive(Serialize)]
struct OrdersPage {
    items: Vec<OrderRow>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrderQuery {
    as_of: Option<String>,
    min_position: Option<i64>,
}

async fn order(
    State(reads): State<ReadContext>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<OrderQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (order_id, parameters) = (parse_order_id(path)?, parameters?.0);
    if let Some(as_of) = &parameters.as_of {
        return order_then(&reads, order_id.as_str(), as_of, &headers).await;
    }
    reads.wait_for_position(PROJECTION.name, parameters.min_position, &headers).await?;
    let items = reads.table(PROJECTION.name).collection(&collection(order_id.as_str())).await.map_err(store_problem)?;
    let Some(view) = OrderView::of(&items).map_err(Problem::internal)? else {
        return Err(Problem::not_found(format!("there is no order {order_id}")));
    };
    with_etag(&headers, view.order.version, view)
}

/// The order as it was. It is folded from the log, so there is no read model to wait for.
async fn order_then(
    reads: &ReadContext,
    order_id: &str,
    as_of: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let moment: PointInTime = as_of.parse().map_err(|error| invalid("asOf", error))?;
    let snapshot = OrderHistory::read(reads.store.pool(), order_id).await.and_then(|history| history.at(moment))?;
    with_etag(headers, snapshot.version, snapshot.view)
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
    State(reads): State<ReadContext>,
    parameters: Result<QueryParameters<ListParameters>, Problem>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    page(&reads, parameters?.0, &headers).await
}

async fn customers_orders(
    State(reads): State<ReadContext>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<ListParameters>, Problem>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let mut parameters = parameters?.0;
    if parameters.customer_id.is_some() {
        return Err(invalid("customerId", "is given by the path already"));
    }
    // An invalid id is no customer's: the list is empty.
    let Some(customer_id) = path.ok().and_then(|Path(id)| CustomerId::parse(id).ok()) else {
        parameters.parse()?;
        return Ok(Json(OrdersPage { items: vec![], cursor: None }));
    };
    parameters.customer_id = Some(customer_id.into());
    page(&reads, parameters, &headers).await
}

async fn page(
    reads: &ReadContext,
    parameters: ListParameters,
    headers: &HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let min_position = parameters.min_position;
    let ListRequest { filter, limit, cursor } = parameters.parse()?;
    reads.wait_for_position(PROJECTION.name, min_position, headers).await?;
    let days = match filter.access_path() {
        AccessPath::ByDay => LogDays::read(reads.store.pool()).await.map_err(unavailable)?,
        AccessPath::Index { .. } => None,
    };
    let search = OrderSearch::new(reads.table(PROJECTION.name), &filter, limit);
    let OrdersFound { orders, cursor } = search.page(days, cursor.as_deref()).await?;
    Ok(Json(OrdersPage { items: orders, cursor }))
}
