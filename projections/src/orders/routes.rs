//! `GET /orders/{id}`, `GET /orders?customerId=`, `GET /customers/{id}/orders`.

use std::sync::LazyLock;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, header};
use problem::Problem;
use read_models::{Index, Table};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{LineItem, META, MailItem, OrderItem, PROJECTION, collection, customer};
use crate::reads::{ReadQuery, Reads, invalid, order_id, page_problem, query, unavailable};

static TABLE: LazyLock<Table> = LazyLock::new(|| PROJECTION.table());

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

pub(super) fn routes() -> Router<Reads> {
    Router::new()
        .route("/orders/{order_id}", get(order))
        .route("/orders", get(orders))
        .route("/customers/{customer_id}/orders", get(customers_orders))
}

/// An order with everything that hangs on it.
#[derive(Serialize)]
struct OrderView {
    #[serde(flatten)]
    order: OrderItem,
    lines: Vec<LineItem>,
    mails: Vec<MailItem>,
}

/// A page of orders, each without its lines and mails.
#[derive(Serialize)]
struct OrdersPage {
    items: Vec<Box<RawValue>>,
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
    asked: Result<Query<ReadQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order_id = order_id(path)?;
    reads.wait_for(PROJECTION.name, query(asked)?.min_position, &headers).await?;
    let items = TABLE.collection(reads.pool(), &collection(order_id.as_str())).await.map_err(unavailable)?;
    let (mut order, mut lines, mut mails) = (None, Vec::new(), Vec::new());
    for item in &items {
        match item.key.sk.split('#').next() {
            _ if item.key.sk == META => order = Some(item.read::<OrderItem>().map_err(Problem::internal)?),
            Some("LINE") => lines.push(item.read().map_err(Problem::internal)?),
            Some("MAIL") => mails.push(item.read().map_err(Problem::internal)?),
            Some(_) | None => {}
        }
    }
    let Some(order) = order else { return Err(Problem::not_found(format!("there is no order {order_id}"))) };
    let etag = format!("\"{}\"", order.version);
    Ok(([(header::ETAG, etag)], Json(OrderView { order, lines, mails })).into_response())
}

async fn orders(
    State(reads): State<Reads>,
    asked: Result<Query<OrdersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let asked = query(asked)?;
    let Some(customer_id) = asked.customer_id.clone() else { return Err(invalid("customerId", "is required")) };
    page(&reads, &customer_id, &asked, &headers).await
}

async fn customers_orders(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<Query<OrdersQuery>, QueryRejection>,
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
    let page = TABLE
        .query_newest_first(reads.pool(), Index::Gsi1, &customer(customer_id), limit, asked.cursor.as_deref())
        .await
        .map_err(page_problem)?;
    Ok(Json(OrdersPage { items: page.items.into_iter().map(|item| item.body).collect(), cursor: page.cursor }))
}
