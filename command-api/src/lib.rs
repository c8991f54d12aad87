//! The write side: one file per command, each from the request to the stored event and its answer.

mod body;
mod create_order;
mod idempotency;
mod refusal;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use event_store::EventStore;

/// What commands work with.
struct Commands {
    store: EventStore,
    in_flight: idempotency::InFlight,
}

/// The POST routes.
pub fn routes(store: EventStore) -> Router {
    let commands = Commands { store, in_flight: idempotency::InFlight::default() };
    // Each request clones it.
    Router::new().route("/orders", post(create_order::create_order)).with_state(Arc::new(commands))
}
