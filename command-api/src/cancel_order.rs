//! `POST /orders/{id}/cancel`: somebody wants the order called off, or some of it: what was not sent, or single lines.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::body::InvalidBody;
use domain::order::parse::parse_cancellation;
use domain::order::{OrderCommand, PlacedOrder};
use http::StatusCode;
use problem::{Problem, Trace};
use uuid::Uuid;

use crate::Commands;
use crate::order_command::{Asked, Route, carry_out, order_id};

const ROUTE: Route = Route { scope: "shop POST /orders/cancel", success: StatusCode::ACCEPTED };

pub(crate) async fn cancel_order(
    State(commands): State<Arc<Commands>>,
    path: Result<Path<String>, PathRejection>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let order_id = order_id(path)?;
    let request = commands.bodies.read_optional_json(request).await?;
    carry_out(commands, ROUTE, order_id, trace, request, ask).await
}

fn ask(body: &[u8], _: &PlacedOrder, made: Uuid) -> Result<Asked, InvalidBody> {
    let command = parse_cancellation(body, made)?;
    let OrderCommand::CancelLines(demand) = &command else { return Ok(Asked::for_order(command)) };
    let names = Some(("cancellationId", demand.cancellation_id.to_string()));
    Ok(Asked { names, lines: demand.lines.clone(), command })
}
