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
pub(super) struct Sku {
    pub(super) sku: Text,
    pub(super) on_hand: Text,
    pub(super) reserved: Text,
    pub(super) available: Text,
    pub(super) sold: Text,
    /// `None`: it is counted by the piece.
    pub(super) unit: Option<Text>,
    #[serde(default)]
    pub(super) locations: Vec<Location>,
    /// `None`: none may be sold before they are there.
    pub(super) backorder: Option<Backorder>,
    /// `None`: it never is.
    pub(super) low_stock: Option<LowStock>,
    pub(super) updated_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location {
    pub(super) location: Text,
    pub(super) on_hand: Text,
    pub(super) reserved: Text,
    pub(super) available: Text,
}

#[derive(Deserialize)]
pub(super) struct LowStock {
    pub(super) threshold: Text,
    pub(super) low: bool,
}

/// How many may be sold before they are there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Backorder {
    pub(super) limit: Text,
    pub(super) available_at: Option<Instant>,
    pub(super) location: Text,
}

impl Sku {
    /// The threshold, while fewer units are available.
    fn low(&self) -> Option<&Text> {
        self.low_stock.as_ref().filter(|it| it.low).map(|it| &it.threshold)
    }

    pub(super) fn orders(&self) -> String {
        query([("sku", self.sku.as_str())])
    }
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/stock")?;
    let asked = uri.query().unwrap_or_default();
    let found: StockAnswer = shown(&caller, &console.0.queries.stock(asked).await?)?;
    // It can be nothing else than true, or the question was refused.
    let only_low = is_given(asked, "low");
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

/// Whether a query has the parameter.
pub(super) fn is_given(query: &str, parameter: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == parameter)
}
