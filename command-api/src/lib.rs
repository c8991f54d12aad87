//! The write side: one file per command, each from the request to the stored event and its answer.

mod body;
mod create_order;
mod refusal;

use axum::Router;
use axum::routing::post;
use event_store::EventStore;

/// The POST routes.
pub fn routes(store: EventStore) -> Router {
    Router::new().route("/orders", post(create_order::create_order)).with_state(store)
}
