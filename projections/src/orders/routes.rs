//! `GET /orders/{id}`, `GET /orders`, `GET /customers/{id}/orders`.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use domain::CustomerId;
use http::{HeaderMap, header};
use problem::Problem;
use serde::Serialize;

use super::asked::{Asked, OrdersQuery};
use super::days::LogDays;
use super::items::OrderItem;
use super::question::Way;
use super::search::{Found, Search};
use super::view::OrderView;
use super::{PROJECTION, collection};
use crate::parameters::invalid;
use crate::reads::{ReadQuery, Reads, order_id, query, store_problem, unavailable};

pub(super) fn routes() -> Router<Reads> {
    Router::new()
        .route("/orders/{order_id}", get(order))
        .route("/orders", get(orders))
        .route("/customers/{customer_id}/orders", get(customers_orders))
}

/// Some orders, each without what hangs on it. As long as there is a cursor there may be more.
#[derive(Serialize)]
struct OrdersPage {
    items: Vec<OrderItem>,
    cursor: Option<String>,
}

async fn order(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<Query<ReadQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order_id = order_id(path)?;
    reads.wait_for(PROJECTION.name, query(asked)?.min_position, &headers).await?;
    let items = reads.table(PROJECTION.name).collection(&collection(order_id.as_str())).await.map_err(store_problem)?;
    let Some(view) = OrderView::of(&items)? else {
        return Err(Problem::not_found(format!("there is no order {order_id}")));
    };
    let etag = format!("\"{}\"", view.order.version);
    Ok(([(header::ETAG, etag)], Json(view)).into_response())
}

async fn orders(
    State(reads): State<Reads>,
    asked: Result<Query<OrdersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    page(&reads, query(asked)?, &headers).await
}

async fn customers_orders(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<Query<OrdersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let mut asked = query(asked)?;
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
