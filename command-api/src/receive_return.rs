//! `POST /orders/{id}/returns/{returnId}/receive`: what was to come back came back.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::ids::{OrderId, ReturnId};
use domain::order::OrderCommand;
use domain::order::parse::parse_nothing;
use http::StatusCode;
use problem::{Problem, Trace};

use crate::Commands;
use crate::order_command::{Asked, Route, carry_out};

const ROUTE: Route = Route { scope: "shop POST /orders/returns/receive", success: StatusCode::ACCEPTED };

pub(crate) async fn receive_return(
    State(commands): State<Arc<Commands>>,
    path: Result<Path<(String, String)>, PathRejection>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let ids =
        path.ok().and_then(|Path((order, back))| Some((OrderId::parse(order).ok()?, ReturnId::parse(back).ok()?)));
    let (order_id, return_id) = ids.ok_or_else(|| Problem::not_found("there is no such return"))?;
    let ask = |body: &[u8], _: &_, _| {
        parse_nothing(body)?;
        Ok(Asked {
            names: Some(("returnId", return_id.to_string())),
            lines: vec![],
            command: OrderCommand::ReceiveReturn(return_id.clone()),
        })
    };
    let request = commands.bodies.read_optional_json(request).await?;
    carry_out(commands, ROUTE, order_id, trace, request, ask).await
}
