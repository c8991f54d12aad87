//! What there is of a SKU, and which SKUs are counted: `GET /stock/{sku}`, `GET /stock`.
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
use read_models::{Index, Key, Order, Query, Within};
use serde::{Deserialize, Serialize};

use crate::items::Items;
use crate::keys::{sharded, shards};
use crate::parameters::Wrong;
use crate::projection::{Fold, FoldError, Follows, Projection};
use crate::reads::{ReadQuery, Reads, page_problem, sku, store_problem, versioned};

pub(crate) const PROJECTION: Projection =
    Projection { name: "stock", follows: Follows::Stock(Fold { head: key, concerns: |_| true, needs, fold }), routes };

type Fact = crate::projection::Fact<Stock>;

/// A SKU that is counted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockItem {
    sku: String,
    on_hand: i64,
    reserved: i64,
    sold: i64,
    version: i64,
    updated_at: DateTime<Utc>,
}

/// A SKU as answers have it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StockView {
    #[serde(flatten)]
    item: StockItem,
    tracked: bool,
    available: i64,
}

/// A SKU that nobody registered: always available.
#[derive(Serialize)]
struct UntrackedView<'a> {
    sku: &'a str,
    tracked: bool,
}

/// What the partitions are called that all SKUs are in.
const ALL: &str = "STOCK";

fn key(sku: &str) -> Key {
    Key::new(format!("STOCK#{sku}"), "#META")
}

/// There is one item only.
fn needs(_fact: &Fact) -> Vec<Key> {
    vec![]
}

fn fold(items: &mut Items, fact: &Fact) -> Result<(), FoldError> {
    let key = key(&fact.stream_id);
    let mut stock = match (items.take::<StockItem>(&key)?, &fact.event) {
        (Some(stock), _) => stock,
        (None, StockEvent::StockReceived(_)) => StockItem::nothing_yet(fact),
        (
            None,
            StockEvent::StockAdjusted(_)
            | StockEvent::ReservationMade(_)
            | StockEvent::ReservationReleased(_)
            | StockEvent::ReservationCommitted(_),
        ) => return Err(FoldError::Missing { position: fact.position, key }),
    };
    stock.change(&fact.event);
    stock.version = fact.version;
    stock.updated_at = fact.recorded_at;
    let by_sku = Key::new(sharded(ALL, &fact.stream_id), &fact.stream_id);
    items.put(key, [Some(by_sku), None, None], fact.position, stock);
    Ok(())
}

impl StockItem {
    fn nothing_yet(fact: &Fact) -> Self {
        let sku = fact.stream_id.clone();
        Self { sku, on_hand: 0, reserved: 0, sold: 0, version: fact.version, updated_at: fact.recorded_at }
    }

    fn change(&mut self, event: &StockEvent) {
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

fn routes() -> Router<Reads> {
    Router::new().route("/stock/{sku}", get(stock)).route("/stock", get(all))
}

/// Some SKUs. As long as there is a cursor there may be more.
#[derive(Serialize)]
struct StockPage {
    items: Vec<StockView>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StockQuery {
    limit: Option<i64>,
    cursor: Option<String>,
    min_position: Option<i64>,
}

async fn stock(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
    asked: Result<QueryParameters<ReadQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sku = sku(path)?;
    reads.wait_for(PROJECTION.name, asked?.0.min_position, &headers).await?;
    let found = reads.table(PROJECTION.name).find(&[key(sku.as_str())]).await.map_err(store_problem)?;
    let Some(item) = found.first() else {
        let untracked = UntrackedView { sku: sku.as_str(), tracked: false };
        return versioned(&headers, 0, untracked);
    };
    let item: StockItem = item.read().map_err(Problem::internal)?;
    versioned(&headers, item.version, StockView::of(item))
}

async fn all(
    State(reads): State<Reads>,
    asked: Result<QueryParameters<StockQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Json<StockPage>, Problem> {
    let asked = asked?.0;
    let mut wrong = Wrong::default();
    let limit = wrong.page_limit(asked.limit);
    wrong.none()?;
    reads.wait_for(PROJECTION.name, asked.min_position, &headers).await?;
    let query = Query {
        name: ALL,
        within: Within::Index(Index::Gsi1, &shards(ALL)),
        from: None,
        until: None,
        order: Order::Ascending,
        limit,
        cursor: asked.cursor.as_deref(),
    };
    let page = reads.table(PROJECTION.name).query(&query).await.map_err(page_problem)?;
    let items = page.items.iter().map(|item| item.read().map(StockView::of));
    Ok(Json(StockPage { items: items.collect::<Result<_, _>>().map_err(Problem::internal)?, cursor: page.cursor }))
}

impl StockView {
    fn of(item: StockItem) -> Self {
        Self { tracked: true, available: item.on_hand - item.reserved, item }
    }
}
