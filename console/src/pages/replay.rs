//! `/replay`: the rebuilds of read models, how far they are, and what their comparisons found.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use problem::Problem;
use projections::REGISTRY;
use serde::Deserialize;

use super::home::seconds;
use crate::Console;
use crate::action::{ActionForm, Control, Field};
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::{Instant, Text};
use crate::frame::Frame;
use crate::live::{Follows, LivePage};

const PAGE: &str = "/replay";
const BEGIN: (&str, &str) = ("POST", "/admin/replays");

#[derive(Template)]
#[template(path = "replay.html")]
struct ReplayTemplate {
    frame: Frame,
    projections: Vec<Choice>,
    /// Whether the reader may begin one.
    begins: bool,
    estimate: Option<Estimate>,
    forms: Vec<ActionForm>,
    replays: Vec<ReplayRow>,
}

/// A read model, and whether it is chosen.
struct Choice {
    name: &'static str,
    is_chosen: bool,
}

struct ReplayRow {
    replay: Replay,
    /// What can be done about it.
    forms: Vec<ActionForm>,
}

#[derive(Deserialize)]
struct ReplaysAnswer {
    items: Vec<Replay>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replay {
    id: Text,
    projections: Vec<Text>,
    compare: bool,
    phase: Text,
    running: bool,
    events: u64,
    total: u64,
    events_per_second: Option<f64>,
    seconds_left: Option<f64>,
    swapped: Vec<Text>,
    #[serde(default)]
    comparison: BTreeMap<String, Comparison>,
    #[serde(default)]
    error: Option<Text>,
    began_at: Instant,
    updated_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comparison {
    alike: u64,
    only_in_old: u64,
    only_in_new: u64,
    different: u64,
    on_the_move: u64,
    #[serde(default)]
    examples: Vec<Difference>,
}

/// Who may not see what is in a read model does not get its rows.
#[derive(Deserialize)]
struct Difference {
    pk: Text,
    sk: Text,
    #[serde(default)]
    old: Option<Text>,
    #[serde(default)]
    new: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Estimate {
    projections: Vec<Text>,
    events: u64,
    begun: Option<u64>,
    sample: u64,
    expected_seconds: Option<f64>,
}

impl Estimate {
    fn expected(&self) -> Option<String> {
        self.expected_seconds.map(seconds)
    }
}

impl Replay {
    fn is_over(&self) -> bool {
        self.phase.is("done")
    }

    fn is_different(&self) -> bool {
        self.phase.is("different")
    }

    fn left(&self) -> Option<String> {
        self.seconds_left.map(seconds)
    }
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/admin/replays")?;
    let found: ReplaysAnswer = shown(&caller, &projections::read_replays(&console.0.replays).await?)?;
    let begins = reader.may(BEGIN.0, BEGIN.1) && reader.form_secret.is_some();
    let asked = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let chosen: Vec<String> = asked
        .filter(|(name, _)| name == "projections")
        .map(|(_, value)| value.into_owned())
        .take(REGISTRY.len())
        .collect();
    let (estimate, forms) = match begins && !chosen.is_empty() {
        true => {
            let estimate = projections::read_estimate(&console.0.replays, &chosen).await?;
            (Some(shown(&caller, &estimate)?), begin_forms(&reader, &chosen))
        }
        false => (None, roll_back_form(&reader).into_iter().collect()),
    };
    let row = |replay: Replay| ReplayRow { forms: forms_of(&reader, &replay), replay };
    // A measurement is not made again and again.
    let live = LivePage::of(&reader, PAGE, uri.query(), Follows::Time).filter(|_| estimate.is_none());
    crate::page(&ReplayTemplate {
        frame: Frame::of(&reader, "Rebuilds", PAGE).following(live),
        projections: REGISTRY
            .iter()
            .map(|it| Choice { name: it.name, is_chosen: chosen.iter().any(|name| name == it.name) })
            .collect(),
        begins,
        estimate,
        forms,
        replays: found.items.into_iter().map(row).collect(),
    })
}

/// What begins a replay of these, once its estimate was looked at.
fn begin_forms(reader: &Reader, chosen: &[String]) -> Vec<ActionForm> {
    let compares = [("false", "at once"), ("true", "only if they are alike")];
    let form = reader.form(BEGIN, &[], "Rebuild", PAGE).map(|form| {
        let form = chosen
            .iter()
            .enumerate()
            .fold(form, |form, (at, name)| form.with(format!("/projections/{at}"), name.as_str()));
        let form = form.explained("Readers see the old generation until the new one is complete.");
        let mut form = form.field(Field::choice("/compare:bool", "The new one takes its place", compares)).finished();
        form.is_open = true;
        form
    });
    form.into_iter().collect()
}

fn roll_back_form(reader: &Reader) -> Option<ActionForm> {
    let names = REGISTRY.iter().map(|it| (it.name, it.name));
    let form = reader.form(("POST", "/admin/rollbacks"), &[], "Put the previous generation back", PAGE)?;
    let form =
        form.explained("The generation before is brought up to date, and takes the place of the live one again.");
    Some(form.field(Field::choice("/projection", "Read model", names)).finished())
}

fn forms_of(reader: &Reader, replay: &Replay) -> Vec<ActionForm> {
    if replay.is_over() {
        return Vec::new();
    }
    let id = replay.id.as_str();
    let goes_on = (!replay.running).then(|| reader.form(BEGIN, &[], "Go on", PAGE)).flatten();
    let goes_on = goes_on.map(|form| {
        let form =
            replay.projections.iter().enumerate().fold(form.named(&format!("go-on-{id}")), |form, (at, name)| {
                form.with(format!("/projections/{at}"), name.as_str())
            });
        match replay.is_different() {
            true => {
                form.explained("The new generation takes the place of the live one, although they differ.").finished()
            }
            false => form.with("/compare:bool", replay.compare.to_string()).finished(),
        }
    });
    let cancel = reader.form(("DELETE", "/admin/replays/{id}"), &[id], "Cancel", PAGE);
    let cancel = cancel.map(|form| form.explained("What it has built is removed.").finished());
    goes_on.into_iter().chain(cancel).collect()
}
