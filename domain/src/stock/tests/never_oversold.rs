//! Whatever is asked of a SKU, in whatever order: nothing is sold or promised that is not there, at any location.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::quantity::UnitOfMeasure;

/// How many units were ever at a location, and how many were shipped from it.
type Books = BTreeMap<LocationId, (i64, i64)>;

fn any_command() -> impl Strategy<Value = StockCommand> {
    let id = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let name = prop::sample::select(vec!["default", "berlin", "ulm"]);
    let command = prop_oneof![
        (0..20_u32).prop_map(receive),
        (-10..10_i64).prop_map(adjust),
        (id(), 0..8_u32).prop_map(|(id, quantity)| reserve(id, quantity)),
        (id(), 0..8_u32, 0..8_u32).prop_map(|(id, needed, shipped)| reserve_more(id, needed, shipped)),
        id().prop_map(release),
        (id(), 0..8_u32).prop_map(|(id, quantity)| StockCommand::PutBack(came_back(id, quantity))),
        (id(), 0..8_u32).prop_map(|(id, needed)| release_beyond(id, needed)),
        (id(), 0..8_u32).prop_map(|(id, shipped)| commit(id, shipped)),
        (0..8_u32).prop_map(backorders::limit),
        (0..8_u32).prop_map(low_stock::set_threshold),
        (name.clone(), name.clone(), 0..8_u32).prop_map(|(from, to, quantity)| move_units(from, to, quantity)),
    ];
    (name, command).prop_map(|(name, command)| there(&location(name), command))
}

/// The same in a unit of measure.
fn measured(unit: Option<UnitOfMeasure>, mut command: StockCommand) -> StockCommand {
    *match &mut command {
        StockCommand::Receive(it) => &mut it.unit,
        StockCommand::Adjust(it) => &mut it.unit,
        StockCommand::Transfer(it) => &mut it.unit,
        StockCommand::PutBack(it) => &mut it.unit,
        StockCommand::SetBackorderLimit(it) => &mut it.unit,
        StockCommand::SetLowStockThreshold(it) => &mut it.unit,
        StockCommand::Reserve(it) => &mut it.unit,
        StockCommand::ReserveMore { unit, .. } => unit,
        // It is about what was reserved, in its unit.
        StockCommand::Release { .. }
        | StockCommand::ReleaseBeyond { .. }
        | StockCommand::CheckOnHand { .. }
        | StockCommand::Commit { .. } => return command,
    } = unit;
    command
}

/// Commands in one unit, kilograms or pieces, and a few in the other.
fn any_commands() -> impl Strategy<Value = Vec<StockCommand>> {
    let kg = UnitOfMeasure::parse("kg").unwrap();
    let in_own = (prop::bool::weighted(0.9), any_command());
    (any::<bool>(), prop::collection::vec(in_own, 1..60)).prop_map(move |(by_weight, commands)| {
        let unit = |own| (own == by_weight).then_some(kg);
        commands.into_iter().map(|(own, command)| measured(unit(own), command)).collect()
    })
}

fn book(books: &mut Books, event: &StockEvent) {
    let mut at = |location: &LocationId, came: i64, shipped: i64| {
        let it = books.entry(location.clone()).or_default();
        *it = (it.0 + came, it.1 + shipped);
    };
    match event {
        StockEvent::StockReceived(it) => at(&it.location, it.quantity.into(), 0),
        StockEvent::StockAdjusted(it) => at(&it.location, it.delta, 0),
        StockEvent::StockReturned(it) => at(&it.location, it.quantity.into(), 0),
        StockEvent::StockTransferred(it) => {
            at(&it.from, -i64::from(it.quantity), 0);
            at(&it.to, it.quantity.into(), 0);
        }
        StockEvent::ReservationCommitted(it) => at(&it.location, 0, it.quantity.into()),
        StockEvent::BackorderLimitSet(_)
        | StockEvent::LowStockThresholdSet(_)
        | StockEvent::StockRanLow(_)
        | StockEvent::StockRecovered(_)
        | StockEvent::ReservationMade(_)
        | StockEvent::ReservationIncreased(_)
        | StockEvent::ReservationReleased(_) => {}
    }
}

/// More is promised than is there only up to the limit. What is there for an order stays there until it ships or is not needed.
fn check_promises(before: &TrackedStock, now: &TrackedStock) -> Result<(), TestCaseError> {
    for (location, here) in &now.locations {
        let nothing = LocationStock::default();
        let was = before.locations.get(location).unwrap_or(&nothing);
        let is_promised = here.reserved > was.reserved;
        let least = if is_promised { -now.backorder_limit_at(location) } else { was.available().min(0) };
        prop_assert!(here.available() >= least, "{here:?}");
        if here.available() < was.available().min(0) {
            let waiting: i64 = now.locations.values().map(|it| (-it.available()).max(0)).sum();
            let limit = now.backorder.as_ref().map_or(0, |backorder| backorder.limit.into());
            prop_assert!(waiting <= limit, "{now:?}");
        }
        let there: i64 = here.reservations.values().map(|it| i64::from(here.on_hand_for(it))).sum();
        prop_assert!(there <= here.on_hand, "{here:?}");
        for (order_id, reservation) in &here.reservations {
            let Some(known) = was.reservations.get(order_id) else { continue };
            let shipped = reservation.shipped - known.shipped;
            let kept = was.on_hand_for(known).min(reservation.quantity + shipped);
            prop_assert!(here.on_hand_for(reservation) + shipped >= kept, "{was:?} {here:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_is_sold_or_promised_that_is_not_there(commands in any_commands()) {
        let (mut stock, mut books, mut unit) = (Stock::default(), Books::new(), None);
        for command in commands {
            let Ok(events) = decide(&stock, command.clone()) else { continue };
            for event in events {
                book(&mut books, &event);
                let before = stock.clone();
                evolve(&mut stock, event.clone());
                if let (Stock::Tracked(before), Stock::Tracked(now)) = (before, &stock) {
                    check_promises(&before, now)?;
                    if let StockEvent::ReservationIncreased(it) = event {
                        prop_assert!(now.available_at(&it.location) >= 0, "an edit takes what is on hand");
                    }
                }
            }
            match &command {
                StockCommand::Receive(_)
                | StockCommand::Adjust(_)
                | StockCommand::Transfer(_)
                | StockCommand::PutBack(_) => {}
                StockCommand::SetBackorderLimit(_)
                | StockCommand::SetLowStockThreshold(_)
                | StockCommand::CheckOnHand { .. }
                | StockCommand::Reserve(_)
                | StockCommand::ReserveMore { .. }
                | StockCommand::Release { .. }
                | StockCommand::ReleaseBeyond { .. }
                | StockCommand::Commit { .. } => {
                    prop_assert_eq!(decide(&stock, command), Ok(vec![]), "given twice");
                }
            }
            let Stock::Tracked(now) = &stock else { continue };
            prop_assert_eq!(now.unit, *unit.get_or_insert(now.unit));
            prop_assert_eq!(now.low_stock.is_some_and(|it| it.is_low), now.is_below_threshold());
            for (location, (came, shipped)) in &books {
                let nothing = LocationStock::default();
                let here = now.locations.get(location).unwrap_or(&nothing);
                let open = |count: fn(&Reservation) -> u32| here.reservations.values().map(count).map(i64::from).sum::<i64>();
                prop_assert_eq!(here.reserved, open(|reservation| reservation.quantity));
                prop_assert!(here.reservations.values().all(|reservation| reservation.quantity > 0));
                prop_assert_eq!(here.on_hand + shipped, *came);
                prop_assert!(here.on_hand >= 0 && here.reserved >= 0 && *shipped >= 0);
            }
            let sum = |count: fn(&LocationStock) -> i64| now.locations.values().map(count).sum::<i64>();
            prop_assert_eq!((now.on_hand, now.reserved), (sum(|here| here.on_hand), sum(|here| here.reserved)));
            prop_assert_eq!(now.sold, books.values().map(|it| it.1).sum::<i64>());
        }
    }
}
