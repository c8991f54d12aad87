//! `/log`: the events of the log, and `/log/{position}`: one of them with what it came of and what came of it.

mod causes;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::order::OrderEvent;
use domain::stock::StockEvent;
use http::{StatusCode, Uri};
use problem::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::causes::Cause;
use super::query;
use crate::Console;
use crate::admission::Reader;
use crate::answer::{error_text, shown, told};
use crate::display::{Instant, Text};
use crate::frame::Frame;
use crate::json::in_lines;
use crate::live::{Follows, LivePage, without_pause};
use crate::problem_page::errors;

/// What is longer in lines is shown as it is stored.
const LONGEST: usize = 1024 * 1024;

#[derive(Template)]
#[template(path = "log.html")]
struct LogTemplate {
    frame: Frame,
    fields: [FilterField; 5],
    types: Vec<&'static str>,
    asked_type: Text,
    stream_type: Text,
    oldest_first: bool,
    errors: Vec<Text>,
    events: Vec<LoggedEvent>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "logged.html")]
struct LoggedTemplate {
    frame: Frame,
    event: LoggedEvent,
    json: Text,
    causes: Vec<Cause>,
    /// Why they can't be read.
    causes_failed: Option<Text>,
    /// Whether the reader may see the items that it made.
    sees_items: bool,
}

struct FilterField {
    name: &'static str,
    label: &'static str,
    value: Text,
}

#[derive(Deserialize)]
struct EventsAnswer {
    items: Vec<LoggedEvent>,
    cursor: Option<String>,
}

/// An event of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedEvent {
    stream_type: Text,
    stream_id: Text,
    version: i64,
    position: i64,
    #[serde(rename = "type")]
    name: Text,
    event_id: Text,
    recorded_at: Instant,
    #[serde(default, deserialize_with = "causes")]
    metadata: Causes,
    data: Option<Box<RawValue>>,
}

/// What the metadata of an event says of why it happened.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Causes {
    actor: Option<Text>,
    correlation_id: Option<Text>,
    causation_id: Option<Text>,
    traceparent: Option<Text>,
}

/// Other writers may have stored metadata of any shape.
fn causes<'de, D: serde::Deserializer<'de>>(metadata: D) -> Result<Causes, D::Error> {
    let metadata = serde_json::Value::deserialize(metadata)?;
    Ok(Causes::deserialize(metadata).unwrap_or_default())
}

impl LoggedEvent {
    /// The page of its stream.
    fn stream(&self) -> String {
        match self.stream_type.is("order") {
            true => format!("/orders/{}", self.stream_id.in_path()),
            false => format!("/stock/{}", self.stream_id.in_path()),
        }
    }

    /// The question for the events of its stream, the first of them first.
    fn events_of_stream(&self) -> String {
        let (kind, id) = (self.stream_type.as_str(), self.stream_id.as_str());
        query([("streamType", kind), ("streamId", id), ("sort", "position")])
    }
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/events")?;
    let asked = without_pause(uri.query().unwrap_or_default());
    let pairs = url::form_urlencoded::parse(asked.as_bytes()).into_owned();
    // A browser sends the fields of a form that nobody filled in, too: they ask for nothing.
    let given: Vec<(String, String)> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    let pairs = || given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let found = console.0.queries.events(&query(pairs()), &caller.0, reader.peer).await;
    let (found, wrong) = match found {
        Ok(found) => (shown(&caller, &found)?, Vec::new()),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            (EventsAnswer { items: Vec::new(), cursor: None }, errors(&problem.to_json()))
        }
        Err(problem) => return Err(problem),
    };
    let value = |name: &str| Text::from(pairs().find(|(given, _)| *given == name).map_or("", |(_, value)| value));
    let field = |(name, label)| FilterField { name, label, value: value(name) };
    let question = || pairs().filter(|(name, _)| *name != "cursor");
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let oldest_first = value("sort").is("position");
    let is_newest = !oldest_first && value("cursor").is("") && wrong.is_empty();
    let live = LivePage::of(&reader, "/log", uri.query(), Follows::Log).filter(|_| is_newest);
    let page = LogTemplate {
        frame: Frame::of(&reader, "Log", "/log").following(live),
        fields: [
            ("streamId", "Order or SKU"),
            ("fromPosition", "From position"),
            ("toPosition", "To position"),
            ("from", "Recorded from"),
            ("to", "Recorded before"),
        ]
        .map(field),
        types: OrderEvent::NAMES.iter().chain(StockEvent::NAMES).copied().collect(),
        asked_type: value("type"),
        stream_type: value("streamType"),
        oldest_first,
        errors: wrong,
        next: found.cursor.as_deref().map(|cursor| query(question().chain([("cursor", cursor)]))),
        events: found.items,
    };
    Ok((status, crate::page(&page)?).into_response())
}

pub(crate) async fn show_one(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<i64>, PathRejection>,
) -> Result<Response, Problem> {
    let none = || Problem::not_found("there is no such event");
    let position = path.ok().map(|Path(position)| position).filter(|position| *position > 0).ok_or_else(none)?;
    let mut events = read(&console, &reader, &format!("fromPosition={position}&toPosition={position}")).await?;
    let event = events.pop().ok_or_else(none)?;
    let data = event.data.as_deref().map_or("null", RawValue::get);
    let json = in_lines(data, LONGEST).unwrap_or_else(|| data.to_owned()).into();
    let (causes, causes_failed) = match causes::of(&console, &reader, &event).await {
        Ok(causes) => (causes, None),
        // The event itself has been read.
        Err(problem) => (Vec::new(), Some(error_text(&reader.at("/events")?.0, &told(&problem)))),
    };
    let frame = Frame::of(&reader, format!("Event at position {position}"), "/log");
    let sees_items = reader.may_read("/read-models");
    crate::long_page(LoggedTemplate { frame, event, json, causes, causes_failed, sees_items }).await
}

/// The events of a question, its first page.
async fn read(console: &Console, reader: &Reader, question: &str) -> Result<Vec<LoggedEvent>, Problem> {
    let caller = reader.at("/events")?;
    let found = console.0.queries.events(question, &caller.0, reader.peer).await?;
    Ok(shown::<EventsAnswer>(&caller, &found)?.items)
}
