//! `/sagas`: the sagas that wait or are stuck, and why.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use problem::Problem;
use sagas::report::WaitingSagaFilter;
use serde::Deserialize;

use super::home::unavailable;
use super::query;
use crate::Console;
use crate::admission::Reader;
use crate::answer::{error_text, shown};
use crate::display::{Instant, Text};
use crate::frame::Frame;

#[derive(Template)]
#[template(path = "sagas.html")]
struct SagasTemplate {
    frame: Frame,
    /// The state that is asked for; empty: both.
    state: String,
    reasons: Vec<WaitReason>,
    sagas: Vec<WaitingSaga>,
    next: Option<String>,
}

/// How many wait at a step for the same reason.
struct WaitReason {
    step: Text,
    state: Text,
    error: Option<Text>,
    count: i64,
    /// The question of those.
    query: String,
}

#[derive(Deserialize)]
struct SagasAnswer {
    items: Vec<WaitingSaga>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WaitingSaga {
    saga: Text,
    order_id: Text,
    step: Text,
    state: Text,
    attempts: Text,
    since: Instant,
    next_try_at: Option<Instant>,
    reservation_ends_at: Option<Instant>,
    last_error: Option<Text>,
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/sagas")?;
    let asked = uri.query().unwrap_or_default();
    let found: SagasAnswer = shown(&caller, &sagas::read_waiting(&console.0.store, &caller.0, asked).await?)?;
    let pairs: Vec<_> = url::form_urlencoded::parse(asked.as_bytes()).into_owned().collect();
    let given = || pairs.iter().filter(|(name, _)| name != "cursor").map(|(name, value)| (&**name, &**value));
    let state = given().find(|(name, _)| *name == "state").map_or_else(String::new, |(_, state)| state.to_owned());
    let stuck = match state.as_str() {
        "stuck" => Some(true),
        "running" => Some(false),
        _ => None,
    };
    let filter = WaitingSagaFilter { stuck, ..WaitingSagaFilter::default() };
    let groups = sagas::report::groups(console.0.store.pool(), filter).await.map_err(unavailable)?;
    let reasons = groups.into_iter().map(|group| {
        let state = if group.stuck { "stuck" } else { "running" };
        WaitReason {
            query: query([("state", state), ("step", group.step.as_str())]),
            step: group.step.into(),
            state: state.into(),
            error: group.error.map(|error| error_text(&caller.0, &error)),
            count: group.count,
        }
    });
    crate::page(&SagasTemplate {
        frame: Frame::of(&reader, "Sagas", "/sagas"),
        reasons: reasons.collect(),
        sagas: found.items,
        next: found.cursor.as_deref().map(|cursor| query(given().chain([("cursor", cursor)]))),
        state,
    })
}
