//! `/stock/{sku}`: the units of a SKU, who has reserved some, and who waits.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use problem::Problem;
use serde::Deserialize;

use super::query;
use super::stock::{Sku, is_given};
use crate::Console;
use crate::admission::Reader;
use crate::answer::{error_text, shown, told};
use crate::display::{Instant, Text, from_path};
use crate::frame::Frame;

#[derive(Template)]
#[template(path = "sku.html")]
struct SkuTemplate {
    frame: Frame,
    name: Text,
    /// `None`: its units are not counted.
    sku: Option<Sku>,
    reservations: Vec<Reservation>,
    /// Why the reservations can't be read.
    failed: Option<Text>,
    only_waiting: bool,
    next: Option<String>,
}

/// A SKU, counted or not.
#[derive(Deserialize)]
#[serde(untagged)]
enum SkuAnswer {
    Tracked(Box<Sku>),
    Untracked {},
}

#[derive(Default, Deserialize)]
struct ReservationsAnswer {
    items: Vec<Reservation>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    order_id: Text,
    location: Text,
    quantity: Text,
    on_hand: Text,
    waiting: Text,
    /// `None`: all was on hand when it was reserved.
    place: Option<u64>,
    expires_at: Instant,
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| Problem::not_found("there is no such SKU"))?;
    let name = from_path(&name);
    let queries = &console.0.queries;
    let sku = match shown(&reader.at("/stock/{sku}")?, &queries.sku(name).await?)? {
        SkuAnswer::Tracked(sku) => Some(*sku),
        SkuAnswer::Untracked {} => None,
    };
    let caller = reader.at("/stock/{sku}/reservations")?;
    let asked = uri.query().unwrap_or_default();
    let (found, failed) = match queries.sku_reservations(name, asked, &caller.0, reader.peer).await {
        Ok(found) => (shown(&caller, &found)?, None),
        Err(problem) if problem.status().is_client_error() => return Err(problem),
        // The levels can be read, and are what most come for.
        Err(problem) => (ReservationsAnswer::default(), Some(error_text(&caller.0, &told(&problem)))),
    };
    let only_waiting = is_given(asked, "waiting");
    let next = |cursor: String| {
        query(only_waiting.then_some(("waiting", "true")).into_iter().chain([("cursor", cursor.as_str())]))
    };
    crate::page(&SkuTemplate {
        frame: Frame::of(&reader, format!("Stock of {name}"), "/stock"),
        name: name.into(),
        sku,
        reservations: found.items,
        failed,
        only_waiting,
        next: found.cursor.map(next),
    })
}
