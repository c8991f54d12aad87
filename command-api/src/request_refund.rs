//! `POST /orders/{id}/refunds`: the customer gets money back.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::body::InvalidBody;
use domain::order::parse::parse_refund;
use domain::order::{OrderCommand, PlacedOrder};
use http::StatusCode;
use problem::{Problem, Trace};
use uuid::Uuid;

use crate::Commands;
use crate::order_command::{Asked, Route, carry_out, order_id};

const ROUTE: Route = Route { scope: "shop POST /orders/refunds", success: StatusCode::ACCEPTED };

pub(crate) async fn request_refund(
    State(commands): State<Arc<Commands>>,
    path: Result<Path<String>, PathRejection>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let order_id = order_id(path)?;
    let request = commands.bodies.read_optional_json(request).await?;
    carry_out(commands, ROUTE, order_id, trace, request, ask).await
}

fn ask(body: &[u8], order: &PlacedOrder, made: Uuid) -> Result<Asked, InvalidBody> {
    let demand = parse_refund(body, made, order.content.currency)?;
    Ok(Asked {
        names: Some(("refundId", demand.refund_id.to_string())),
        lines: vec![],
        command: OrderCommand::RequestRefund(demand),
    })
}
