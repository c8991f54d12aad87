//! The write side: one file per command, each from the request to the stored event and its answer.

mod add_note;
mod body;
mod cancel_order;
mod change_stock;
mod create_order;
mod deliver_order;
mod idempotency;
mod in_line;
mod order_command;
mod receive_return;
mod refusal;
mod refused_order;
mod request_refund;
mod request_return;
mod ship_order;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use domain::order::OrderLimits;
use domain::stock::Stock;
use event_store::{EventStore, Metadata, SingleWriter};
use problem::Trace;

/// What commands work with.
struct Commands {
    store: EventStore,
    stock: SingleWriter<Stock>,
    limits: OrderLimits,
    lines: in_line::Lines,
    in_flight: idempotency::InFlight,
    bodies: body::Bodies,
}

/// The POST routes. `stock` is best the one that others in this process decide about units with; `limits` is how much may hang on
/// one order.
pub fn routes(store: EventStore, stock: SingleWriter<Stock>, limits: OrderLimits) -> Router {
    let (lines, in_flight) = (in_line::Lines::default(), idempotency::InFlight::default());
    let commands = Commands { store, stock, limits, lines, in_flight, bodies: body::Bodies::default() };
    Router::new()
        .route("/orders", post(create_order::create_order))
        .route("/stock/{sku}/receive", post(change_stock::receive_stock))
        .route("/stock/{sku}/adjust", post(change_stock::adjust_stock))
        .route("/orders/{order_id}/cancel", post(cancel_order::cancel_order))
        .route("/orders/{order_id}/ship", post(ship_order::ship_order))
        .route("/orders/{order_id}/deliver", post(deliver_order::deliver_order))
        .route("/orders/{order_id}/returns", post(request_return::request_return))
        .route("/orders/{order_id}/returns/{return_id}/receive", post(receive_return::receive_return))
        .route("/orders/{order_id}/refunds", post(request_refund::request_refund))
        .route("/orders/{order_id}/notes", post(add_note::add_note))
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
