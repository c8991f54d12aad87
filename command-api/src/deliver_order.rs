//! `POST /orders/{id}/deliver`: all of the order arrived.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::body::InvalidBody;
use domain::order::parse::parse_nothing;
use domain::order::{OrderCommand, PlacedOrder};
use http::StatusCode;
use problem::{Problem, Trace};
use uuid::Uuid;

use crate::Commands;
use crate::order_command::{Asked, Route, carry_out, order_id};

const ROUTE: Route = Route { scope: "shop POST /orders/deliver", success: StatusCode::OK };

pub(crate) async fn deliver_order(
    State(commands): State<Arc<Commands>>,
    path: Result<Path<String>, PathRejection>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let order_id = order_id(path)?;
    let request = commands.bodies.read_optional_json(request).await?;
    carry_out(commands, ROUTE, order_id, trace, request, ask).await
}

fn ask(body: &[u8], _: &PlacedOrder, _: Uuid) -> Result<Asked, InvalidBody> {
    parse_nothing(body)?;
    Ok(Asked::for_order(OrderCommand::DeliverOrder))
}
