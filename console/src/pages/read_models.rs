//! `/read-models`: the tables that answers are made of, and `/read-models/{projection}`: their items as they are stored.

pub(crate) mod steps;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use problem::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::query;
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::Text;
use crate::frame::Frame;
use crate::json::in_lines;
use crate::problem_page::errors;

/// The bytes of JSON of an item, and of all items, that a page shows in lines. The rest are shown as they are stored.
const LONGEST_JSON: usize = 64 * 1024;
const ALL_JSON: usize = 1024 * 1024;

#[derive(Template)]
#[template(path = "read_models.html")]
struct ReadModelsTemplate {
    frame: Frame,
    models: Vec<ReadModel>,
    /// The stream that is filled in.
    stream_id: Text,
}

#[derive(Deserialize)]
struct ReadModelsAnswer {
    items: Vec<ReadModel>,
}

#[derive(Deserialize)]
struct ReadModel {
    projection: Text,
    follows: Text,
    generations: Vec<Text>,
}

#[derive(Template)]
#[template(path = "items.html")]
struct ItemsTemplate {
    frame: Frame,
    projection: Text,
    generation: Text,
    pk: Text,
    sk: Text,
    index: Text,
    errors: Vec<Text>,
    items: Vec<ItemRow>,
    next: Option<String>,
}

#[derive(Default, Deserialize)]
struct ItemsAnswer {
    items: Vec<StoredItem>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct StoredItem {
    pk: Text,
    sk: Text,
    indexes: Vec<IndexKey>,
    version: i64,
    item: Box<RawValue>,
}

#[derive(Deserialize)]
struct IndexKey {
    index: Text,
    pk: Text,
    sk: Text,
}

/// An item as the page shows it.
struct ItemRow {
    pk: Text,
    sk: Text,
    /// The question for its collection.
    collection: String,
    indexes: Vec<IndexRow>,
    version: i64,
    json: Text,
}

struct IndexRow {
    index: Text,
    pk: Text,
    sk: Text,
    /// The question for the partition of the index.
    partition: String,
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/read-models")?;
    let found: ReadModelsAnswer = shown(&caller, &console.0.queries.read_models().await?)?;
    crate::page(&ReadModelsTemplate {
        frame: Frame::of(&reader, "Read models", "/read-models"),
        models: found.items,
        stream_id: value(&pairs(&uri), "streamId"),
    })
}

pub(crate) async fn items(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let Path(projection) = path.map_err(|_| Problem::not_found("there is no such read model"))?;
    let caller = reader.at("/read-models/{projection}/items")?;
    let given = pairs(&uri);
    let asked = query(given.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let (found, wrong) = match console.0.queries.items(&projection, &asked).await {
        Ok(found) => (shown::<ItemsAnswer>(&caller, &found)?, Vec::new()),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            (ItemsAnswer::default(), errors(&problem.to_json()))
        }
        Err(problem) => return Err(problem),
    };
    let generation = value(&given, "generation");
    let question =
        given.iter().filter(|(name, _)| name != "cursor").map(|(name, value)| (name.as_str(), value.as_str()));
    let next = found.cursor.as_deref().map(|cursor| query(question.chain([("cursor", cursor)])));
    let mut left = ALL_JSON;
    let items = found.items.into_iter().map(|item| ItemRow::of(item, &generation, &mut left)).collect();
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = ItemsTemplate {
        frame: Frame::of(&reader, format!("Items of {projection}"), "/read-models"),
        projection: projection.into(),
        pk: value(&given, "pk"),
        sk: value(&given, "sk"),
        index: value(&given, "index"),
        generation,
        errors: wrong,
        items,
        next,
    };
    Ok((status, crate::long_page(page).await?).into_response())
}

impl ItemRow {
    fn of(item: StoredItem, generation: &Text, left: &mut usize) -> Self {
        let StoredItem { pk, sk, indexes, version, item } = item;
        let of_generation = |pairs: &[(&str, &str)]| {
            let generation = [("generation", generation.as_str())].into_iter().filter(|(_, value)| !value.is_empty());
            query(generation.chain(pairs.iter().copied()))
        };
        let index = |it: IndexKey| IndexRow {
            partition: of_generation(&[("index", it.index.as_str()), ("pk", it.pk.as_str())]),
            index: it.index,
            pk: it.pk,
            sk: it.sk,
        };
        let json = in_lines(item.get(), (*left).min(LONGEST_JSON)).unwrap_or_else(|| item.get().to_owned());
        *left = left.saturating_sub(json.len());
        Self {
            collection: of_generation(&[("pk", pk.as_str())]),
            indexes: indexes.into_iter().map(index).collect(),
            pk,
            sk,
            version,
            json: json.into(),
        }
    }
}

/// The parameters of a page, without fields of its form that nobody filled in.
fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
    pairs.filter(|(_, value)| !value.is_empty()).collect()
}

fn value(given: &[(String, String)], name: &str) -> Text {
    given.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value).into()
}
