//! One stream through a projection, event by event, in memory. Nothing is written.

use std::collections::{BTreeMap, HashMap};

use access_control::AuthorizedCaller;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use error_chain::error_chain;
use event_store::StoredEvent;
use event_store::read::read_stream_after;
use event_versions::Upcastable;
use problem::{ClientNetwork, Problem, QueryParameters};
use read_models::{Item, Key, StreamItemChanges, TallyAddition};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::projection;
use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::parameters::ParameterErrors;
use crate::projection::{DecodedEvent, FollowedStreams, ProjectionDefinition, ProjectionFold};
use crate::reads::{ReadRouteState, unavailable};

/// The latest version after which steps can begin: all events before are folded first.
const LAST_BEGINNING: i64 = 20_000;
/// The events that are read at once, and their bytes.
const READ_EVENTS: i64 = 200;
const READ_BYTES: i64 = 4 << 20;
/// The bytes of a page. A single step may be larger.
const MAX_BYTES: usize = 1 << 20;
/// The most bytes of items that a stream may come to in memory.
const MOST_HELD: usize = 64 << 20;

/// A page of steps. If it has a cursor, there are more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StepsPage {
    stream_type: &'static str,
    stream_id: String,
    items: Vec<FoldStep>,
    /// Why the next event can't be folded, if it can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    cursor: Option<String>,
}

/// What one event does to the items of its stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FoldStep {
    /// The version of the stream after the event.
    version: i64,
    position: i64,
    #[serde(rename = "type")]
    event_type: String,
    recorded_at: DateTime<Utc>,
    changes: Vec<ItemChange>,
    /// What it adds to sums over many streams.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tallies: Vec<TallyChange>,
}

/// An item before and after an event.
#[derive(Serialize, ToSchema)]
struct ItemChange {
    pk: String,
    sk: String,
    /// There was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    #[schema(value_type = Object)]
    after: Box<RawValue>,
}

/// What is added to the numbers of a sum.
#[derive(Serialize, ToSchema)]
struct TallyChange {
    pk: String,
    sk: String,
    add: BTreeMap<String, i64>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StepsParameters {
    /// The most steps of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The version after which the steps begin: 0, which is the default, or the cursor of the page before. At most 20,000.
    cursor: Option<String>,
}

/// A stream through a projection, event by event
///
/// Folds the events of an order or a SKU by the projection, in memory, and tells what each changes. Nothing is written.
#[utoipa::path(
    get,
    path = "/read-models/{projection}/streams/{id}/steps",
    tag = "operations",
    operation_id = "listFoldSteps",
    params(
        ("projection" = String, Path, description = "The name of a projection", example = "orders"),
        ("id" = String, Path, description = "The id of an order or a SKU, whichever the projection follows", example = "order-1001"),
        StepsParameters,
    ),
    responses(
        (status = 200, description = "A page of steps", body = StepsPage),
        (status = 404, description = "There is no such read model, or no such stream"),
    )
)]
pub(crate) async fn steps(
    State(reads): State<ReadRouteState>,
    path: Result<Path<(String, String)>, PathRejection>,
    parameters: Result<QueryParameters<StepsParameters>, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
) -> Result<Json<StepsPage>, Problem> {
    let (name, stream_id) = path.ok().map(|Path(path)| path).unzip();
    let projection = projection(name.as_deref())?;
    // There is no stream under an id that Postgres can't have.
    let stream_id = stream_id.filter(|id| !id.contains('\0')).unwrap_or_default();
    let parameters = parameters?.0;
    let mut errors = ParameterErrors::default();
    let limit = errors.page_limit(parameters.limit);
    let after = errors.parse("cursor", parameters.cursor, |cursor| {
        let version = cursor.parse().ok().filter(|version| (0..=LAST_BEGINNING).contains(version));
        version.ok_or_else(|| format!("must be a version of the stream from 0 to {LAST_BEGINNING}"))
    });
    errors.into_result()?;
    let fold = async {
        match &projection.follows {
            FollowedStreams::Orders(fold) => {
                read(&reads, projection, fold, stream_id, after.unwrap_or(0), limit.into()).await
            }
            FollowedStreams::Stock(fold) => {
                read(&reads, projection, fold, stream_id, after.unwrap_or(0), limit.into()).await
            }
        }
    };
    let page = reads.read_log(&caller, peer.map(|Extension(peer)| peer), fold).await?;
    Ok(Json(page))
}

async fn read<A: Upcastable>(
    reads: &ReadRouteState,
    projection: &ProjectionDefinition,
    fold: &ProjectionFold<A>,
    stream_id: String,
    after: i64,
    limit: usize,
) -> Result<StepsPage, Problem> {
    let mut stepped = SteppedStream { fold, head: (fold.head)(&stream_id), items: HashMap::new(), held: 0 };
    let (mut version, mut bytes) = (0, 0);
    let mut page = StepsPage {
        stream_type: projection.follows.stream_type(),
        stream_id: stream_id.clone(),
        items: vec![],
        error: None,
        cursor: None,
    };
    loop {
        let stream = (A::TYPE, stream_id.as_str(), version);
        let events =
            read_stream_after(reads.store.pool(), stream, READ_EVENTS, READ_BYTES).await.map_err(unavailable)?;
        if events.is_empty() {
            return match version {
                0 => Err(Problem::not_found(format!("there is no {} {stream_id}", page.stream_type))),
                _ => Ok(page),
            };
        }
        for event in events {
            if page.items.len() == limit || (bytes > MAX_BYTES && !page.items.is_empty()) {
                page.cursor = (version <= LAST_BEGINNING).then(|| version.to_string());
                return Ok(page);
            }
            let step = match stepped.take(&event) {
                Ok(step) => step,
                Err(error) => {
                    page.error = Some(error_chain(&error).to_string());
                    return Ok(page);
                }
            };
            if stepped.held > MOST_HELD {
                page.error = Some(format!("its items come to more than {} MiB", MOST_HELD >> 20));
                return Ok(page);
            }
            version = event.version;
            if version > after {
                bytes += step.size();
                page.items.push(step);
            }
            // Others have their turn: a single event may change many items.
            tokio::task::yield_now().await;
        }
    }
}

/// The items of a stream as far as it was folded.
struct SteppedStream<'a, A: Aggregate> {
    fold: &'a ProjectionFold<A>,
    head: Key,
    items: HashMap<Key, Item>,
    /// The bytes of its items.
    held: usize,
}

impl<A: Upcastable> SteppedStream<'_, A> {
    /// Folds the next event, as the projection does.
    fn take(&mut self, event: &StoredEvent) -> Result<FoldStep, FoldError> {
        let decoded = DecodedEvent::<A>::decode(&event.borrowed())?;
        let changes = if (self.fold.handles)(&decoded.event) {
            let mut keys = (self.fold.keys_to_load)(&decoded);
            keys.push(self.head.clone());
            keys.sort_unstable();
            keys.dedup();
            let known = FoldWorkingSet::of(keys.iter().filter_map(|key| self.items.get(key).cloned()));
            self.fold.apply(known, self.head.clone(), &[decoded])?
        } else {
            None
        };
        let tallies = changes.as_ref().map_or_else(Vec::new, |changes| tallies(&changes.tallies));
        let changed = changes.map_or_else(Vec::new, StreamItemChanges::into_items);
        Ok(FoldStep {
            version: event.version,
            position: event.position,
            event_type: event.event_type.clone(),
            recorded_at: event.recorded_at,
            changes: changed.into_iter().map(|item| self.put(item)).collect(),
            tallies,
        })
    }

    fn put(&mut self, item: Item) -> ItemChange {
        let (Key { pk, sk }, after) = (item.key.clone(), item.body.clone());
        self.held += item.size();
        let before = self.items.insert(item.key.clone(), item);
        self.held = self.held.saturating_sub(before.as_ref().map_or(0, Item::size));
        ItemChange { pk, sk, before: before.map(|item| item.body), after }
    }
}

impl FoldStep {
    /// About how many bytes its JSON has.
    fn size(&self) -> usize {
        let of_item =
            |change: &ItemChange| change.after.get().len() + change.before.as_ref().map_or(0, |it| it.get().len());
        self.changes.iter().map(of_item).sum::<usize>() + 256
    }
}

fn tallies(added: &[TallyAddition]) -> Vec<TallyChange> {
    let change = |it: &TallyAddition| TallyChange { pk: it.key.pk.clone(), sk: it.key.sk.clone(), add: it.add.clone() };
    added.iter().map(change).collect()
}
