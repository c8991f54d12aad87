//! The write side: requests become commands, which the event store handles.
//!
//! - `create_order`: `POST /orders`; `order_batch`: `POST /orders/batch`; `order_import`: `POST /orders/import`.
//! - `edit_preview`: `POST /orders/{order_id}/edits/preview`, which stores nothing.
//! - `order_commands`: the commands on an order that exists; `stock_commands`: those on a SKU. Each has a table of its routes.
//! - `saga_decision`: `POST /orders/{order_id}/saga/decisions`, for those who run the platform.
//! - `request` reads a request, `answer` writes the answer, `problems` and `order_refusal` say why there is none.
//! - `operations` and `bodies` describe them in the OpenAPI document.
//! - `order_locks` lets the commands on one order wait for each other.

mod answer;
mod bodies;
mod create_order;
mod edit_preview;
mod operations;
mod order_batch;
mod order_commands;
mod order_import;
mod order_locks;
mod order_refusal;
mod problems;
mod request;
mod saga_decision;
mod stock_commands;

use std::sync::Arc;

use access_control::AuthorizedCaller;
use domain::order::OrderGrowthLimits;
use domain::stock::Stock;
use event_store::{EventStore, Metadata, StreamLocks};
use http::StatusCode;
use problem::Trace;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::bodies::{OrderAccepted, OrderBatchAnswer, StockAccepted};
use crate::edit_preview::EditPreviewView;
use crate::operations::{CommandMethod, described};
use crate::request::BodyRequirement;
use crate::saga_decision::DecisionDependencies;

pub use order_commands::SupportRefundLimits;
pub use order_import::{ImportedOrder, import_order};

/// What commands work with.
struct CommandDependencies {
    store: EventStore,
    stock: StreamLocks<Stock>,
    limits: OrderGrowthLimits,
    refund_limits: SupportRefundLimits,
    order_locks: order_locks::OrderLocks,
    requests: request::CommandRequestReader,
}

/// The routes of commands. `stock` is best the one that everything in this process shares; `limits` bound what may be added to one order, and
/// `refund_limits` what those may refund of it whose role has a limit.
pub fn routes(
    store: EventStore,
    stock: StreamLocks<Stock>,
    limits: OrderGrowthLimits,
    refund_limits: SupportRefundLimits,
) -> OpenApiRouter {
    let (order_locks, requests) = (order_locks::OrderLocks::default(), request::CommandRequestReader::default());
    let commands = CommandDependencies { store, stock, limits, refund_limits, order_locks, requests };
    // Each request clones it.
    commands_router().with_state(Arc::new(commands))
}

/// The routes of commands for those who run the platform. `stock` as for [`routes`].
pub fn operate_routes(store: EventStore, stock: StreamLocks<Stock>) -> OpenApiRouter {
    let requests = request::CommandRequestReader::default();
    operate_router().with_state(Arc::new(DecisionDependencies { store, stock, requests }))
}

/// How the OpenAPI document describes [`routes`] and [`operate_routes`].
pub fn description() -> OpenApi {
    let mut described = commands_router().into_openapi();
    described.merge(operate_router().into_openapi());
    described
}

fn operate_router() -> OpenApiRouter<Arc<DecisionDependencies>> {
    OpenApiRouter::new().routes(described::<_, _, _, OrderAccepted>(
        (CommandMethod::Post, saga_decision::PATH),
        &saga_decision::DESCRIPTION,
        BodyRequirement::Required,
        &[StatusCode::ACCEPTED],
        "operations",
        saga_decision::decide,
    ))
}

fn commands_router() -> OpenApiRouter<Arc<CommandDependencies>> {
    let mut router = OpenApiRouter::new().routes(described::<_, _, _, OrderAccepted>(
        (CommandMethod::Post, "/orders"),
        &create_order::DESCRIPTION,
        BodyRequirement::Required,
        &[StatusCode::CREATED],
        "orders",
        create_order::create_order,
    ));
    router = router.routes(described::<_, _, _, OrderBatchAnswer>(
        (CommandMethod::Post, "/orders/batch"),
        &order_batch::DESCRIPTION,
        BodyRequirement::Lines,
        &[StatusCode::OK],
        "orders",
        order_batch::create_orders,
    ));
    router = router.routes(described::<_, _, _, OrderBatchAnswer>(
        (CommandMethod::Post, "/orders/import"),
        &order_import::DESCRIPTION,
        BodyRequirement::Lines,
        &[StatusCode::OK],
        "orders",
        order_import::import_orders,
    ));
    router = router.routes(described::<_, _, _, EditPreviewView>(
        (CommandMethod::Post, edit_preview::PATH),
        &edit_preview::DESCRIPTION,
        BodyRequirement::Required,
        &[StatusCode::OK],
        "orders",
        edit_preview::preview_edit,
    ));
    for route in &order_commands::ORDER_COMMANDS {
        let handler = move |commands, path, caller, trace, request| {
            order_commands::change_order(route, commands, path, caller, trace, request)
        };
        let (at, description) = ((route.method, route.path), &route.description);
        let (body, successes) = (route.body, [route.success]);
        router =
            router.routes(described::<_, _, _, OrderAccepted>(at, description, body, &successes, "orders", handler));
    }
    for route in &stock_commands::STOCK_COMMANDS {
        let handler = move |commands, path, caller, trace, request| {
            stock_commands::change_stock(route, commands, path, caller, trace, request)
        };
        let (path, description) = (route.path, &route.description);
        router = router.routes(described::<_, _, _, StockAccepted>(
            (CommandMethod::Post, path),
            description,
            BodyRequirement::Required,
            route.successes,
            "stock",
            handler,
        ));
    }
    router
}

/// The metadata of the events that a request causes.
fn metadata(caller: &AuthorizedCaller, trace: &Trace) -> Metadata {
    Metadata {
        actor: Some(caller.principal.actor()),
        correlation_id: Some(trace.trace_id().to_owned()),
        causation_id: None,
        traceparent: Some(trace.traceparent().to_owned()),
    }
}
