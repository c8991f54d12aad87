//! `GET /orders/{id}`, `GET /orders?customerId=`, `GET /customers/{id}/orders`.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{self, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, header};
use problem::Problem;
use read_models::{Index, Item, Order, Query, Within};
use serde::{Deserialize, Serialize};

use super::items::OrderItem;
use super::view::OrderView;
use super::{PROJECTION, collection, customer};
use crate::reads::{ReadQuery, Reads, invalid, order_id, page_problem, query, store_problem};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

pub(super) fn routes() -> Router<Reads> {
    Router::new()
        .route("/orders/{order_id}", get(order))
        .route("/orders", get(orders))
        .route("/customers/{customer_id}/orders", get(customers_orders))
}

/// A page of orders, each without what hangs on it.
#[derive(Serialize)]
struct OrdersPage {
    items: Vec<OrderItem>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrdersQuery {
    customer_id: Option<String>,
    limit: Option<u16>,
    cursor: Option<String>,
    min_position: Option<i64>,
}

async fn order(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<extract::Query<ReadQuery>, QueryRejection>,
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
    asked: Result<extract::Query<OrdersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let asked = query(asked)?;
    let Some(customer_id) = asked.customer_id.clone() else { return Err(invalid("customerId", "is required")) };
    page(&reads, &customer_id, &asked, &headers).await
}

async fn customers_orders(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<extract::Query<OrdersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let asked = query(asked)?;
    if asked.customer_id.is_some() {
        return Err(invalid("customerId", "is given by the path already"));
    }
    let Ok(Path(customer_id)) = path else { return Ok(Json(OrdersPage { items: vec![], cursor: None })) };
    page(&reads, &customer_id, &asked, &headers).await
}

async fn page(
    reads: &Reads,
    customer_id: &str,
    asked: &OrdersQuery,
    headers: &HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(invalid("limit", format!("must be a whole number from 1 to {MAX_LIMIT}")));
    }
    // No such id can have orders; and Postgres takes no NUL.
    if domain::CustomerId::parse(customer_id).is_err() {
        return Ok(Json(OrdersPage { items: vec![], cursor: None }));
    }
    reads.wait_for(PROJECTION.name, asked.min_position, headers).await?;
    let partition = customer(customer_id);
    let query = Query {
        name: &partition,
        within: Within::Index(Index::Gsi1, std::slice::from_ref(&partition)),
        from: None,
        until: None,
        order: Order::Descending,
        limit,
        cursor: asked.cursor.as_deref(),
    };
    let page = reads.table(PROJECTION.name).query(&query).await.map_err(page_problem)?;
    let items = page.items.iter().map(shown).collect::<Result<_, _>>().map_err(Problem::internal)?;
    Ok(Json(OrdersPage { items, cursor: page.cursor }))
}

fn shown(item: &Item) -> Result<OrderItem, serde_json::Error> {
    let mut order: OrderItem = item.read()?;
    order.folded = None;
    Ok(order)
}
