//! The write side: one file per command, each from the request to the stored event and its answer.

mod body;
mod change_stock;
mod create_order;
mod idempotency;
mod precondition;
mod refusal;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use domain::stock::Stock;
use event_store::{EventStore, Metadata, SingleWriter};
use problem::Trace;

/// What commands work with.
struct Commands {
    store: EventStore,
    stock: SingleWriter<Stock>,
    in_flight: idempotency::InFlight,
}

/// The POST routes.
pub fn routes(store: EventStore) -> Router {
    let stock = SingleWriter::new(store.clone(), change_stock::REMEMBERED);
    let commands = Commands { store, stock, in_flight: idempotency::InFlight::default() };
    Router::new()
        .route("/orders", post(create_order::create_order))
        .route("/stock/{sku}/receive", post(change_stock::receive_stock))
        .route("/stock/{sku}/adjust", post(change_stock::adjust_stock))
        // Each request clones it.
        .with_state(Arc::new(commands))
}

/// Who asks and why, for the events that come of a request.
fn metadata(trace: &Trace) -> Metadata {
    Metadata {
        actor: Some("shop".to_owned()),
        correlation_id: Some(trace.trace_id().to_owned()),
        causation_id: None,
        traceparent: Some(trace.traceparent().to_owned()),
    }
}
