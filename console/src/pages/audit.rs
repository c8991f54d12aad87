//! `/audit`: what people did.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use problem::Problem;
use serde::Deserialize;

use super::query;
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::{Instant, Text};
use crate::frame::Frame;
use crate::problem_page::errors;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditTemplate {
    frame: Frame,
    fields: [FilterField; 3],
    errors: Vec<Text>,
    entries: Vec<AuditEntry>,
    next: Option<String>,
}

struct FilterField {
    name: &'static str,
    label: &'static str,
    value: Text,
}

#[derive(Default, Deserialize)]
struct AuditAnswer {
    items: Vec<AuditEntry>,
    cursor: Option<String>,
}

/// Something that a person did.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditEntry {
    actor: Text,
    recorded_at: Instant,
    #[serde(rename = "type")]
    name: Text,
    verb: Option<Text>,
    step: Option<Text>,
    reason: Option<Text>,
    stream_type: Text,
    stream_id: Text,
    position: i64,
}

impl AuditEntry {
    /// The question for what the same person did.
    fn of_same(&self) -> String {
        query([("actor", self.actor.as_str())])
    }

    /// The page of what it was done to.
    fn stream(&self) -> String {
        match self.stream_type.as_str() {
            "order" => format!("/orders/{}", self.stream_id.in_path()),
            // It is named by its queue and its id.
            "dead_letter" => format!("/dead-letters/{}", self.stream_id.in_path().replacen("%3A", "/", 1)),
            _ => format!("/stock/{}", self.stream_id.in_path()),
        }
    }

    /// Whether the log shows the event.
    fn is_in_log(&self) -> bool {
        !self.stream_type.is("dead_letter")
    }
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/audit")?;
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
    let given: Vec<(String, String)> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    let pairs = || given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (found, wrong) = match console.0.queries.audit(&query(pairs()), &caller.0, reader.peer).await {
        Ok(found) => (shown::<AuditAnswer>(&caller, &found)?, Vec::new()),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            (AuditAnswer::default(), errors(&problem.to_json()))
        }
        Err(problem) => return Err(problem),
    };
    let field = |(name, label)| {
        let value = pairs().find(|(given, _)| *given == name).map_or("", |(_, value)| value).into();
        FilterField { name, label, value }
    };
    let question = pairs().filter(|(name, _)| *name != "cursor");
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = AuditTemplate {
        frame: Frame::of(&reader, "Audit", "/audit"),
        fields: [("actor", "Who, such as operator:ann"), ("from", "From"), ("to", "Before")].map(field),
        errors: wrong,
        next: found.cursor.as_deref().map(|cursor| query(question.chain([("cursor", cursor)]))),
        entries: found.items,
    };
    Ok((status, crate::page(&page)?).into_response())
}
