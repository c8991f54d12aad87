//! What the platform is compared with: the same HTTP server, the same parsing and the same answer, and behind it stock
//! postgres-es, or nothing.
//!
//! Stock is `PostgresEventRepository` in `PersistedEventStore` in `CqrsFramework`, on the table that postgres-es itself asks
//! for: seven columns and a primary key. The platform's own table has a position, an index on it, and a trigger that puts
//! commits in order; none of that slows the baseline down.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use cqrs_es::CqrsFramework;
use cqrs_es::persist::PersistedEventStore;
use domain::ids::OrderId;
use domain::order::event::OrderCreated;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand};
use http::{HeaderName, HeaderValue, StatusCode, header};
use ordo::{http as server, output, shutdown};
use postgres_es::PostgresEventRepository;
use problem::{Problem, Trace};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::args;

/// The table that postgres-es asks for.
pub(crate) const STOCK_TABLE: &str = "create table events (
    aggregate_type text                         not null,
    aggregate_id   text                         not null,
    sequence       bigint check (sequence >= 0) not null,
    event_type     text                         not null,
    event_version  text                         not null,
    payload        json                         not null,
    metadata       json                         not null,
    primary key (aggregate_type, aggregate_id, sequence)
)";

/// Twice what postgres-es's own pool has, and as many as leave pgbench enough of the server's 100.
pub(crate) const STOCK_CONNECTIONS: u32 = 20;

/// Stock postgres-es, as its documentation sets it up.
pub(crate) type Stock = CqrsFramework<Order, PersistedEventStore<PostgresEventRepository, Order>>;

/// Stock postgres-es on a database with [`STOCK_TABLE`].
pub(crate) fn stock(database: PgPool) -> Stock {
    CqrsFramework::new(PersistedEventStore::new_event_store(PostgresEventRepository::new(database)), vec![], ())
}

/// A pool for [`stock`].
pub(crate) async fn stock_pool(url: &str) -> anyhow::Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(STOCK_CONNECTIONS).test_before_acquire(false);
    options.connect(url).await.context("cannot connect to the database")
}

/// `bench baseline`: serves until standard input ends.
pub(crate) async fn run(args: &args::Baseline) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    shutdown::on_stdin_close(&stop);
    let routes = match args.stores {
        args::Stores::Nothing => Router::new().route("/orders", post(store_nothing)),
        args::Stores::Stock => {
            let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
            let stock = Arc::new(stock(stock_pool(&url).await?));
            Router::new().route("/orders", post(store_with_stock)).with_state(stock)
        }
    };
    let listener = server::bind(([127, 0, 0, 1], 0).into(), "--listen")?;
    output::line(&json!({"ready": true, "api": format!("http://{}", listener.local_addr()?)}).to_string())?;
    server::serve(listener, routes, server::ConnectionLimits::default(), stop).await;
    Ok(())
}

async fn store_nothing(_trace: Trace, body: Bytes) -> Result<Response, Problem> {
    let (order_id, _) = parse(&body)?;
    accepted(&order_id)
}

async fn store_with_stock(State(stock): State<Arc<Stock>>, trace: Trace, body: Bytes) -> Result<Response, Problem> {
    let (order_id, content) = parse(&body)?;
    let metadata = metadata(trace.trace_id(), trace.traceparent());
    let stored = stock.execute_with_metadata(order_id.as_str(), OrderCommand::CreateOrder(content), metadata).await;
    stored.map_err(Problem::internal)?;
    accepted(&order_id)
}

/// What the platform notes as well.
pub(crate) fn metadata(correlation_id: &str, traceparent: &str) -> HashMap<String, String> {
    [("actor", "shop"), ("correlationId", correlation_id), ("traceparent", traceparent)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn parse(body: &[u8]) -> Result<(OrderId, OrderCreated), Problem> {
    let posted = PostedOrder::parse(body).map_err(|rejection| Problem::malformed(rejection.to_string()))?;
    let order_id = posted.order_id.map_or_else(|| OrderId::parse(Uuid::now_v7().to_string()), Ok);
    Ok((order_id.map_err(Problem::internal)?, posted.content))
}

fn accepted(order_id: &OrderId) -> Result<Response, Problem> {
    let headers = [
        (header::LOCATION, HeaderValue::try_from(format!("/orders/{order_id}")).map_err(Problem::internal)?),
        (header::ETAG, HeaderValue::from_static("\"1\"")),
        (HeaderName::from_static("event-position"), HeaderValue::from(1)),
    ];
    let body = json!({"status": "accepted", "orderId": order_id, "version": 1, "position": 1});
    Ok((StatusCode::CREATED, headers, Json(body)).into_response())
}
