//! The stock of each tracked SKU: `GET /stock/{sku}`, `GET /stock`.
//!
//! | item | pk | sk | gsi1 |
//! |---|---|---|---|
//! | the SKU | `STOCK#sku` | `#META` | `STOCK#shard` / `sku` |

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use domain::stock::{Stock, StockEvent};
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use read_models::{Index, Key, Query, QueryScope, SortOrder};
use serde::{Deserialize, Serialize};

use crate::error::FoldError;
use crate::fold_context::FoldContext;
use crate::keys::{sharded, shards};
use crate::parameters::ParameterErrors;
use crate::projection::{FollowedStreams, ProjectionDefinition, ProjectionFold};
use crate::reads::{MinPositionQuery, ReadContext, page_problem, parse_sku, store_problem, with_etag};

pub(crate) const PROJECTION: ProjectionDefinition = ProjectionDefinition {
    name: "stock",
    follows: FollowedStreams::Stock(ProjectionFold { head: key, handles: |_| true, keys_to_load, fold }),
    routes,
};

type RecordedStockEvent = crate::projection::RecordedEvent<Stock>;

/// A tracked SKU, as stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockRow {
    sku: String,
    on_hand: i64,
    reserved: i64,
    sold: i64,
    version: i64,
    updated_at: DateTime<Utc>,
}

/// A tracked SKU, as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StockView {
    #[serde(flatten)]
    item: StockRow,
    tracked: bool,
    available: i64,
}

/// A SKU without stock events: it is always available.
#[derive(Serialize)]
struct UntrackedView<'a> {
    sku: &'a str,
    tracked: bool,
}

/// The name of the index partitions that have all SKUs.
const ALL: &str = "STOCK";

fn key(sku: &str) -> Key {
    Key::new(format!("STOCK#{sku}"), "#META")
}

/// A SKU has only one item.
fn keys_to_load(_fact: &RecordedStockEvent) -> Vec<Key> {
    vec![]
}

fn fold(items: &mut FoldContext, recorded: &RecordedStockEvent) -> Result<(), FoldError> {
    let key = key(&recorded.stream_id);
    let mut stock = match (items.take::<StockRow>(&key)?, &recorded.event) {
        (Some(stock), _) => stock,
        (None, StockEvent::StockReceived(_)) => StockRow::empty(recorded),
        (
            None,
            StockEvent::StockAdjusted(_)
            | StockEvent::ReservationMade(_)
            | StockEvent::ReservationReleased(_)
            | StockEvent::ReservationCommitted(_),
        ) => return Err(FoldError::MissingItem { position: recorded.position, key }),
    };
    stock.apply(&recorded.event);
    stock.version = recorded.version;
    stock.updated_at = recorded.recorded_at;
    let by_sku = Key::new(sharded(ALL, &recorded.stream_id), &recorded.stream_id);
    items.put(key, [Some(by_sku), None, None], recorded.position, stock);
    Ok(())
}

impl StockRow {
    fn empty(recorded: &RecordedStockEvent) -> Self {
        let sku = recorded.stream_id.clone();
        Self { sku, on_hand: 0, reserved: 0, sold: 0, version: recorded.version, updated_at: recorded.recorded_at }
    }

    fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::StockReceived(received) => self.on_hand += i64::from(received.quantity),
            StockEvent::StockAdjusted(adjusted) => self.on_hand += adjusted.delta,
            StockEvent::ReservationMade(made) => self.reserved += i64::from(made.quantity),
            StockEvent::ReservationReleased(released) => self.reserved -= i64::from(released.quantity),
            StockEvent::ReservationCommitted(committed) => {
                let quantity = i64::from(committed.quantity);
                self.reserved -= quantity;
                self.on_hand -= quantity;
                self.sold += quantity;
            }
        }
    }
}

fn routes() -> Router<ReadContext> {
    Router::new().route("/stock/{sku}", get(stock)).route("/stock", get(all))
}

/// A page of SKUs. If it has a cursor, there may be more.
#[derive(Serialize)]
struct StockPage {
    items: Vec<StockView>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StockParameters {
    limit: Option<i64>,
    cursor: Option<String>,
    min_position: Option<i64>,
}

async fn stock(
    State(reads): State<ReadContext>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<MinPositionQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sku = parse_sku(path)?;
    reads.wait_for_position(PROJECTION.name, parameters?.0.min_position, &headers).await?;
    let found = reads.table(PROJECTION.name).find(&[key(sku.as_str())]).await.map_err(store_problem)?;
    let Some(item) = found.first() else {
        let untracked = UntrackedView { sku: sku.as_str(), tracked: false };
        return with_etag(&headers, 0, untracked);
    };
    let item: StockRow = item.read().map_err(Problem::internal)?;
    with_etag(&headers, item.version, StockView::of(item))
}

async fn all(
    State(reads): State<ReadContext>,
    parameters: Result<QueryParameters<StockParameters>, Problem>,
    headers: HeaderMap,
) -> Result<Json<StockPage>, Problem> {
    let parameters = parameters?.0;
    let mut errors = ParameterErrors::default();
    let limit = errors.page_limit(parameters.limit);
    errors.into_result()?;
    reads.wait_for_position(PROJECTION.name, parameters.min_position, &headers).await?;
    let query = Query {
        name: ALL,
        scope: QueryScope::Index(Index::Gsi1, &shards(ALL)),
        from: None,
        until: None,
        order: SortOrder::Ascending,
        limit,
        cursor: parameters.cursor.as_deref(),
    };
    let page = reads.table(PROJECTION.name).query(&query).await.map_err(page_problem)?;
    let items = page.items.iter().map(|item| item.read().map(StockView::of));
    Ok(Json(StockPage { items: items.collect::<Result<_, _>>().map_err(Problem::internal)?, cursor: page.cursor }))
}

impl StockView {
    fn of(item: StockRow) -> Self {
        Self { tracked: true, available: item.on_hand - item.reserved, item }
    }
}
