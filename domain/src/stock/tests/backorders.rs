//! Units that are sold before they are on hand.

use super::*;

pub(super) fn limited(limit: u32) -> StockEvent {
    let (available_at, location) = (Some(later()), LocationId::default());
    StockEvent::BackorderLimitSet(BackorderLimitSet { limit, available_at, location, unit: None })
}

pub(super) fn limit(limit: u32) -> StockCommand {
    let StockEvent::BackorderLimitSet(set) = limited(limit) else { panic!("it is one") };
    StockCommand::SetBackorderLimit(set)
}

pub(super) fn check(id: &str, shipped: u32) -> StockCommand {
    StockCommand::CheckOnHand { order_id: order(id), location: LocationId::default(), shipped }
}

fn short(on_hand: i64) -> Result<Vec<StockEvent>, StockError> {
    Err(StockError::Backordered { on_hand: Quantity::of(on_hand, None), available_at: Some(later()) })
}

#[test]
fn so_many_are_sold_before_they_are_there_and_no_more() {
    assert_eq!(decide(&given([]), limit(3)), Err(StockError::NotTracked));
    let stock = given([received(1), limited(3)]);
    assert_eq!(decide(&stock, limit(3)), Ok(vec![]));
    assert_eq!(decide(&stock, reserve("a", 5)), Err(StockError::NotEnough { available: Quantity::of(4, None) }));
    assert_eq!(decide(&stock, reserve("a", 4)), Ok(vec![made("a", 4)]));
    let sold_out = given([received(1), limited(3), made("a", 4)]);
    assert_eq!(tracked(&sold_out).available(), -3);
    assert_eq!(decide(&sold_out, reserve("b", 1)), Err(StockError::NotEnough { available: Quantity::of(0, None) }));
    // What was promised stays promised when there may be no more.
    let over = given([received(1), limited(3), made("a", 3), limited(0)]);
    assert_eq!(decide(&over, limit(0)), Ok(vec![]));
    assert_eq!(decide(&over, reserve("b", 1)), Err(StockError::NotEnough { available: Quantity::of(0, None) }));
    assert_eq!(decide(&over, check("a", 1)), Ok(vec![]));
}

#[test]
fn what_waits_where_units_were_expected_before_counts_as_well() {
    let ulm = |limit| {
        StockEvent::BackorderLimitSet(BackorderLimitSet {
            limit,
            available_at: None,
            location: location("ulm"),
            unit: None,
        })
    };
    let stock = |limit| given([received(1), limited(3), made("a", 4), ulm(limit)]);
    let reserve_at_ulm = |quantity| {
        let StockCommand::Reserve(mut wanted) = reserve("b", quantity) else { panic!("it is one") };
        wanted.location = location("ulm");
        StockCommand::Reserve(wanted)
    };
    assert!(decide(&stock(3), reserve_at_ulm(1)).is_err(), "three wait already");
    assert!(tracked(&stock(3)).backorder_of(1).is_none());
    assert!(decide(&stock(5), reserve_at_ulm(2)).is_ok());
    assert!(decide(&stock(5), reserve_at_ulm(3)).is_err());
}

#[test]
fn what_comes_in_serves_those_that_wait_in_the_order_in_which_they_came() {
    let mut events = vec![received(1), limited(9), made("z", 1), made("b", 2), made("a", 2)];
    assert_eq!(decide(&given(events.clone()), check("z", 1)), Ok(vec![]), "its unit was there");
    assert_eq!(decide(&given(events.clone()), check("b", 1)), short(0));
    events.push(received(3));
    let stock = given(events.clone());
    assert_eq!((decide(&stock, check("b", 2)), decide(&stock, check("a", 1))), (Ok(vec![]), Ok(vec![])));
    assert_eq!(decide(&stock, check("a", 2)), short(1));
    assert_eq!(decide(&stock, commit("a", 2)), short(1));
    // What the first does not need any more is there for the next.
    events.extend([committed("a", 1), released("b", 1)]);
    let stock = given(events);
    assert_eq!(decide(&stock, check("a", 2)), Ok(vec![]));
    assert_eq!((tracked(&stock).on_hand, tracked(&stock).reserved, tracked(&stock).sold), (3, 3, 1));
}

#[test]
fn nothing_is_taken_away_that_orders_wait_for() {
    let stock = given([received(2), limited(5), made("a", 4), at(&location("ulm"), received(5))]);
    let reserved = Quantity::of(4, None);
    assert_eq!(decide(&stock, adjust(-1)), Err(StockError::BelowReserved { reserved }));
    let nothing = StockError::NotEnough { available: Quantity::of(0, None) };
    assert_eq!(decide(&stock, move_units("default", "ulm", 1)), Err(nothing));
    // More is welcome, even if it is not enough.
    assert_eq!(decide(&stock, adjust(1)), Ok(vec![adjusted(1)]));
    let moved = decide(&stock, move_units("ulm", "default", 2)).unwrap();
    let stock =
        given([received(2), limited(5), made("a", 4), at(&location("ulm"), received(5))].into_iter().chain(moved));
    assert_eq!(decide(&stock, check("a", 4)), Ok(vec![]));
}

#[test]
fn what_is_reserved_for_an_edit_never_waits() {
    let mut events = vec![received(3), limited(9), made("a", 2)];
    let none = StockError::NotEnough { available: Quantity::of(0, None) };
    let one = StockError::NotEnough { available: Quantity::of(1, None) };
    assert_eq!(decide(&given(events.clone()), reserve_more("a", 4, 0)), Err(one));
    events.push(made("b", 4));
    let waiting = given(events.clone());
    for id in ["a", "b", "c"] {
        assert_eq!(decide(&waiting, reserve_more(id, 5, 0)), Err(none.clone()), "{id}");
    }
    assert_eq!(decide(&waiting, reserve_more("b", 4, 0)), Ok(vec![]));
    // What an order gets more keeps it before those that come to wait later, and takes nothing from those that have waited.
    events.extend([received(5), increased("b", 1, 0), made("c", 2)]);
    let stock = given(events);
    assert_eq!(tracked(&stock).available(), -1);
    for (id, shipped) in [("a", 2), ("b", 5), ("c", 1)] {
        assert_eq!(decide(&stock, check(id, shipped)), Ok(vec![]), "{id}");
    }
    assert_eq!(decide(&stock, check("c", 2)), short(1));
}

#[test]
fn reservations_are_listed_in_the_order_in_which_they_are_served() {
    let berlin = location("berlin");
    let stock = given([
        received(3),
        limited(9),
        made("z", 2),
        made("b", 2),
        made("a", 2),
        at(&berlin, received(1)),
        at(&berlin, made("b", 1)),
    ]);
    let tracked = tracked(&stock);
    let listed: Vec<_> = tracked
        .reservations(None)
        .map(|it| {
            let of = tracked.locations.get(it.location).unwrap();
            assert_eq!(it.on_hand, of.on_hand_for(it.reservation));
            (it.location.as_str(), it.order_id.as_str(), it.reservation.place, it.on_hand)
        })
        .collect();
    let expected = [("default", "z", 0, 2), ("default", "b", 1, 1), ("default", "a", 2, 0), ("berlin", "b", 0, 1)];
    assert_eq!(listed, expected);
}
