//! `/sagas`: the sagas that wait or are stuck, and why.

use access_control::RoutePermission;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::order::saga::SagaStep;
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
use crate::live::{Follows, LivePage, without_pause};

#[derive(Template)]
#[template(path = "sagas.html")]
struct SagasTemplate {
    frame: Frame,
    asked: AskedSagas,
    steps: Vec<&'static str>,
    reasons: Vec<WaitReason>,
    sagas: Vec<WaitingSaga>,
    next: Option<String>,
    /// Whether the reader sees errors, and may ask by them.
    sees_errors: bool,
    /// Whether the reader may decide about many at once.
    decides: bool,
}

/// What the list is asked for; empty: anything.
#[derive(Default)]
struct AskedSagas {
    state: String,
    step: String,
    error: String,
    until: String,
}

impl AskedSagas {
    fn of(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => asked.state = value.into_owned(),
                "step" => asked.step = value.into_owned(),
                "error" => asked.error = value.into_owned(),
                "until" => asked.until = value.into_owned(),
                _ => {}
            }
        }
        asked
    }

    fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = [("state", &self.state), ("step", &self.step), ("error", &self.error), ("until", &self.until)];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str()))
    }
}

/// How many wait at a step for the same reason.
struct WaitReason {
    step: Text,
    state: Text,
    error: Option<Text>,
    count: i64,
    /// The question of those, and of the bulk actions on them.
    query: String,
    is_stuck: bool,
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
    let query_text = without_pause(uri.query().unwrap_or_default());
    // A form sends its empty fields, too.
    let pairs = url::form_urlencoded::parse(query_text.as_bytes()).filter(|(_, value)| !value.is_empty());
    let question = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let found: SagasAnswer = shown(&caller, &sagas::read_waiting(&console.0.store, &caller.0, &question).await?)?;
    let asked = AskedSagas::of(&question);
    let stuck = match asked.state.as_str() {
        "stuck" => Some(true),
        "running" => Some(false),
        _ => None,
    };
    let sees_errors = caller.0.grant == RoutePermission::All;
    let filter = WaitingSagaFilter {
        stuck,
        step: SagaStep::parse(&asked.step),
        error: Some(asked.error.as_str()).filter(|error| !error.is_empty()),
        until: asked.until.parse().ok(),
        ..WaitingSagaFilter::default()
    };
    let groups = sagas::report::groups(console.0.store.pool(), filter).await.map_err(unavailable)?;
    let reasons = groups.into_iter().map(|group| {
        let state = if group.stuck { "stuck" } else { "running" };
        let error = group.error.as_deref().filter(|error| sees_errors && !error.is_empty());
        let of_error = error.map(|error| ("error", error));
        WaitReason {
            query: query([("state", state), ("step", group.step.as_str())].into_iter().chain(of_error)),
            is_stuck: group.stuck,
            step: group.step.into(),
            state: state.into(),
            error: group.error.map(|error| error_text(&caller.0, &error)),
            count: group.count,
        }
    });
    let live = LivePage::of(&reader, "/sagas", uri.query(), Follows::Time);
    crate::page(&SagasTemplate {
        frame: Frame::of(&reader, "Sagas", "/sagas").following(live),
        reasons: reasons.collect(),
        sagas: found.items,
        next: found.cursor.as_deref().map(|cursor| query(asked.given().chain([("cursor", cursor)]))),
        steps: SagaStep::ALL.map(SagaStep::name).into(),
        sees_errors,
        decides: console.0.runs_bulk_actions && reader.may("POST", "/bulk-actions") && reader.form_secret.is_some(),
        asked,
    })
}
