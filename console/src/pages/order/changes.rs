//! `/orders/{order_id}/changes`: what differs between two versions of an order.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use problem::{Problem, QueryParameters};
use projections::JsonLeafChange;
use serde::Deserialize;
use serde_json::Value;

use super::parse_id;
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::Text;
use crate::frame::Frame;

/// How many differences are shown, and how many characters of each side of one.
const SHOWN: usize = 500;
const LONGEST: usize = 2_000;

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesTemplate {
    frame: Frame,
    order_id: Text,
    from: Text,
    to: Text,
    changes: Vec<LeafChange>,
    /// Whether there are more.
    is_cut: bool,
}

struct LeafChange {
    path: Text,
    /// `None`: it was not there.
    old: Option<Text>,
    /// `None`: it is not there any more.
    new: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesQuery {
    from: String,
    to: String,
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<String>, PathRejection>,
    asked: Result<QueryParameters<ChangesQuery>, Problem>,
) -> Result<Response, Problem> {
    let order_id = parse_id(path)?;
    let ChangesQuery { from, to } = asked?.0;
    let caller = reader.at("/orders/{order_id}")?;
    let queries = &console.0.queries;
    let old = queries.order(order_id.as_str(), Some(&from), &caller.0).await?;
    let new = queries.order(order_id.as_str(), Some(&to), &caller.0).await?;
    // What is left out for the reader differs nowhere.
    let (old, new): (Value, Value) = (shown(&caller, &old)?, shown(&caller, &new)?);
    let changes = JsonLeafChange::between(&old, &new);
    let is_cut = changes.len() > SHOWN;
    let change = |change: &JsonLeafChange| {
        let [old, new] = change.in_words().map(|text| text.map(|text| Text::from(text).cut(LONGEST)));
        LeafChange { path: change.path.as_str().into(), old, new }
    };
    crate::long_page(ChangesTemplate {
        frame: Frame::of(&reader, format!("Changes of order {order_id}"), "/orders"),
        changes: changes.iter().take(SHOWN).map(change).collect(),
        order_id: order_id.as_str().into(),
        from: from.into(),
        to: to.into(),
        is_cut,
    })
    .await
}
