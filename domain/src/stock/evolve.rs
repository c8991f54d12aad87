//! What each event changes about the stock.

use super::{
    LocationStock, LowStock, Reservation, ReservationCommitted, ReservationIncreased, ReservationMade,
    ReservationReleased, Stock, StockAdjusted, StockEvent, StockReceived, StockReturned, StockTransferred,
    TrackedStock,
};
use crate::ids::{LocationId, OrderId};

/// Applies an event to the stock. An event that [`super::decide()`] would not have made changes as much as there is to change.
pub fn evolve(stock: &mut Stock, event: StockEvent) {
    if let (Stock::Untracked, StockEvent::StockReceived(received)) = (&*stock, &event) {
        *stock = Stock::Tracked(TrackedStock { unit: received.unit, ..TrackedStock::default() });
    }
    match stock {
        Stock::Tracked(tracked) => tracked.apply(event),
        Stock::Untracked => {}
    }
}

impl TrackedStock {
    fn apply(&mut self, event: StockEvent) {
        match event {
            StockEvent::StockReceived(StockReceived { quantity, location, unit: _ })
            | StockEvent::StockReturned(StockReturned { quantity, location, order_id: _, return_id: _, unit: _ }) => {
                self.change(&location, |here| here.add(quantity.into()));
            }
            StockEvent::StockAdjusted(StockAdjusted { delta, location, reason: _, unit: _ }) => {
                self.change(&location, |here| here.add(delta));
            }
            StockEvent::StockTransferred(StockTransferred { from, to, quantity, unit: _ }) => {
                let moved = self.change(&from, |here| here.remove(quantity.into()));
                self.change(&to, |here| here.add(moved));
            }
            StockEvent::BackorderLimitSet(set) => self.backorder = (set.limit > 0).then_some(set),
            StockEvent::LowStockThresholdSet(set) => {
                let is_low = self.low_stock.is_some_and(|before| before.is_low);
                self.low_stock = (set.threshold > 0).then_some(LowStock { threshold: set.threshold, is_low });
            }
            StockEvent::StockRanLow(_) => self.set_low(true),
            StockEvent::StockRecovered(_) => self.set_low(false),
            StockEvent::ReservationMade(ReservationMade { order_id, quantity, location, expires_at, unit: _ }) => {
                let made = Reservation { quantity, shipped: 0, expires_at, place: 0 };
                self.change(&location, |here| here.reserve(order_id, made));
            }
            StockEvent::ReservationIncreased(ReservationIncreased {
                order_id,
                quantity,
                shipped,
                expires_at,
                location,
            }) => {
                let more = Reservation { quantity, shipped, expires_at, place: 0 };
                self.change(&location, |here| here.reserve_more(order_id, more));
            }
            StockEvent::ReservationReleased(ReservationReleased { order_id, quantity, location }) => {
                self.change(&location, |here| {
                    here.take_reserved(&order_id, quantity);
                });
            }
            StockEvent::ReservationCommitted(ReservationCommitted { order_id, quantity, location }) => {
                let shipped = self.change(&location, |here| here.ship(&order_id, quantity));
                self.sold += i64::from(shipped);
            }
        }
    }

    fn set_low(&mut self, is_low: bool) {
        if let Some(low_stock) = &mut self.low_stock {
            low_stock.is_low = is_low;
        }
    }

    /// Changes the units at a location, and the sums. A location without units is removed.
    fn change<T: Default>(&mut self, location: &LocationId, change: impl FnOnce(&mut LocationStock) -> T) -> T {
        if !self.locations.contains_key(location) {
            self.locations.insert_mut(location.clone(), LocationStock::default());
        }
        let Some(here) = self.locations.get_mut(location) else { return T::default() };
        let before = (here.on_hand, here.reserved);
        let changed = change(here);
        self.on_hand = self.on_hand.saturating_add(here.on_hand.saturating_sub(before.0));
        self.reserved += here.reserved - before.1;
        if here.on_hand == 0 && here.reservations.is_empty() {
            self.locations.remove_mut(location);
        }
        changed
    }
}

impl LocationStock {
    fn add(&mut self, units: i64) {
        self.on_hand = self.on_hand.saturating_add(units);
    }

    /// Takes up to so many units away, and returns how many these were.
    fn remove(&mut self, units: i64) -> i64 {
        let removed = units.min(self.on_hand.max(0));
        self.on_hand -= removed;
        removed
    }

    fn reserve(&mut self, order_id: OrderId, mut made: Reservation) {
        let before = self.reservations.get(&order_id).map_or(0, |before| before.quantity.into());
        self.reserved += i64::from(made.quantity) - before;
        if self.available() < 0 {
            self.last_place += 1;
            made.place = self.last_place;
        }
        self.reservations.insert_mut(order_id, made);
    }

    fn reserve_more(&mut self, order_id: OrderId, more: Reservation) {
        self.reserved += i64::from(more.quantity);
        match self.reservations.get_mut(&order_id) {
            Some(known) => known.quantity = known.quantity.saturating_add(more.quantity),
            None => {
                self.reservations.insert_mut(order_id, more);
            }
        }
    }

    /// Takes up to so many units out of a reservation and out of the stock, and returns how many these were.
    fn ship(&mut self, order_id: &OrderId, quantity: u32) -> u32 {
        let taken = self.take_reserved(order_id, quantity);
        if let Some(reservation) = self.reservations.get_mut(order_id) {
            reservation.shipped += taken;
        }
        self.on_hand -= i64::from(taken);
        taken
    }

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
