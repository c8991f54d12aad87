//! `/dead-letters`: the messages that could not be handled, by their errors and one by one, and what can be done about one.

pub(crate) mod bulk;

use access_control::RoutePermission;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use problem::Problem;
use serde::Deserialize;
use serde_json::Value;

use super::query;
use crate::Console;
use crate::action::{ActionForm, Control, Field};
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::{Instant, Text};
use crate::frame::Frame;

/// The most of an error that a list shows, and that another list is asked for by.
const MAX_SHOWN: usize = 300;
const MAX_ASKED: usize = 4_000;

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct DeadLettersTemplate {
    frame: Frame,
    /// What the list is asked for; empty: anything.
    queue: String,
    error: String,
    found: FoundDeadLetters,
    /// Whether the reader sees errors, and may ask by them.
    sees_errors: bool,
    /// Whether the reader may decide about many at once.
    decides: bool,
}

#[derive(Template)]
#[template(path = "dead_letter.html")]
struct DeadLetterTemplate {
    frame: Frame,
    letter: DeadLetter,
    attributes: Vec<(Text, Text)>,
    forms: Vec<ActionForm>,
}

/// What `GET /dead-letters` answers.
#[derive(Deserialize)]
struct FoundDeadLetters {
    at: Instant,
    queues: Vec<LookedAtQueue>,
    errors: Vec<DeadLetterReason>,
    items: Vec<DeadLetterRow>,
}

#[derive(Deserialize)]
struct LookedAtQueue {
    queue: Text,
    read: usize,
    unseen: u64,
}

#[derive(Deserialize)]
struct DeadLetterReason {
    queue: Text,
    error: Text,
    count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetterRow {
    id: Text,
    queue: Text,
    order_id: Text,
    #[serde(rename = "type")]
    message_type: Option<Text>,
    error: Text,
    since: Instant,
    redriven: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetter {
    #[serde(flatten)]
    row: DeadLetterRow,
    original_id: Option<Text>,
    group_id: Text,
    attempt: Option<Text>,
    attributes: Value,
    body: Text,
    forged: Option<Text>,
    broken: Option<BrokenPlace>,
}

#[derive(Deserialize)]
struct BrokenPlace {
    pointer: Text,
    line: Option<usize>,
    column: Option<usize>,
    message: Text,
}

impl DeadLetterReason {
    fn short_error(&self) -> Text {
        self.error.clone().cut(MAX_SHOWN)
    }

    /// The question of those, and of the bulk actions on them.
    fn query(&self, by_error: bool) -> String {
        let error: String = self.error.as_str().chars().take(MAX_ASKED).collect();
        let error = by_error.then_some(("error", error.as_str()));
        query([("queue", self.queue.as_str())].into_iter().chain(error))
    }
}

impl DeadLetterRow {
    fn short_error(&self) -> Text {
        self.error.clone().cut(MAX_SHOWN)
    }

    fn path(&self) -> String {
        format!("/dead-letters/{}/{}", self.queue.in_path(), self.id.in_path())
    }
}

pub(crate) async fn list(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/dead-letters")?;
    // A form sends its empty fields, too.
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let pairs: Vec<_> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    let asked = |wanted: &str| {
        let pair = pairs.iter().find(|(name, _)| name == wanted);
        pair.map(|(_, value)| value.clone().into_owned()).unwrap_or_default()
    };
    let question = query(pairs.iter().map(|(name, value)| (&**name, &**value)));
    let answer = dead_letters::read_dead_letters(&console.0.dead_letters, &caller.0, &question).await?;
    crate::page(&DeadLettersTemplate {
        frame: Frame::of(&reader, "Dead letters", "/dead-letters"),
        queue: asked("queue"),
        error: asked("error"),
        found: shown(&caller, &answer)?,
        sees_errors: caller.0.grant == RoutePermission::All,
        decides: reader.may("POST", "/bulk-actions") && reader.form_secret.is_some(),
    })
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    Path((queue, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let caller = reader.at("/dead-letters/{queue}/{id}")?;
    let answer = dead_letters::read_dead_letter(&console.0.dead_letters, &queue, &id).await?;
    let letter: DeadLetter = shown(&caller, &answer)?;
    let attributes = match letter.attributes.as_object() {
        Some(attributes) => attributes.iter().map(|(name, value)| (name.as_str().into(), text_of(value))).collect(),
        // They are masked.
        None => vec![("attributes".into(), text_of(&letter.attributes))],
    };
    let template = DeadLetterTemplate {
        frame: Frame::of(&reader, "Dead letter", "/dead-letters"),
        forms: forms(&reader, &letter),
        attributes,
        letter,
    };
    crate::long_page(template).await
}

fn text_of(value: &Value) -> Text {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).into()
}

fn forms(reader: &Reader, letter: &DeadLetter) -> Vec<ActionForm> {
    let (queue, id) = (letter.row.queue.as_str(), letter.row.id.as_str());
    let form = |verb: &str, title: &str| {
        let route = format!("/dead-letters/{{queue}}/{{id}}/{verb}");
        let form = reader.form(("POST", &route), &[queue, id], title, "/dead-letters");
        form.map(|form| form.on_page(letter.row.path()))
    };
    let reason = || Field::words("/reason", "Reason").required();
    let redrive = form("redrive", "Send again").filter(|_| letter.forged.is_none()).map(|form| {
        form.explained("It goes to its queue as it is. A mail that had failed for good is really tried again.")
            .field(reason())
    });
    let edit = form("redrive", "Change and send again").map(|form| {
        let form = form
            .named("edit")
            .explained("What you leave here is sent in its place, signed by this platform: you answer for all of it.");
        form.field(Field::words("/body", "Body").required().filled(letter.body.as_str())).field(reason())
    });
    let discard = form("discard", "Discard").map(|form| {
        form.explained("It is deleted for good. Nothing of it is kept but who did it and why.").field(reason())
    });
    [redrive, edit, discard].into_iter().flatten().map(ActionForm::finished).collect()
}
