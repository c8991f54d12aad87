//! `/stock`: the SKUs whose units are counted.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use problem::Problem;
use serde::Deserialize;

use super::query;
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::{Instant, Text};
use crate::frame::Frame;

#[derive(Template)]
#[template(path = "stock.html")]
struct StockTemplate {
    frame: Frame,
    skus: Vec<Sku>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct StockAnswer {
    items: Vec<Sku>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sku {
    sku: Text,
    on_hand: Text,
    reserved: Text,
    available: Text,
    /// `None`: it is counted by the piece.
    unit: Option<Text>,
    #[serde(default)]
    locations: Vec<Location>,
    updated_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    location: Text,
    on_hand: Text,
    reserved: Text,
    available: Text,
}

impl Sku {
    fn orders(&self) -> String {
        query([("sku", self.sku.as_str())])
    }
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/stock")?;
    let found = console.0.queries.stock(uri.query().unwrap_or_default()).await?;
    let found: StockAnswer = shown(&caller, &found)?;
    crate::page(&StockTemplate {
        frame: Frame::of(&reader, "Stock", "/stock"),
        skus: found.items,
        next: found.cursor.map(|cursor| query([("cursor", cursor.as_str())])),
    })
}
