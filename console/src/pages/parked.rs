//! `/parked-events`: the events that subscriptions could not handle, and those that wait behind them.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use event_store::operations::first_parked_events;
use problem::Problem;

use super::home::unavailable;
use crate::Console;
use crate::action::{ActionForm, Control, Field};
use crate::admission::Reader;
use crate::answer::error_text;
use crate::display::{Instant, Text, words};
use crate::frame::Frame;

/// How many are shown.
const SHOWN: u16 = 200;

#[derive(Template)]
#[template(path = "parked.html")]
struct ParkedTemplate {
    frame: Frame,
    events: Vec<ParkedRow>,
    /// Whether there are more.
    is_cut: bool,
}

struct ParkedRow {
    subscription: Text,
    stream_id: Text,
    is_order: bool,
    event: Text,
    version: i64,
    position: i64,
    /// `None`: it waits behind another.
    error: Option<Text>,
    attempts: i32,
    parked_at: Instant,
    /// What is asked for and not done yet.
    request: Option<Text>,
    forms: Vec<ActionForm>,
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader) -> Result<Response, Problem> {
    let (caller, _) = reader.at("/sagas")?;
    let mut events = first_parked_events(console.0.store.pool(), SHOWN + 1).await.map_err(unavailable)?;
    let is_cut = events.len() > usize::from(SHOWN);
    events.truncate(SHOWN.into());
    let row = |event: event_store::operations::ParkedEvent| ParkedRow {
        forms: forms(&reader, &event),
        request: event.request.map(Text::from),
        is_order: event.stream_type == "order",
        subscription: event.subscription.into(),
        stream_id: event.stream_id.into(),
        event: words(&event.event_type).into(),
        version: event.version,
        position: event.position,
        error: event.error.map(|error| error_text(&caller, &error)),
        attempts: event.attempts,
        parked_at: Instant(event.parked_at),
    };
    let frame = Frame::of(&reader, "Parked events", "/parked-events");
    crate::page(&ParkedTemplate { frame, events: events.into_iter().map(row).collect(), is_cut })
}

/// What can be done about the first parked event of a stream. Those behind it go on with it.
fn forms(reader: &Reader, event: &event_store::operations::ParkedEvent) -> Vec<ActionForm> {
    if event.error.is_none() || event.request.is_some() {
        return Vec::new();
    }
    let form = |action: &str, title: &str, explanation: &str| {
        let route = format!("/subscriptions/{{name}}/parked-events/{{stream_id}}/{action}");
        let ids = [event.subscription.as_str(), event.stream_id.as_str()];
        let form = reader.form(("POST", route.as_str()), &ids, title, "/parked-events")?;
        let form = form.named(&event.position.to_string()).explained(explanation);
        let form = match action {
            "skip" => form
                .with("/position:number", event.position.to_string())
                .field(Field::line("/reason", "Reason").required().hint("For the log")),
            _ => form,
        };
        Some(form.finished())
    };
    let forms = [
        form("retry", "Retry", "The subscription handles the events of the stream again."),
        form(
            "skip",
            "Skip",
            "This event is never handled by the subscription, and the events behind it are. There is no way back.",
        ),
    ];
    forms.into_iter().flatten().collect()
}
