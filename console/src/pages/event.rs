//! `/orders/{order_id}/events/{version}`: one event of an order, with all that it says.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use problem::Problem;

use super::order::answers::{TimelineAnswer, TimelineEvent};
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::{Text, from_path};
use crate::frame::Frame;
use crate::json::in_lines;

/// What is longer in lines is shown as it is stored.
const LONGEST: usize = 1024 * 1024;

#[derive(Template)]
#[template(path = "event.html")]
struct EventTemplate {
    frame: Frame,
    order_id: Text,
    event: TimelineEvent,
    json: Text,
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<(String, i64)>, PathRejection>,
) -> Result<Response, Problem> {
    let none = || Problem::not_found("there is no such event");
    let Path((order_id, version)) = path.map_err(|_| none())?;
    let order_id = from_path(&order_id);
    let caller = reader.at("/orders/{order_id}/events")?;
    let found = console.0.queries.order_event(order_id, version, &caller.0).await?;
    let found: TimelineAnswer = shown(&caller, &found)?;
    let event = found.items.into_iter().find(|event| event.version == version).ok_or_else(none)?;
    let raw = event.raw();
    let json = in_lines(&raw, LONGEST).unwrap_or(raw).into();
    let frame = Frame::of(&reader, format!("Event {version} of order {order_id}"), "/orders");
    crate::long_page(EventTemplate { frame, order_id: order_id.into(), event, json }).await
}
