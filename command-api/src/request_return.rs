//! `POST /orders/{id}/returns`: the customer will send some of the order back.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::body::InvalidBody;
use domain::order::parse::parse_return;
use domain::order::{OrderCommand, PlacedOrder};
use http::StatusCode;
use problem::{Problem, Trace};
use uuid::Uuid;

use crate::Commands;
use crate::order_command::{Asked, Route, carry_out, order_id};

const ROUTE: Route = Route { scope: "shop POST /orders/returns", success: StatusCode::CREATED };

pub(crate) async fn request_return(
    State(commands): State<Arc<Commands>>,
    path: Result<Path<String>, PathRejection>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let order_id = order_id(path)?;
    let request = commands.bodies.read_json(request).await?;
    carry_out(commands, ROUTE, order_id, trace, request, ask).await
}

fn ask(body: &[u8], _: &PlacedOrder, made: Uuid) -> Result<Asked, InvalidBody> {
    let requested = parse_return(body, made)?;
    Ok(Asked {
        names: Some(("returnId", requested.return_id.to_string())),
        lines: requested.lines.clone(),
        command: OrderCommand::RequestReturn(requested),
    })
}
