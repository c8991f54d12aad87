//! Who has reserved units, in the order in which they are served.

use super::{LocationStock, Reservation, TrackedStock};
use crate::ids::{LocationId, OrderId};

/// An order's reservation at a location, and how much of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedReservation<'a> {
    /// Where.
    pub location: &'a LocationId,
    /// For which order.
    pub order_id: &'a OrderId,
    /// What is reserved.
    pub reservation: &'a Reservation,
    /// How many of its units are on hand. It waits for the others.
    pub on_hand: u32,
}

impl TrackedStock {
    /// The reservations at a location and those after it; `None`: at all. They come location by location; at each those first that had not
    /// to wait, then the others in the order in which they are served. A location is only looked at once those before it are taken.
    pub fn reservations(&self, from: Option<&LocationId>) -> impl Iterator<Item = ServedReservation<'_>> {
        let is_asked = move |location: &LocationId| from.is_none_or(|from| location >= from);
        let asked = self.locations.iter().filter(move |(location, _)| is_asked(location));
        asked.flat_map(|(location, here)| here.in_order(location))
    }
}

impl LocationStock {
    fn in_order<'a>(&'a self, location: &'a LocationId) -> impl Iterator<Item = ServedReservation<'a>> {
        let mut reservations: Vec<_> = self.reservations.iter().collect();
        reservations.sort_by_key(|(order_id, reservation)| (reservation.place, *order_id));
        let mut before = 0;
        reservations.into_iter().map(move |(order_id, reservation)| {
            let on_hand = self.on_hand_after(before, reservation);
            before += i64::from(reservation.quantity);
            ServedReservation { location, order_id, reservation, on_hand }
        })
    }

    /// How many of the reserved units of an order are on hand. Those that had to wait are served in the order in which they came.
    pub(super) fn on_hand_for(&self, reservation: &Reservation) -> u32 {
        let before = self.reservations.values().filter(|it| it.place < reservation.place);
        self.on_hand_after(before.map(|it| i64::from(it.quantity)).sum(), reservation)
    }

    /// How many of a reservation's units are on hand, after those that are served before it.
    fn on_hand_after(&self, before: i64, reservation: &Reservation) -> u32 {
        if reservation.place == 0 || self.available() >= 0 {
            return reservation.quantity;
        }
        u32::try_from((self.on_hand - before).max(0)).unwrap_or(u32::MAX).min(reservation.quantity)
    }
}
