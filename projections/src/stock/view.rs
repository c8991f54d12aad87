//! A SKU as clients see it.

use chrono::{DateTime, Utc};
use domain::ids::{LocationId, Sku};
use domain::quantity::{Quantity, UnitOfMeasure};
use serde::Serialize;
use utoipa::ToSchema;

use super::{StockRow, UnitsRow};
use crate::described;

/// A tracked SKU, as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = TrackedSku)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockView {
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
    /// When it is low. It is left out of a SKU that never is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    low_stock: Option<LowStockView>,
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

/// When a SKU is low.
#[derive(Serialize, ToSchema)]
#[schema(as = SkuLowStock)]
#[serde(rename_all = "camelCase")]
struct LowStockView {
    /// It is low while `available` is less than this.
    threshold: Quantity,
    /// Whether it is.
    low: bool,
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
pub(crate) struct UntrackedView {
    sku: String,
    /// Whether its units are counted: here they are not.
    #[schema(schema_with = described::no)]
    tracked: bool,
}

/// A SKU, tracked or not.
#[derive(Serialize, ToSchema)]
#[schema(as = Sku)]
#[serde(untagged)]
pub(crate) enum SkuView {
    Tracked(Box<StockView>),
    Untracked(UntrackedView),
}

impl SkuView {
    /// `None`: it is not tracked.
    pub(super) fn of(sku: &Sku, item: Option<StockRow>) -> Self {
        match item {
            Some(item) => Self::Tracked(Box::new(StockView::of(item))),
            None => Self::Untracked(UntrackedView { sku: sku.to_string(), tracked: false }),
        }
    }

    pub(super) fn version(&self) -> i64 {
        match self {
            Self::Tracked(sku) => sku.version,
            Self::Untracked(_) => 0,
        }
    }
}

impl StockView {
    pub(super) fn of(item: StockRow) -> Self {
        let StockRow { sku, on_hand, reserved, sold, unit, named, backorder, low_stock, version, updated_at } = item;
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
        let low_stock =
            low_stock.map(|it| LowStockView { threshold: Quantity::of(it.threshold, unit), low: it.is_low });
        Self {
            sku,
            on_hand,
            reserved,
            sold,
            unit,
            version,
            updated_at,
            locations,
            backorder,
            low_stock,
            tracked: true,
            available,
        }
    }
}

impl LocationView {
    fn of(location: &LocationId, UnitsRow { on_hand, reserved }: UnitsRow, unit: Option<UnitOfMeasure>) -> Self {
        let [on_hand, reserved, available] =
            [on_hand, reserved, on_hand - reserved].map(|count| Quantity::of(count, unit));
        Self { location: location.to_string(), on_hand, reserved, available }
    }
}
