//! `/bulk-actions/new` for dead letters: what one would act on, and the form that begins it.

use access_control::RoutePermission;
use askama::Template;
use axum::response::Response;
use problem::{Problem, ProblemType};

use super::{DeadLetterRow, FoundDeadLetters};
use crate::Console;
use crate::action::{ActionForm, Control, Field};
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::Text;
use crate::frame::Frame;
use crate::pages::bulk_actions::invalid;
use crate::pages::query;

/// The most that can be ticked.
const MOST_TICKED: usize = 200;
/// The most characters of an id, and of a part of an error.
const MAX_ID: usize = 256;
const MAX_ERROR: usize = 4_000;
/// How many are shown before it begins.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "new_dead_letter_action.html")]
struct NewDeadLetterActionTemplate {
    frame: Frame,
    title: &'static str,
    conditions: Vec<(Text, Text)>,
    /// Of those that were read.
    matched: usize,
    read: usize,
    unseen: u64,
    letters: Vec<DeadLetterRow>,
    /// `None`: the reader may not begin it.
    form: Option<ActionForm>,
}

/// What is to be done to which dead letters, as the address says it.
#[derive(Default)]
struct DeadLetterChoice {
    kind: &'static str,
    queue: String,
    error: String,
    ids: Vec<String>,
}

/// Whether an address is about dead letters.
pub(crate) fn is_about_dead_letters(asked: &str) -> bool {
    url::form_urlencoded::parse(asked.as_bytes())
        .any(|(name, value)| name == "kind" && value.ends_with("_dead_letters"))
}

impl DeadLetterChoice {
    fn parse(asked: &str) -> Result<Self, Problem> {
        let mut choice = Self::default();
        for (name, value) in url::form_urlencoded::parse(asked.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            match &*name {
                "kind" => {
                    let known =
                        ["redrive_dead_letters", "discard_dead_letters"].into_iter().find(|kind| **kind == value);
                    let wrong = || invalid("kind", "must be redrive_dead_letters or discard_dead_letters");
                    choice.kind = known.ok_or_else(wrong)?;
                }
                "queue" if ["notifications", "replies"].contains(&&*value) => choice.queue = value.into_owned(),
                "queue" => return Err(invalid("queue", "must be notifications or replies")),
                "error" if value.chars().count() > MAX_ERROR || value.contains('\0') => {
                    return Err(invalid("error", "must have at most 4,000 characters, none of them NUL"));
                }
                // Browsers end lines so.
                "error" => choice.error = value.replace("\r\n", "\n"),
                "ids" => choice.ids.push(value.into_owned()),
                _ => return Err(invalid(&name, "is not known here")),
            }
        }
        let fits = |id: &String| id.chars().count() <= MAX_ID && !id.contains('\0');
        if choice.ids.len() > MOST_TICKED || !choice.ids.iter().all(fits) {
            return Err(invalid("ids", "must be at most 200 ids"));
        }
        if choice.queue.is_empty() && choice.error.is_empty() && choice.ids.is_empty() {
            return Err(invalid(
                "queue",
                "must be given: go back, show one queue alone or tick some, and choose there",
            ));
        }
        Ok(choice)
    }

    fn conditions(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_texts = [("queue", &self.queue), ("error", &self.error)];
        let of_texts = of_texts.into_iter().filter(|(_, text)| !text.is_empty());
        of_texts.map(|(name, text)| (name, text.as_str())).chain(self.ids.iter().map(|id| ("ids", id.as_str())))
    }

    fn form(&self, reader: &Reader, title: &'static str, what: &'static str) -> Option<ActionForm> {
        let form = reader.form(("POST", "/bulk-actions"), &[], title, "")?;
        let page = query([("kind", self.kind)].into_iter().chain(self.conditions()));
        let form = form.on_page(format!("/bulk-actions/new?{page}")).explained(what);
        let form = form.explained(
            "It takes all that match, those that are not shown here, too. What dies only later is left alone.",
        );
        let form = self
            .conditions()
            .filter(|(name, _)| *name != "ids")
            .fold(form.with("/kind", self.kind), |form, (name, text)| form.with(format!("/filter/{name}"), text));
        let form = self
            .ids
            .iter()
            .enumerate()
            .fold(form, |form, (at, id)| form.with(format!("/filter/ids/{at}"), id.as_str()));
        let rate = Field::number("/rate:number", "The most in a second").filled("10").hint("1 to 100");
        let mut form = form.field(Field::words("/reason", "Reason").required()).field(rate).finished();
        form.is_open = true;
        Some(form)
    }
}

pub(crate) async fn new(console: &Console, reader: &Reader, asked: &str) -> Result<Response, Problem> {
    let caller = reader.at("/dead-letters")?;
    let choice = DeadLetterChoice::parse(asked)?;
    // Whoever sees errors masked may not ask by them either.
    if !choice.error.is_empty() && caller.0.grant != RoutePermission::All {
        return Err(Problem::new(ProblemType::Forbidden, "the role may not ask for dead letters by error"));
    }
    let question = query(choice.conditions().filter(|(name, _)| *name != "ids"));
    let answer = dead_letters::read_dead_letters(&console.0.dead_letters, &caller.0, &question).await?;
    let found: FoundDeadLetters = shown(&caller, &answer)?;
    let is_ticked = |letter: &DeadLetterRow| choice.ids.is_empty() || choice.ids.iter().any(|id| letter.id.is(id));
    let mut letters: Vec<_> = found.items.into_iter().filter(is_ticked).collect();
    let matched = letters.len();
    letters.truncate(SHOWN);
    let (title, what) = match choice.kind {
        "redrive_dead_letters" => ("Send dead letters again", "Each of them goes to its queue as it is."),
        _ => ("Discard dead letters", "Each of them is deleted for good. There is no way back."),
    };
    let label = |name: &str| match name {
        "error" => "error has".into(),
        "ids" => "dead letter".into(),
        _ => name.into(),
    };
    crate::page(&NewDeadLetterActionTemplate {
        frame: Frame::of(reader, title, "/bulk-actions"),
        title,
        conditions: choice.conditions().map(|(name, text)| (label(name), text.into())).collect(),
        matched,
        read: found.queues.iter().map(|queue| queue.read).sum(),
        unseen: found.queues.iter().map(|queue| queue.unseen).sum(),
        form: choice
            .form(reader, title, what)
            .filter(|_| !letters.is_empty() || !choice.ids.is_empty() || has_unseen(&found.queues)),
        letters,
    })
}

/// Those that match may be among the ones that were not read.
fn has_unseen(queues: &[super::LookedAtQueue]) -> bool {
    queues.iter().any(|queue| queue.unseen > 0)
}
