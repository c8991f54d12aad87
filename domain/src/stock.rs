//! The stock of a SKU: its state, the commands it takes, the events that come of them.
//!
//! A SKU that nobody registered is untracked: it is always available, and has no events. The first receipt makes it tracked. From then
//! on it never sells more than there is, at any of its locations.

mod decide;
mod event;
mod evolve;
mod parse;
mod reservations;
mod stored;

use chrono::{DateTime, SecondsFormat, Utc};
use cqrs_es::event_sink::EventSink;
use event_versions::{Snapshotted, Upcast, Upcastable};
use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

pub use decide::decide;
pub use event::{
    BackorderLimitSet, LowStockThresholdSet, ReservationCommitted, ReservationIncreased, ReservationMade,
    ReservationReleased, StockAdjusted, StockEvent, StockRanLow, StockReceived, StockRecovered, StockReturned,
    StockTransferred,
};
pub use evolve::evolve;
pub use parse::{parse_adjustment, parse_backorder, parse_low_stock, parse_receipt, parse_transfer};
pub use reservations::ServedReservation;

use crate::ids::{LocationId, OrderId};
use crate::quantity::{Quantity, UnitOfMeasure};

/// The most units of one receipt or one adjustment.
pub(crate) const MAX_CHANGE: u32 = 1_000_000_000;
/// The most units of a SKU. The number is exact in every JSON reader, and sums of it fit.
pub(crate) const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// The most locations with units of one SKU.
pub const MAX_LOCATIONS: usize = 100;

/// A command to the stock of a SKU.
#[derive(Debug, Clone, PartialEq)]
pub enum StockCommand {
    /// Add units that came in. The SKU is tracked from then on.
    Receive(StockReceived),
    /// Correct the count.
    Adjust(StockAdjusted),
    /// Move units that are not reserved to another location.
    Transfer(StockTransferred),
    /// Say how many units may be promised that are not on hand.
    SetBackorderLimit(BackorderLimitSet),
    /// Say below how many available units the SKU is low.
    SetLowStockThreshold(LowStockThresholdSet),
    /// Put units back that had been sent and came back.
    PutBack(StockReturned),
    /// Reserve units for an order. An order has one reservation of a SKU at a location, and a second command does not change it.
    Reserve(ReservationMade),
    /// Reserve more units for an order that was changed. It can be repeated.
    ReserveMore {
        /// For which order.
        order_id: OrderId,
        /// Where.
        location: LocationId,
        /// How many units that have not shipped the order needs from there in all.
        needed: u32,
        /// How many have shipped to it from there so far, if it has no reservation any more.
        shipped: u32,
        /// Until when, if it has no reservation any more.
        expires_at: DateTime<Utc>,
        /// The unit of measure in which the order has the SKU; `None`: by the piece.
        unit: Option<UnitOfMeasure>,
    },
    /// Release the units of an order's reservations that have not shipped, at all locations.
    Release {
        /// Whose reservations.
        order_id: OrderId,
    },
    /// Release the units of a reservation that the order does not need any more. It can be repeated.
    ReleaseBeyond {
        /// Whose reservation.
        order_id: OrderId,
        /// Where.
        location: LocationId,
        /// How many units that have not shipped the order still needs.
        needed: u32,
    },
    /// Make sure that what has shipped is on hand. It changes nothing.
    CheckOnHand {
        /// Whose reservation.
        order_id: OrderId,
        /// From where.
        location: LocationId,
        /// How many units have shipped from there to this order so far, in all.
        shipped: u32,
    },
    /// Take units that shipped out of the reservation and out of the stock.
    Commit {
        /// Whose reservation.
        order_id: OrderId,
        /// From where.
        location: LocationId,
        /// How many units have shipped from there to this order so far, in all. So the command can be repeated.
        shipped: u32,
    },
}

impl StockCommand {
    /// From which named location it takes units; `None`: from the default one, or it takes none.
    pub fn takes_from(&self) -> Option<&LocationId> {
        let from = match self {
            Self::Adjust(it) => &it.location,
            Self::Transfer(it) => &it.from,
            Self::Reserve(it) => &it.location,
            Self::ReserveMore { location, .. } => location,
            Self::Receive(_)
            | Self::SetBackorderLimit(_)
            | Self::SetLowStockThreshold(_)
            | Self::CheckOnHand { .. }
            | Self::PutBack(_)
            | Self::Release { .. }
            | Self::ReleaseBeyond { .. }
            | Self::Commit { .. } => return None,
        };
        (!from.is_default()).then_some(from)
    }
}

/// Why the stock refuses a command. Each states the fact that stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// Fewer units are available at the location than are to be reserved or moved.
    #[error("only {available} are available")]
    NotEnough {
        /// How many are available there.
        available: Quantity,
    },
    /// Some of the units that are to ship are not on hand yet.
    #[error("only {on_hand} of the units for this order are on hand{}", promised(*.available_at))]
    Backordered {
        /// How many are on hand for the order and have not shipped.
        on_hand: Quantity,
        /// When the others are expected.
        available_at: Option<DateTime<Utc>>,
    },
    /// The count would fall below the reservations.
    #[error("{}", below(reserved))]
    BelowReserved {
        /// How many units are reserved at the location.
        reserved: Quantity,
    },
    /// There is no count to correct.
    #[error("this SKU is not tracked: receive it first")]
    NotTracked,
    /// An adjustment by 0, or a transfer to where the units are.
    #[error("it must change a count")]
    ChangesNothing,
    /// A receipt of 0, or a change beyond `MAX_CHANGE`.
    #[error("one change is 1 to {MAX_CHANGE} units")]
    OutOfBounds,
    /// There would be more than `MAX_ON_HAND`.
    #[error("there can be at most {MAX_ON_HAND} of a SKU")]
    TooMany,
    /// It would be at more than `MAX_LOCATIONS`.
    #[error("a SKU can be at {MAX_LOCATIONS} locations at most: move its units away from one of them first")]
    TooManyLocations,
    /// The quantity is in another unit than the SKU's.
    #[error("the SKU is counted {}", counted(*.unit))]
    OtherUnit {
        /// The SKU's.
        unit: Option<UnitOfMeasure>,
    },
    /// More units are to ship than are reserved.
    #[error("only {reserved} are still reserved for this order")]
    MoreThanReserved {
        /// How many units are still reserved for the order.
        reserved: u32,
    },
}

/// The stock of a SKU, folded from its events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Stock {
    /// Nobody registered the SKU. It is always available.
    #[default]
    Untracked,
    /// The units are counted.
    Tracked(TrackedStock),
}

/// The stock of a tracked SKU. Its size is the number of its open reservations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "stored::StoredStock", into = "stored::StoredStock")]
pub struct TrackedStock {
    /// How many units there are, including the reserved ones: the sum over its locations.
    pub on_hand: i64,
    /// How many are reserved: the sum over its locations.
    pub reserved: i64,
    /// How many units have shipped since the SKU is tracked.
    pub sold: i64,
    /// The unit of measure in which it is counted; `None`: by the piece. All quantities are in thousandths of the unit.
    pub unit: Option<UnitOfMeasure>,
    /// How many units may be promised that are not on hand, and where they are expected; `None`: none.
    pub backorder: Option<BackorderLimitSet>,
    /// Below how many available units it is low; `None`: it never is.
    pub low_stock: Option<LowStock>,
    /// The locations that have units of it. Clones share their common parts, because many commands are decided on a clone at once.
    pub locations: RedBlackTreeMapSync<LocationId, LocationStock>,
}

/// Whether a SKU is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowStock {
    /// It is low while fewer units than this are available, at all locations together.
    pub threshold: u32,
    /// Whether it is, as its events say.
    pub is_low: bool,
}

/// The units of a SKU at one location.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LocationStock {
    /// How many units there are, including the reserved ones.
    pub on_hand: i64,
    /// How many are reserved: the sum of the reservations. It may be more than are on hand: the rest waits.
    pub reserved: i64,
    /// The last place that was given to a reservation that had to wait.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_place: u64,
    /// The reservations by order. An empty one is removed.
    pub reservations: RedBlackTreeMapSync<OrderId, Reservation>,
}

/// The units that are reserved for an order at a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How many units are still reserved, at least one.
    pub quantity: u32,
    /// How many have shipped.
    pub shipped: u32,
    /// When it runs out. The stock does not release it by itself: the saga that made it does.
    pub expires_at: DateTime<Utc>,
    /// Its place among those that had to wait for units, from 1; 0: all of its units were on hand when it was made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub place: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Until when units are promised, in words.
fn promised(available_at: Option<DateTime<Utc>>) -> String {
    let day = available_at
        .map(|at| format!("; the others are expected at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)));
    day.unwrap_or_else(|| "; the others are still to come".to_owned())
}

/// Why a count can't be so low, in words.
fn below(reserved: &Quantity) -> String {
    if reserved.is_zero() {
        return "there are fewer than that: the count can't be below 0".to_owned();
    }
    format!("{reserved} are reserved for orders: the count can't be lower")
}

/// How a SKU of a unit is counted, in words.
fn counted(unit: Option<UnitOfMeasure>) -> String {
    unit.map_or_else(|| "by the piece".to_owned(), |unit| format!("in {unit}"))
}

impl TrackedStock {
    /// How many units can be reserved, at all locations.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Whether fewer units are available than its threshold.
    fn is_below_threshold(&self) -> bool {
        self.low_stock.is_some_and(|it| self.available() < it.threshold.into())
    }

    /// How many units are there for new orders, at all locations. What orders wait for at one is not taken from another.
    pub(crate) fn sellable(&self) -> i64 {
        self.locations.values().map(|here| here.available().max(0)).sum()
    }

    /// How many units can be reserved at a location.
    pub(crate) fn available_at(&self, location: &LocationId) -> i64 {
        self.locations.get(location).map_or(0, LocationStock::available)
    }

    /// Where an order can reserve units of which some are not on hand, and how many of them are not; `None`: there may not be so many.
    pub(crate) fn backorder_of(&self, quantity: u32) -> Option<(&BackorderLimitSet, u32)> {
        let backorder = self.backorder.as_ref()?;
        let (wanted, available) = (i64::from(quantity), self.available_at(&backorder.location));
        let waiting = u32::try_from(wanted - available.max(0)).unwrap_or(0);
        (wanted <= available + self.backorder_limit_at(&backorder.location)).then_some((backorder, waiting))
    }

    /// How many units may be reserved at a location beyond those that are on hand. Those that wait at another one, where the units were
    /// expected before, count as well.
    fn backorder_limit_at(&self, location: &LocationId) -> i64 {
        let Some(backorder) = self.backorder.as_ref().filter(|backorder| backorder.location == *location) else {
            return 0;
        };
        let elsewhere = self.locations.iter().filter(|(other, _)| *other != location);
        let waiting: i64 = elsewhere.map(|(_, there)| (-there.available()).max(0)).sum();
        (i64::from(backorder.limit) - waiting).max(0)
    }

    /// An order's reservation at a location.
    fn reservation(&self, order_id: &OrderId, location: &LocationId) -> Option<&Reservation> {
        self.locations.get(location)?.reservations.get(order_id)
    }
}

impl LocationStock {
    /// How many units can be reserved here. It is negative if orders wait for units.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The stock as cqrs-es sees it: a shell that passes on to [`decide`] and [`evolve`].
impl cqrs_es::Aggregate for Stock {
    const TYPE: &'static str = "stock";
    type Command = StockCommand;
    type Event = StockEvent;
    type Error = StockError;
    type Services = ();

    async fn handle(&mut self, command: StockCommand, (): &(), sink: &EventSink<Self>) -> Result<(), StockError> {
        for event in decide(self, command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: StockEvent) {
        evolve(self, event);
    }
}

impl Upcastable for Stock {
    const UPCASTS: &'static [Upcast] = event::UPCASTS;
}

impl Snapshotted for Stock {
    const STATE_VERSION: i32 = 9;
}

#[cfg(test)]
mod tests;
