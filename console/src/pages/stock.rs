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
    only_low: bool,
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
    /// `None`: it never is.
    low_stock: Option<LowStock>,
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

#[derive(Deserialize)]
struct LowStock {
    threshold: Text,
    low: bool,
}

impl Sku {
    /// The threshold, while fewer units are available.
    fn low(&self) -> Option<&Text> {
        self.low_stock.as_ref().filter(|it| it.low).map(|it| &it.threshold)
    }

    fn orders(&self) -> String {
        query([("sku", self.sku.as_str())])
    }
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/stock")?;
    let asked = uri.query().unwrap_or_default();
    let found: StockAnswer = shown(&caller, &console.0.queries.stock(asked).await?)?;
    // It can be nothing else than true, or the question was refused.
    let only_low = url::form_urlencoded::parse(asked.as_bytes()).any(|(name, _)| name == "low");
    let next = |cursor: String| {
        let low = only_low.then_some(("low", "true"));
        query(low.into_iter().chain([("cursor", cursor.as_str())]))
    };
    crate::page(&StockTemplate {
        frame: Frame::of(&reader, "Stock", "/stock"),
        skus: found.items,
        next: found.cursor.map(next),
        only_low,
    })
}
