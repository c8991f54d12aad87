//! The stock of a SKU: its state, the commands it takes, the events that come of them.
//!
//! A SKU that nobody registered is untracked: it is always available, and has no events. The first receipt makes it tracked. From then
//! on it never sells more than there is.

mod event;
mod parse;

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use event_versions::{Snapshotted, Upcast, Upcastable};
use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

pub use event::{
    ReservationCommitted, ReservationMade, ReservationReleased, StockAdjusted, StockEvent, StockReceived, StockReturned,
};
pub use parse::{parse_adjustment, parse_receipt};

use crate::ids::OrderId;

/// The most units of one receipt or one adjustment.
pub(crate) const MAX_CHANGE: u32 = 1_000_000_000;
/// The most units of a SKU. The number is exact in every JSON reader, and sums of it fit.
pub(crate) const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// A command to the stock of a SKU.
#[derive(Debug, Clone, PartialEq)]
pub enum StockCommand {
    /// Add units that came in. The SKU is tracked from then on.
    Receive(StockReceived),
    /// Correct the count.
    Adjust(StockAdjusted),
    /// Put units back that had been sent and came back.
    PutBack(StockReturned),
    /// Reserve units for an order. An order has one reservation of a SKU, and a second command does not change it.
    Reserve(ReservationMade),
    /// Release the units of a reservation that have not shipped.
    Release {
        /// Whose reservation.
        order_id: OrderId,
    },
    /// Release the units of a reservation that the order does not need any more. It can be repeated.
    ReleaseBeyond {
        /// Whose reservation.
        order_id: OrderId,
        /// How many units that have not shipped the order still needs.
        needed: u32,
    },
    /// Take units that shipped out of the reservation and out of the stock.
    Commit {
        /// Whose reservation.
        order_id: OrderId,
        /// How many units have shipped to this order so far, in all. So the command can be repeated.
        shipped: u32,
    },
}

/// Why the stock refuses a command. Each states the fact that stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// Fewer units are available than are to be reserved.
    #[error("only {available} are available")]
    NotEnough {
        /// How many are available.
        available: i64,
    },
    /// The count would fall below the reservations.
    #[error("{reserved} are reserved for orders: the count can't be lower")]
    BelowReserved {
        /// How many units are reserved.
        reserved: i64,
    },
    /// There is no count to correct.
    #[error("this SKU is not tracked: receive it first")]
    NotTracked,
    /// An adjustment by 0.
    #[error("an adjustment must change the count")]
    ChangesNothing,
    /// A receipt of 0, or a change beyond `MAX_CHANGE`.
    #[error("one change is 1 to {MAX_CHANGE} units")]
    OutOfBounds,
    /// There would be more than `MAX_ON_HAND`.
    #[error("there can be at most {MAX_ON_HAND} of a SKU")]
    TooMany,
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
pub struct TrackedStock {
    /// How many units there are, including the reserved ones.
    pub on_hand: i64,
    /// How many of them are reserved: the sum of the reservations.
    pub reserved: i64,
    /// How many units have shipped since the SKU is tracked.
    pub sold: i64,
    /// The reservations by order. An empty one is removed. Clones share their common parts, because many commands are decided on a
    /// clone at once.
    pub reservations: RedBlackTreeMapSync<OrderId, Reservation>,
}

/// The units that are reserved for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How many units are still reserved, at least one.
    pub quantity: u32,
    /// How many have shipped.
    pub shipped: u32,
    /// When it runs out. The stock does not release it by itself: the saga that made it does.
    pub expires_at: DateTime<Utc>,
}

impl TrackedStock {
    /// How many units can be reserved.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The events that a command leads to. There are none if it changes nothing. So a command for an order can be repeated.
///
/// An untracked SKU has no reservations. What was sold before it was tracked never reduces its count.
pub fn decide(stock: &Stock, command: StockCommand) -> Result<Vec<StockEvent>, StockError> {
    match (stock, command) {
        (_, StockCommand::Receive(receipt)) => receive(stock, receipt),
        (Stock::Untracked, StockCommand::Adjust(_)) => Err(StockError::NotTracked),
        (
            Stock::Untracked,
            StockCommand::PutBack(_)
            | StockCommand::Reserve(_)
            | StockCommand::Release { .. }
            | StockCommand::ReleaseBeyond { .. }
            | StockCommand::Commit { .. },
        ) => Ok(vec![]),
        (Stock::Tracked(tracked), StockCommand::PutBack(returned)) => put_back(tracked, returned),
        (Stock::Tracked(tracked), StockCommand::Adjust(adjustment)) => adjust(tracked, adjustment),
        (Stock::Tracked(tracked), StockCommand::Reserve(wanted)) => reserve(tracked, wanted),
        (Stock::Tracked(tracked), StockCommand::Release { order_id }) => Ok(release(tracked, order_id, 0)),
        (Stock::Tracked(tracked), StockCommand::ReleaseBeyond { order_id, needed }) => {
            Ok(release(tracked, order_id, needed))
        }
        (Stock::Tracked(tracked), StockCommand::Commit { order_id, shipped }) => commit(tracked, order_id, shipped),
    }
}

fn receive(stock: &Stock, receipt: StockReceived) -> Result<Vec<StockEvent>, StockError> {
    let on_hand = match stock {
        Stock::Untracked => 0,
        Stock::Tracked(tracked) => tracked.on_hand,
    };
    if !(1..=MAX_CHANGE).contains(&receipt.quantity) {
        return Err(StockError::OutOfBounds);
    }
    if on_hand.saturating_add(receipt.quantity.into()) > MAX_ON_HAND {
        return Err(StockError::TooMany);
    }
    Ok(vec![StockEvent::StockReceived(receipt)])
}

fn adjust(tracked: &TrackedStock, adjustment: StockAdjusted) -> Result<Vec<StockEvent>, StockError> {
    let delta = adjustment.delta;
    if delta == 0 {
        return Err(StockError::ChangesNothing);
    }
    if delta.unsigned_abs() > MAX_CHANGE.into() {
        return Err(StockError::OutOfBounds);
    }
    let on_hand = tracked.on_hand.saturating_add(delta);
    if on_hand < tracked.reserved {
        return Err(StockError::BelowReserved { reserved: tracked.reserved });
    }
    if on_hand > MAX_ON_HAND {
        return Err(StockError::TooMany);
    }
    Ok(vec![StockEvent::StockAdjusted(adjustment)])
}

fn put_back(tracked: &TrackedStock, returned: StockReturned) -> Result<Vec<StockEvent>, StockError> {
    if returned.quantity == 0 {
        return Ok(vec![]);
    }
    if tracked.on_hand.saturating_add(returned.quantity.into()) > MAX_ON_HAND {
        return Err(StockError::TooMany);
    }
    Ok(vec![StockEvent::StockReturned(returned)])
}

fn reserve(tracked: &TrackedStock, wanted: ReservationMade) -> Result<Vec<StockEvent>, StockError> {
    if wanted.quantity == 0 || tracked.reservations.contains_key(&wanted.order_id) {
        return Ok(vec![]);
    }
    if i64::from(wanted.quantity) > tracked.available() {
        return Err(StockError::NotEnough { available: tracked.available() });
    }
    Ok(vec![StockEvent::ReservationMade(wanted)])
}

fn release(tracked: &TrackedStock, order_id: OrderId, needed: u32) -> Vec<StockEvent> {
    let open = tracked.reservations.get(&order_id).map_or(0, |reservation| reservation.quantity);
    let released = match open.saturating_sub(needed) {
        0 => None,
        quantity => Some(StockEvent::ReservationReleased(ReservationReleased { order_id, quantity })),
    };
    released.into_iter().collect()
}

fn commit(tracked: &TrackedStock, order_id: OrderId, shipped: u32) -> Result<Vec<StockEvent>, StockError> {
    let Some(reservation) = tracked.reservations.get(&order_id) else { return Ok(vec![]) };
    let quantity = shipped.saturating_sub(reservation.shipped);
    if quantity > reservation.quantity {
        return Err(StockError::MoreThanReserved { reserved: reservation.quantity });
    }
    Ok(match quantity {
        0 => vec![],
        quantity => vec![StockEvent::ReservationCommitted(ReservationCommitted { order_id, quantity })],
    })
}

/// Applies an event to the stock. An event that [`decide`] would not have made changes as much as there is to change.
pub fn evolve(stock: &mut Stock, event: StockEvent) {
    if let (Stock::Untracked, StockEvent::StockReceived(_)) = (&*stock, &event) {
        *stock = Stock::Tracked(TrackedStock::default());
    }
    match (stock, event) {
        (Stock::Tracked(tracked), StockEvent::StockReceived(StockReceived { quantity })) => {
            tracked.on_hand = tracked.on_hand.saturating_add(quantity.into());
        }
        (Stock::Tracked(tracked), StockEvent::StockAdjusted(StockAdjusted { delta, reason: _ })) => {
            tracked.on_hand = tracked.on_hand.saturating_add(delta);
        }
        (Stock::Tracked(tracked), StockEvent::StockReturned(StockReturned { quantity, order_id: _, return_id: _ })) => {
            tracked.on_hand = tracked.on_hand.saturating_add(quantity.into());
        }
        (Stock::Tracked(tracked), StockEvent::ReservationMade(ReservationMade { order_id, quantity, expires_at })) => {
            let made = Reservation { quantity, shipped: 0, expires_at };
            let before = tracked.reservations.get(&order_id).map_or(0, |before| before.quantity.into());
            tracked.reservations.insert_mut(order_id, made);
            tracked.reserved += i64::from(quantity) - before;
        }
        (Stock::Tracked(tracked), StockEvent::ReservationReleased(ReservationReleased { order_id, quantity })) => {
            tracked.take_reserved(&order_id, quantity);
        }
        (Stock::Tracked(tracked), StockEvent::ReservationCommitted(ReservationCommitted { order_id, quantity })) => {
            let taken = tracked.take_reserved(&order_id, quantity);
            if let Some(reservation) = tracked.reservations.get_mut(&order_id) {
                reservation.shipped += taken;
            }
            tracked.on_hand -= i64::from(taken);
            tracked.sold += i64::from(taken);
        }
        (
            Stock::Untracked,
            StockEvent::StockReceived(_)
            | StockEvent::StockAdjusted(_)
            | StockEvent::StockReturned(_)
            | StockEvent::ReservationMade(_)
            | StockEvent::ReservationReleased(_)
            | StockEvent::ReservationCommitted(_),
        ) => {}
    }
}

impl TrackedStock {
    /// Takes up to so many units out of a reservation, and returns how many these were.
    fn take_reserved(&mut self, order_id: &OrderId, quantity: u32) -> u32 {
        let Some(reservation) = self.reservations.get_mut(order_id) else { return 0 };
        let taken = quantity.min(reservation.quantity);
        reservation.quantity -= taken;
        self.reserved -= i64::from(taken);
        if reservation.quantity == 0 {
            self.reservations.remove_mut(order_id);
        }
        taken
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
    const STATE_VERSION: i32 = 2;
}

#[cfg(test)]
mod tests;
