//! `/read-models/steps`: one stream through a projection, event by event.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use problem::Problem;
use projections::JsonLeafChange;
use serde::Deserialize;
use serde_json::Value;

use super::{pairs, value};
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::{Instant, Text};
use crate::frame::Frame;
use crate::pages::query;

/// How many differences of an item are shown, and how many characters of each side of one.
const SHOWN: usize = 100;
const LONGEST: usize = 500;

#[derive(Template)]
#[template(path = "steps.html")]
struct StepsTemplate {
    frame: Frame,
    projection: Text,
    stream_id: Text,
    limit: Text,
    steps: Vec<StepRow>,
    /// Why the next event can't be folded.
    error: Option<Text>,
    next: Option<String>,
    /// The question for the events of the stream.
    events: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StepsAnswer {
    stream_type: String,
    items: Vec<FoldStep>,
    error: Option<Text>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoldStep {
    version: i64,
    position: i64,
    #[serde(rename = "type")]
    name: Text,
    recorded_at: Instant,
    changes: Vec<ItemChange>,
    #[serde(default)]
    tallies: Vec<TallyChange>,
}

#[derive(Deserialize)]
struct ItemChange {
    pk: Text,
    sk: Text,
    before: Option<Value>,
    after: Value,
}

#[derive(Deserialize)]
struct TallyChange {
    pk: Text,
    sk: Text,
    add: Value,
}

struct StepRow {
    version: i64,
    position: i64,
    name: Text,
    recorded_at: Instant,
    changes: Vec<ItemRow>,
    tallies: Vec<TallyRow>,
}

struct ItemRow {
    pk: Text,
    sk: Text,
    is_new: bool,
    leaves: Vec<LeafRow>,
    is_cut: bool,
}

struct LeafRow {
    path: Text,
    old: Option<Text>,
    new: Option<Text>,
}

struct TallyRow {
    pk: Text,
    sk: Text,
    add: Text,
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/read-models/{projection}/streams/{id}/steps")?;
    let given = pairs(&uri);
    let (projection, stream_id) = (value(&given, "projection"), value(&given, "streamId"));
    let of_page = |name: &String| ["projection", "streamId"].contains(&name.as_str());
    let asked = given.iter().filter(|(name, _)| !of_page(name)).map(|(name, value)| (name.as_str(), value.as_str()));
    let path = (projection.as_str(), stream_id.as_str());
    let found = console.0.queries.steps(path, &query(asked), &caller.0, reader.peer).await?;
    let found: StepsAnswer = shown(&caller, &found)?;
    let question =
        given.iter().filter(|(name, _)| name != "cursor").map(|(name, value)| (name.as_str(), value.as_str()));
    let stream = [("streamType", found.stream_type.as_str()), ("streamId", stream_id.as_str()), ("sort", "position")];
    crate::long_page(StepsTemplate {
        frame: Frame::of(&reader, format!("{stream_id} through {projection}"), "/read-models"),
        next: found.cursor.as_deref().map(|cursor| query(question.chain([("cursor", cursor)]))),
        events: query(stream),
        limit: value(&given, "limit"),
        steps: found.items.into_iter().map(StepRow::from).collect(),
        error: found.error,
        projection,
        stream_id,
    })
    .await
}

impl From<FoldStep> for StepRow {
    fn from(step: FoldStep) -> Self {
        let tally = |it: TallyChange| TallyRow { pk: it.pk, sk: it.sk, add: it.add.to_string().into() };
        Self {
            version: step.version,
            position: step.position,
            name: step.name,
            recorded_at: step.recorded_at,
            changes: step.changes.into_iter().map(ItemRow::from).collect(),
            tallies: step.tallies.into_iter().map(tally).collect(),
        }
    }
}

impl From<ItemChange> for ItemRow {
    fn from(change: ItemChange) -> Self {
        let leaves = JsonLeafChange::between(change.before.as_ref().unwrap_or(&Value::Null), &change.after);
        let leaf = |leaf: &JsonLeafChange| {
            let [old, new] = leaf.in_words().map(|text| text.map(|text| Text::from(text).cut(LONGEST)));
            LeafRow { path: leaf.path.as_str().into(), old, new }
        };
        Self {
            pk: change.pk,
            sk: change.sk,
            is_new: change.before.is_none(),
            leaves: leaves.iter().take(SHOWN).map(leaf).collect(),
            is_cut: leaves.len() > SHOWN,
        }
    }
}
