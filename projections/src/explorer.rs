//! The items of read models as they are stored, and how events made them: `GET /read-models`, `/read-models/{projection}/items`,
//! `/read-models/{projection}/streams/{id}/steps`. They hold everything, so they are for operators alone.

pub(crate) mod steps;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use problem::{Problem, QueryParameters};
use read_models::{Generation, GenerationTable, Index, Item, Key, Query, QueryScope, ReadModelStoreError, SortOrder};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::parameters::{ParameterErrors, one_of};
use crate::projection::ProjectionDefinition;
use crate::reads::{ReadRouteState, page_problem, store_problem};
use crate::registry::REGISTRY;

/// The bytes of a page. A single item may be larger.
const MAX_BYTES: usize = 1 << 20;
/// The longest key of an item.
const LONGEST_KEY: usize = 1_000;

pub(crate) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(read_models)).routes(routes!(items)).routes(routes!(steps::steps))
}

/// All read models.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadModelsPage {
    items: Vec<ReadModelView>,
}

/// A read model, which a projection makes of the log.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadModel)]
struct ReadModelView {
    /// The name of the projection.
    #[schema(example = "orders")]
    projection: &'static str,
    /// The kind of streams that it is made of.
    #[schema(example = "order")]
    follows: &'static str,
    /// Which of its generations there are.
    generations: Vec<GenerationName>,
}

/// A table of a read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum GenerationName {
    /// The one that is read and kept up to date.
    Live,
    /// The one that a replay builds.
    Next,
    /// The one that was live before.
    Previous,
}

/// A secondary index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum IndexName {
    Gsi1,
    Gsi2,
    Gsi3,
}

/// A page of items. If it has a cursor, there may be more.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemsPage {
    items: Vec<StoredItem>,
    cursor: Option<String>,
}

/// An item as it is stored.
#[derive(Serialize, ToSchema)]
struct StoredItem {
    /// The partition key.
    #[schema(example = "ORDER#order-1001")]
    pk: String,
    /// The sort key.
    #[schema(example = "#META")]
    sk: String,
    /// Its keys in the indexes that have it.
    indexes: Vec<IndexKey>,
    /// The position of the event that wrote it last.
    version: i64,
    #[schema(value_type = Object)]
    item: Box<RawValue>,
}

/// The keys of an item in an index.
#[derive(Serialize, ToSchema)]
struct IndexKey {
    index: IndexName,
    pk: String,
    sk: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ItemsParameters {
    /// Which table; `live` if it is left out.
    #[param(value_type = Option<GenerationName>, inline)]
    generation: Option<String>,
    /// The partition key. Without it, the whole table is gone through in an order of the store's own.
    #[param(min_length = 1, example = "ORDER#order-1001")]
    pk: Option<String>,
    /// What the sort key begins with. It goes with `pk`.
    #[param(min_length = 1)]
    sk: Option<String>,
    /// The index whose keys these are. It goes with `pk`.
    #[param(value_type = Option<IndexName>, inline)]
    index: Option<String>,
    /// The most items of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
}

/// The read models
///
/// What the platform answers questions from, and which tables there are of each.
#[utoipa::path(
    get,
    path = "/read-models",
    tag = "operations",
    operation_id = "listReadModels",
    responses((status = 200, description = "All of them", body = ReadModelsPage))
)]
pub(crate) async fn read_models(State(reads): State<ReadRouteState>) -> Result<Json<ReadModelsPage>, Problem> {
    let mut items = Vec::new();
    for projection in REGISTRY {
        let mut generations = Vec::new();
        for generation in [GenerationName::Live, GenerationName::Next, GenerationName::Previous] {
            // A table that is not there says so when it is read.
            match reads.generation(projection.name, generation.into()).scan(None, 1).await {
                Ok(_) => generations.push(generation),
                Err(ReadModelStoreError::NoGeneration { .. }) => {}
                Err(error) => return Err(store_problem(error)),
            }
        }
        items.push(ReadModelView {
            projection: projection.name,
            follows: projection.follows.stream_type(),
            generations,
        });
    }
    Ok(Json(ReadModelsPage { items }))
}

/// The items of a read model
///
/// As they are stored, for those who look for why an answer is as it is: those of a partition key, of a partition of an index, or all.
#[utoipa::path(
    get,
    path = "/read-models/{projection}/items",
    tag = "operations",
    operation_id = "listReadModelItems",
    params(("projection" = String, Path, description = "The name of a projection", example = "orders"), ItemsParameters),
    responses(
        (status = 200, description = "A page of items", body = ItemsPage),
        (status = 404, description = "There is no such read model, or no such generation of it"),
    )
)]
pub(crate) async fn items(
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<ItemsParameters>, Problem>,
) -> Result<Json<ItemsPage>, Problem> {
    let projection = projection(path.ok().map(|Path(name)| name).as_deref())?;
    let request = parameters?.0.parse()?;
    let table = reads.generation(projection.name, request.generation.into());
    let (items, cursor) = match &request.pk {
        None => all(table, &request).await?,
        Some(pk) => of_partition(table, projection, pk, &request).await?,
    };
    Ok(Json(ItemsPage { items: items.into_iter().map(StoredItem::from).collect(), cursor }))
}

/// A projection by its name.
fn projection(name: Option<&str>) -> Result<&'static ProjectionDefinition, Problem> {
    let known = REGISTRY.iter().find(|projection| Some(projection.name) == name);
    known.ok_or_else(|| Problem::not_found("there is no such read model"))
}

struct ItemsRequest {
    generation: GenerationName,
    pk: Option<String>,
    sk: Option<String>,
    index: Option<IndexName>,
    limit: u16,
    cursor: Option<String>,
}

impl ItemsParameters {
    fn parse(self) -> Result<ItemsRequest, Problem> {
        let mut errors = ParameterErrors::default();
        let generation = errors.parse("generation", self.generation, one_of).unwrap_or(GenerationName::Live);
        let index = errors.parse("index", self.index, one_of);
        let pk = errors.parse("pk", self.pk, key);
        let sk = errors.parse("sk", self.sk, key);
        if pk.is_none() {
            for (name, is_given) in [("sk", sk.is_some()), ("index", index.is_some())] {
                if is_given {
                    errors.add("pk", format!("is required with {name}"));
                }
            }
        }
        let limit = errors.page_limit(self.limit);
        errors.into_result()?;
        Ok(ItemsRequest { generation, pk, sk, index, limit, cursor: self.cursor })
    }
}

/// A text that an item's key can have.
fn key(text: String) -> Result<String, String> {
    let is_one = (1..=LONGEST_KEY).contains(&text.len()) && text.chars().all(|character| character > '\u{1}');
    if is_one { Ok(text) } else { Err(format!("must be 1 to {LONGEST_KEY} bytes, without U+0000 and U+0001")) }
}

async fn of_partition(
    table: &dyn GenerationTable,
    projection: &ProjectionDefinition,
    pk: &str,
    request: &ItemsRequest,
) -> Result<(Vec<Item>, Option<String>), Problem> {
    let generation = Generation::from(request.generation);
    let index = request.index.map(Index::from);
    let name = format!("{} {generation} {} {pk} {:?}", projection.name, index.map_or("", Index::name), request.sk);
    let (partitions, until) = ([pk.to_owned()], request.sk.as_ref().map(|prefix| format!("{prefix}{}", char::MAX)));
    let query = Query {
        name: &name,
        scope: index.map_or(QueryScope::Collection(pk), |index| QueryScope::Index(index, &partitions)),
        from: request.sk.as_deref(),
        until: until.as_deref(),
        order: SortOrder::Ascending,
        limit: request.limit,
        cursor: request.cursor.as_deref(),
    };
    let page = table.query(&query).await.map_err(|error| match error {
        read_models::QueryError::Store(error) => of_table(error),
        error @ read_models::QueryError::Cursor(_) => page_problem(error),
    })?;
    let mut items = page.items;
    let is_cut = keep_what_fits(&mut items);
    let cursor = if is_cut { items.last().map(|last| query.cursor_at(last)) } else { page.cursor };
    Ok((items, cursor))
}

async fn all(table: &dyn GenerationTable, request: &ItemsRequest) -> Result<(Vec<Item>, Option<String>), Problem> {
    let mut errors = ParameterErrors::default();
    let after = errors.parse("cursor", request.cursor.clone(), after);
    errors.into_result()?;
    let page = table.scan(after.as_ref(), request.limit).await.map_err(of_table)?;
    let mut items = page.items;
    let is_cut = keep_what_fits(&mut items);
    let next = if is_cut { items.last().map(|last| last.key.clone()) } else { page.after };
    Ok((items, next.map(|key| URL_SAFE_NO_PAD.encode(serde_json::json!([key.pk, key.sk]).to_string()))))
}

/// The key in the cursor of a whole table.
fn after(cursor: String) -> Result<Key, &'static str> {
    const WANTED: &str = "must be the cursor of an earlier answer";
    let decoded = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| WANTED)?;
    let (pk, sk): (String, String) = serde_json::from_slice(&decoded).map_err(|_| WANTED)?;
    Ok(Key::new(key(pk).map_err(|_| WANTED)?, key(sk).map_err(|_| WANTED)?))
}

/// Leaves what is too much for a page, but for the first item. Whether there was such.
fn keep_what_fits(items: &mut Vec<Item>) -> bool {
    let mut budget = bounds::Budget::of(usize::MAX).with_bytes(MAX_BYTES);
    let fit = items.iter().take_while(|item| budget.take(item.size())).count();
    let is_cut = fit < items.len();
    items.truncate(fit);
    is_cut
}

fn of_table(error: ReadModelStoreError) -> Problem {
    match error {
        ReadModelStoreError::NoGeneration { .. } => Problem::not_found(error.to_string()),
        error @ (ReadModelStoreError::Database(_)
        | ReadModelStoreError::Conflict(_)
        | ReadModelStoreError::Refused { .. }
        | ReadModelStoreError::Remote(_)) => store_problem(error),
    }
}

impl From<Item> for StoredItem {
    fn from(item: Item) -> Self {
        let keys = [IndexName::Gsi1, IndexName::Gsi2, IndexName::Gsi3].into_iter().zip(item.index_keys);
        let indexes = keys.filter_map(|(index, key)| key.map(|Key { pk, sk }| IndexKey { index, pk, sk }));
        Self { indexes: indexes.collect(), pk: item.key.pk, sk: item.key.sk, version: item.version, item: item.body }
    }
}

impl From<GenerationName> for Generation {
    fn from(name: GenerationName) -> Self {
        match name {
            GenerationName::Live => Self::Live,
            GenerationName::Next => Self::Next,
            GenerationName::Previous => Self::Previous,
        }
    }
}

impl From<IndexName> for Index {
    fn from(name: IndexName) -> Self {
        match name {
            IndexName::Gsi1 => Self::Gsi1,
            IndexName::Gsi2 => Self::Gsi2,
            IndexName::Gsi3 => Self::Gsi3,
        }
    }
}
