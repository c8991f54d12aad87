//! Which events a command leads to.

use super::{
    BackorderLimitSet, LocationStock, LowStockThresholdSet, MAX_CHANGE, MAX_LOCATIONS, MAX_ON_HAND,
    ReservationCommitted, ReservationIncreased, ReservationMade, ReservationReleased, Stock, StockAdjusted,
    StockCommand, StockError, StockEvent, StockRanLow, StockReceived, StockRecovered, StockReturned, StockTransferred,
    TrackedStock, evolve,
};
use crate::ids::{LocationId, OrderId};
use crate::quantity::Quantity;

/// The events that a command leads to. There are none if it changes nothing. So a command for an order can be repeated.
///
/// An untracked SKU has no reservations. What was sold before it was tracked never reduces its count.
pub fn decide(stock: &Stock, command: StockCommand) -> Result<Vec<StockEvent>, StockError> {
    check_unit(stock, &command)?;
    let mut events = changes(stock, command)?;
    events.extend(crossing(stock, &events));
    Ok(events)
}

/// Whether these events take the SKU below its threshold, or back. One of these two follows each crossing, so there is one for each.
fn crossing(stock: &Stock, events: &[StockEvent]) -> Option<StockEvent> {
    let Stock::Tracked(before) = stock else { return None };
    let sets_threshold = |event: &StockEvent| matches!(event, StockEvent::LowStockThresholdSet(_));
    if events.is_empty() || (before.low_stock.is_none() && !events.iter().any(sets_threshold)) {
        return None;
    }
    let mut after = stock.clone();
    events.iter().for_each(|event| evolve(&mut after, event.clone()));
    let Stock::Tracked(after) = after else { return None };
    let was_low = before.low_stock.is_some_and(|it| it.is_low);
    let (available, unit) = (after.available(), after.unit);
    let threshold = after.low_stock.map_or(0, |it| it.threshold);
    match (was_low, after.is_below_threshold()) {
        (false, true) => Some(StockEvent::StockRanLow(StockRanLow { available, threshold, unit })),
        (true, false) => Some(StockEvent::StockRecovered(StockRecovered { available, threshold, unit })),
        (false, false) | (true, true) => None,
    }
}

/// What a command changes.
fn changes(stock: &Stock, command: StockCommand) -> Result<Vec<StockEvent>, StockError> {
    match (stock, command) {
        (Stock::Untracked, StockCommand::Receive(receipt)) => receive(&TrackedStock::default(), receipt),
        (
            Stock::Untracked,
            StockCommand::Adjust(_)
            | StockCommand::Transfer(_)
            | StockCommand::SetBackorderLimit(_)
            | StockCommand::SetLowStockThreshold(_),
        ) => Err(StockError::NotTracked),
        (
            Stock::Untracked,
            StockCommand::PutBack(_)
            | StockCommand::Reserve(_)
            | StockCommand::ReserveMore { .. }
            | StockCommand::Release { .. }
            | StockCommand::ReleaseBeyond { .. }
            | StockCommand::CheckOnHand { .. }
            | StockCommand::Commit { .. },
        ) => Ok(vec![]),
        (Stock::Tracked(tracked), StockCommand::Receive(receipt)) => receive(tracked, receipt),
        (Stock::Tracked(tracked), StockCommand::PutBack(returned)) => put_back(tracked, returned),
        (Stock::Tracked(tracked), StockCommand::Adjust(adjustment)) => adjust(tracked, adjustment),
        (Stock::Tracked(tracked), StockCommand::Transfer(transfer)) => move_units(tracked, transfer),
        (Stock::Tracked(tracked), StockCommand::SetBackorderLimit(set)) => set_backorder_limit(tracked, set),
        (Stock::Tracked(tracked), StockCommand::SetLowStockThreshold(set)) => set_low_stock_threshold(tracked, set),
        (Stock::Tracked(tracked), StockCommand::CheckOnHand { order_id, location, shipped }) => {
            check_on_hand(tracked, &order_id, &location, shipped)
        }
        (Stock::Tracked(tracked), StockCommand::Reserve(wanted)) => reserve(tracked, wanted),
        (
            Stock::Tracked(tracked),
            StockCommand::ReserveMore { order_id, location, needed, shipped, expires_at, unit: _ },
        ) => {
            let more = ReservationIncreased { order_id, quantity: needed, shipped, expires_at, location };
            reserve_more(tracked, more)
        }
        (Stock::Tracked(tracked), StockCommand::Release { order_id }) => Ok(release_all(tracked, &order_id)),
        (Stock::Tracked(tracked), StockCommand::ReleaseBeyond { order_id, location, needed }) => {
            Ok(release(tracked, order_id, location, needed).into_iter().collect())
        }
        (Stock::Tracked(tracked), StockCommand::Commit { order_id, location, shipped }) => {
            commit(tracked, order_id, location, shipped)
        }
    }
}

/// Refuses a quantity in another unit than that of the SKU.
fn check_unit(stock: &Stock, command: &StockCommand) -> Result<(), StockError> {
    let Stock::Tracked(tracked) = stock else { return Ok(()) };
    let unit = match command {
        StockCommand::Receive(it) => it.unit,
        StockCommand::Adjust(it) => it.unit,
        StockCommand::Transfer(it) => it.unit,
        StockCommand::SetBackorderLimit(it) => it.unit,
        StockCommand::SetLowStockThreshold(it) => it.unit,
        StockCommand::PutBack(it) => it.unit,
        StockCommand::Reserve(it) => it.unit,
        StockCommand::ReserveMore { unit, .. } => *unit,
        // Of what was reserved in its unit.
        StockCommand::Release { .. }
        | StockCommand::ReleaseBeyond { .. }
        | StockCommand::CheckOnHand { .. }
        | StockCommand::Commit { .. } => return Ok(()),
    };
    if unit == tracked.unit { Ok(()) } else { Err(StockError::OtherUnit { unit: tracked.unit }) }
}

fn receive(tracked: &TrackedStock, receipt: StockReceived) -> Result<Vec<StockEvent>, StockError> {
    if !(1..=MAX_CHANGE).contains(&receipt.quantity) {
        return Err(StockError::OutOfBounds);
    }
    check_room(tracked, &receipt.location, receipt.quantity.into())?;
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
    let nothing = LocationStock::default();
    let here = tracked.locations.get(&adjustment.location).unwrap_or(&nothing);
    // What came to be more is there, whether or not it is enough for all that wait.
    if delta < 0 && here.on_hand.saturating_add(delta) < here.reserved {
        return Err(StockError::BelowReserved { reserved: Quantity::of(here.reserved, tracked.unit) });
    }
    check_room(tracked, &adjustment.location, delta)?;
    Ok(vec![StockEvent::StockAdjusted(adjustment)])
}

fn move_units(tracked: &TrackedStock, transfer: StockTransferred) -> Result<Vec<StockEvent>, StockError> {
    if transfer.from == transfer.to {
        return Err(StockError::ChangesNothing);
    }
    if !(1..=MAX_CHANGE).contains(&transfer.quantity) {
        return Err(StockError::OutOfBounds);
    }
    let available = tracked.available_at(&transfer.from);
    if i64::from(transfer.quantity) > available {
        return Err(StockError::NotEnough { available: Quantity::of(available.max(0), tracked.unit) });
    }
    check_room(tracked, &transfer.to, 0)?;
    Ok(vec![StockEvent::StockTransferred(transfer)])
}

fn set_backorder_limit(tracked: &TrackedStock, set: BackorderLimitSet) -> Result<Vec<StockEvent>, StockError> {
    if set.limit > MAX_CHANGE {
        return Err(StockError::OutOfBounds);
    }
    let is_known = tracked.backorder.as_ref().map_or(set.limit == 0, |known| *known == set);
    Ok(if is_known { vec![] } else { vec![StockEvent::BackorderLimitSet(set)] })
}

fn set_low_stock_threshold(tracked: &TrackedStock, set: LowStockThresholdSet) -> Result<Vec<StockEvent>, StockError> {
    if set.threshold > MAX_CHANGE {
        return Err(StockError::OutOfBounds);
    }
    let is_known = tracked.low_stock.map_or(0, |known| known.threshold) == set.threshold;
    Ok(if is_known { vec![] } else { vec![StockEvent::LowStockThresholdSet(set)] })
}

/// Those of a reservation that are on hand stay so: nothing is taken away that orders wait for.
fn check_on_hand(
    tracked: &TrackedStock,
    order_id: &OrderId,
    location: &LocationId,
    shipped: u32,
) -> Result<Vec<StockEvent>, StockError> {
    let Some(here) = tracked.locations.get(location) else { return Ok(vec![]) };
    let Some(reservation) = here.reservations.get(order_id) else { return Ok(vec![]) };
    let on_hand = here.on_hand_for(reservation);
    if shipped.saturating_sub(reservation.shipped) > on_hand {
        let backorder = tracked.backorder.as_ref().filter(|backorder| backorder.location == *location);
        let available_at = backorder.and_then(|backorder| backorder.available_at);
        return Err(StockError::Backordered { on_hand: Quantity::of(on_hand, tracked.unit), available_at });
    }
    Ok(vec![])
}

fn put_back(tracked: &TrackedStock, returned: StockReturned) -> Result<Vec<StockEvent>, StockError> {
    if returned.quantity == 0 {
        return Ok(vec![]);
    }
    check_room(tracked, &returned.location, returned.quantity.into())?;
    Ok(vec![StockEvent::StockReturned(returned)])
}

/// Refuses a change after which there would be more units or locations than can be counted.
fn check_room(tracked: &TrackedStock, location: &LocationId, change: i64) -> Result<(), StockError> {
    if tracked.on_hand.saturating_add(change) > MAX_ON_HAND {
        return Err(StockError::TooMany);
    }
    if !tracked.locations.contains_key(location) && tracked.locations.size() >= MAX_LOCATIONS {
        return Err(StockError::TooManyLocations);
    }
    Ok(())
}

fn reserve(tracked: &TrackedStock, wanted: ReservationMade) -> Result<Vec<StockEvent>, StockError> {
    if wanted.quantity == 0 || tracked.reservation(&wanted.order_id, &wanted.location).is_some() {
        return Ok(vec![]);
    }
    let available = tracked.available_at(&wanted.location);
    let available = available + tracked.backorder_limit_at(&wanted.location);
    if i64::from(wanted.quantity) > available {
        return Err(StockError::NotEnough { available: Quantity::of(available.max(0), tracked.unit) });
    }
    Ok(vec![StockEvent::ReservationMade(wanted)])
}

/// Reserves what is missing of the quantity. What has shipped is known better by a reservation that is there. It takes only what is on hand
/// and nobody waits for: an order that has waited keeps its place, and nobody behind it may lose units by that.
fn reserve_more(tracked: &TrackedStock, mut more: ReservationIncreased) -> Result<Vec<StockEvent>, StockError> {
    if let Some(known) = tracked.reservation(&more.order_id, &more.location) {
        more.quantity = more.quantity.saturating_sub(known.quantity);
        more.shipped = known.shipped;
    }
    let available = tracked.available_at(&more.location);
    match more.quantity {
        0 => Ok(vec![]),
        quantity if i64::from(quantity) > available => {
            Err(StockError::NotEnough { available: Quantity::of(available.max(0), tracked.unit) })
        }
        _ => Ok(vec![StockEvent::ReservationIncreased(more)]),
    }
}

fn release_all(tracked: &TrackedStock, order_id: &OrderId) -> Vec<StockEvent> {
    tracked.locations.keys().filter_map(|location| release(tracked, order_id.clone(), location.clone(), 0)).collect()
}

fn release(tracked: &TrackedStock, order_id: OrderId, location: LocationId, needed: u32) -> Option<StockEvent> {
    let open = tracked.reservation(&order_id, &location)?.quantity;
    match open.saturating_sub(needed) {
        0 => None,
        quantity => Some(StockEvent::ReservationReleased(ReservationReleased { order_id, quantity, location })),
    }
}

fn commit(
    tracked: &TrackedStock,
    order_id: OrderId,
    location: LocationId,
    shipped: u32,
) -> Result<Vec<StockEvent>, StockError> {
    let Some(reservation) = tracked.reservation(&order_id, &location) else { return Ok(vec![]) };
    let quantity = shipped.saturating_sub(reservation.shipped);
    check_on_hand(
        tracked,
        &order_id,
        &location,
        shipped.min(reservation.shipped.saturating_add(reservation.quantity)),
    )?;
    if quantity > reservation.quantity {
        return Err(StockError::MoreThanReserved { reserved: reservation.quantity });
    }
    Ok(match quantity {
        0 => vec![],
        quantity => vec![StockEvent::ReservationCommitted(ReservationCommitted { order_id, quantity, location })],
    })
}
