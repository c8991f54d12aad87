//! The stock of each tracked SKU: `GET /stock/{sku}`, `GET /stock`.
//!
//! | item | pk | sk | gsi1 |
//! |---|---|---|---|
//! | the SKU | `STOCK#sku` | `#META` | `STOCK#shard` / `sku` |

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::ids::{LocationId, Sku};
use domain::quantity::{Quantity, UnitOfMeasure};
use domain::stock::{BackorderLimitSet, Stock, StockEvent};
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use read_models::{Index, Key, Query, QueryScope, SortOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::described;
use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::keys::{sharded, shards};
use crate::parameters::ParameterErrors;
use crate::projection::{FollowedStreams, ProjectionDefinition, ProjectionFold};
use crate::reads::{MinPositionQuery, ReadRouteState, page_problem, parse_sku, store_problem, with_etag};

pub(crate) const PROJECTION: ProjectionDefinition = ProjectionDefinition {
    name: "stock",
    follows: FollowedStreams::Stock(ProjectionFold { head: key, handles: |_| true, keys_to_load, fold }),
    routes,
};

type RecordedStockEvent = crate::projection::DecodedEvent<Stock>;

/// A tracked SKU, as stored. Quantities are pieces, or thousandths of the unit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockRow {
    sku: String,
    /// Units in the warehouse.
    on_hand: i64,
    /// Units of those that orders have reserved.
    reserved: i64,
    /// Units sent so far.
    sold: i64,
    /// The units at named locations. Those that are not here are at the default one. One that has none is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<UnitOfMeasure>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    named: BTreeMap<LocationId, UnitsRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backorder: Option<BackorderLimitSet>,
    version: i64,
    updated_at: DateTime<Utc>,
}

/// The units of a SKU at a location, as stored.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnitsRow {
    on_hand: i64,
    reserved: i64,
}

/// A tracked SKU, as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = TrackedSku)]
#[serde(rename_all = "camelCase")]
struct StockView {
    sku: String,
    /// How much is in the warehouse.
    on_hand: Quantity,
    /// How much orders have reserved.
    reserved: Quantity,
    /// How much was sent so far.
    sold: Quantity,
    /// The unit of measure in which the SKU is counted. It is left out of one that is counted by the piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit: Option<UnitOfMeasure>,
    version: i64,
    updated_at: DateTime<Utc>,
    /// The units at each location that has any, the default one first. It is left out while all are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    locations: Vec<LocationView>,
    /// How many units may be sold before they are on hand. It is left out of a SKU of which there may be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    backorder: Option<BackorderLimitView>,
    /// Whether its units are counted: here they are.
    #[schema(schema_with = described::yes)]
    tracked: bool,
    /// `onHand` less `reserved`. It is negative if orders wait for units.
    available: Quantity,
}

/// How many units of a SKU may be sold before they are on hand.
#[derive(Serialize, ToSchema)]
#[schema(as = SkuBackorder)]
#[serde(rename_all = "camelCase")]
struct BackorderLimitView {
    /// How many may wait at the same time.
    limit: Quantity,
    /// When they are expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    available_at: Option<DateTime<Utc>>,
    /// Where they are expected.
    location: String,
}

/// The units of a SKU at a location.
#[derive(Serialize, ToSchema)]
#[schema(as = StockAtLocation)]
#[serde(rename_all = "camelCase")]
struct LocationView {
    location: String,
    /// How much is there.
    on_hand: Quantity,
    /// How much of that orders have reserved.
    reserved: Quantity,
    /// What can be reserved there: `onHand` less `reserved`.
    available: Quantity,
}

/// A SKU without stock events: it is always available.
#[derive(Serialize, ToSchema)]
#[schema(as = UntrackedSku)]
struct UntrackedView<'a> {
    sku: &'a str,
    /// Whether its units are counted: here they are not.
    #[schema(schema_with = described::no)]
    tracked: bool,
}

/// A SKU, tracked or not.
#[derive(ToSchema)]
#[schema(as = Sku)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is described, and never made")]
enum SkuSchema<'a> {
    Tracked(StockView),
    Untracked(UntrackedView<'a>),
}

/// The name of the index partitions that have all SKUs.
const ALL: &str = "STOCK";

/// A SKU of ASCII has 128 bytes at the most, and one of 3 bytes a character 384.
const MAX_SORT_KEY_BYTES: usize = 400;

fn key(sku: &str) -> Key {
    Key::new(format!("STOCK#{sku}"), "#META")
}

/// What a SKU is sorted by among all. The key of an index has no room for the longest SKU twice: one that is cut comes in the order of its
/// item's own key, which has all of it.
fn sort_key(sku: &str) -> &str {
    &sku[..sku.floor_char_boundary(MAX_SORT_KEY_BYTES)]
}

/// A SKU has only one item.
fn keys_to_load(_fact: &RecordedStockEvent) -> Vec<Key> {
    vec![]
}

fn fold(items: &mut FoldWorkingSet, recorded: &RecordedStockEvent) -> Result<(), FoldError> {
    let key = key(&recorded.stream_id);
    let mut stock = match (items.take::<StockRow>(&key)?, &recorded.event) {
        (Some(stock), _) => stock,
        (None, StockEvent::StockReceived(received)) => StockRow { unit: received.unit, ..StockRow::empty(recorded) },
        (
            None,
            StockEvent::StockAdjusted(_)
            | StockEvent::StockReturned(_)
            | StockEvent::StockTransferred(_)
            | StockEvent::BackorderLimitSet(_)
            | StockEvent::ReservationMade(_)
            | StockEvent::ReservationIncreased(_)
            | StockEvent::ReservationReleased(_)
            | StockEvent::ReservationCommitted(_),
        ) => return Err(FoldError::MissingItem { position: recorded.position, key }),
    };
    stock.apply(&recorded.event);
    stock.version = recorded.version;
    stock.updated_at = recorded.recorded_at;
    let by_sku = Key::new(sharded(ALL, &recorded.stream_id), sort_key(&recorded.stream_id));
    items.put(key, [Some(by_sku), None, None], recorded.position, stock);
    Ok(())
}

impl StockRow {
    fn empty(recorded: &RecordedStockEvent) -> Self {
        let sku = recorded.stream_id.clone();
        let (version, updated_at) = (recorded.version, recorded.recorded_at);
        Self {
            sku,
            on_hand: 0,
            reserved: 0,
            sold: 0,
            unit: None,
            named: BTreeMap::new(),
            backorder: None,
            version,
            updated_at,
        }
    }

    fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::StockReceived(it) => self.change(&it.location, it.quantity.into(), 0),
            StockEvent::StockAdjusted(it) => self.change(&it.location, it.delta, 0),
            StockEvent::StockReturned(it) => self.change(&it.location, it.quantity.into(), 0),
            StockEvent::StockTransferred(it) => {
                self.change(&it.from, -i64::from(it.quantity), 0);
                self.change(&it.to, it.quantity.into(), 0);
            }
            StockEvent::BackorderLimitSet(it) => self.backorder = (it.limit > 0).then(|| it.clone()),
            StockEvent::ReservationMade(it) => self.change(&it.location, 0, it.quantity.into()),
            StockEvent::ReservationIncreased(it) => self.change(&it.location, 0, it.quantity.into()),
            StockEvent::ReservationReleased(it) => self.change(&it.location, 0, -i64::from(it.quantity)),
            StockEvent::ReservationCommitted(it) => {
                let quantity = i64::from(it.quantity);
                self.change(&it.location, -quantity, -quantity);
                self.sold += quantity;
            }
        }
    }

    fn change(&mut self, location: &LocationId, on_hand: i64, reserved: i64) {
        self.on_hand += on_hand;
        self.reserved += reserved;
        if location.is_default() {
            return;
        }
        let here = self.named.entry(location.clone()).or_default();
        here.on_hand += on_hand;
        here.reserved += reserved;
        if *here == UnitsRow::default() {
            self.named.remove(location);
        }
    }
}

fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(stock)).routes(routes!(all))
}

/// A page of SKUs. If it has a cursor, there may be more.
#[derive(Serialize, ToSchema)]
pub(crate) struct StockPage {
    items: Vec<StockView>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StockParameters {
    /// The most SKUs of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
    /// Waits until the view has passed this position of the log.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// A SKU's stock
#[utoipa::path(
    get,
    path = "/stock/{sku}",
    tag = "stock",
    operation_id = "getStock",
    params(
        ("sku" = inline(Sku), Path, description = "The SKU", example = "sku-123"),
        MinPositionQuery,
        ("If-Match" = Option<String>, Header, description = "Answered only while the SKU has this `ETag`"),
    ),
    responses(
        (status = 200, description = "The SKU", body = SkuSchema, headers(("ETag" = String, description = "The SKU's version"))),
        (status = 404, description = "That can be no SKU"),
        (status = 412, description = "It is at another version"),
    )
)]
async fn stock(
    State(reads): State<ReadRouteState>,
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

/// All tracked SKUs, by name
#[utoipa::path(
    get,
    path = "/stock",
    tag = "stock",
    operation_id = "listStock",
    params(StockParameters),
    responses((status = 200, description = "A page of SKUs", body = StockPage))
)]
pub(crate) async fn all(
    State(reads): State<ReadRouteState>,
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
        let StockRow { sku, on_hand, reserved, sold, unit, named, backorder, version, updated_at } = item;
        let mut at_default = UnitsRow { on_hand, reserved };
        for here in named.values() {
            at_default.on_hand -= here.on_hand;
            at_default.reserved -= here.reserved;
        }
        let mut locations: Vec<_> =
            named.iter().map(|(location, here)| LocationView::of(location, *here, unit)).collect();
        if !locations.is_empty() && at_default != UnitsRow::default() {
            locations.insert(0, LocationView::of(&LocationId::default(), at_default, unit));
        }
        let [on_hand, reserved, sold, available] =
            [on_hand, reserved, sold, on_hand - reserved].map(|count| Quantity::of(count, unit));
        let backorder = backorder.map(|it| BackorderLimitView {
            limit: Quantity::of(it.limit, unit),
            available_at: it.available_at,
            location: it.location.to_string(),
        });
        let tracked = true;
        Self { sku, on_hand, reserved, sold, unit, version, updated_at, locations, backorder, tracked, available }
    }
}

impl LocationView {
    fn of(location: &LocationId, UnitsRow { on_hand, reserved }: UnitsRow, unit: Option<UnitOfMeasure>) -> Self {
        let [on_hand, reserved, available] =
            [on_hand, reserved, on_hand - reserved].map(|count| Quantity::of(count, unit));
        Self { location: location.to_string(), on_hand, reserved, available }
    }
}
