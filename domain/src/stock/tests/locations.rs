//! Units of a SKU at several locations.

use super::*;

fn here(name: &str, event: StockEvent) -> StockEvent {
    at(&location(name), event)
}

#[test]
fn each_location_promises_only_what_it_has() {
    let berlin = location("berlin");
    let stock = given([received(2), here("berlin", received(3)), here("berlin", made("a", 2))]);
    assert_eq!((tracked(&stock).on_hand, tracked(&stock).available()), (5, 3));
    assert_eq!((tracked(&stock).available_at(&berlin), tracked(&stock).available_at(&LocationId::default())), (1, 2));
    let command = |name: &str, quantity| there(&location(name), reserve("b", quantity));
    assert_eq!(decide(&stock, command("berlin", 2)), Err(StockError::NotEnough { available: Quantity::of(1, None) }));
    assert_eq!(decide(&stock, command("default", 2)), Ok(vec![made("b", 2)]));
    assert_eq!(decide(&stock, command("ulm", 1)), Err(StockError::NotEnough { available: Quantity::of(0, None) }));
    let lower = there(&berlin, adjust(-2));
    assert_eq!(decide(&stock, lower), Err(StockError::BelowReserved { reserved: Quantity::of(2, None) }));
}

#[test]
fn an_order_has_a_reservation_at_each_location_and_releases_all_at_once() {
    let events = [received(2), here("berlin", received(3)), made("a", 2), here("berlin", made("a", 1))];
    let stock = given(events.clone());
    for command in [reserve("a", 1), there(&location("berlin"), reserve("a", 2))] {
        assert_eq!(decide(&stock, command), Ok(vec![]));
    }
    assert_eq!(decide(&stock, release("a")), Ok(vec![released("a", 2), here("berlin", released("a", 1))]));
    let beyond = there(&location("berlin"), release_beyond("a", 0));
    assert_eq!(decide(&stock, beyond), Ok(vec![here("berlin", released("a", 1))]));
}

#[test]
fn what_ships_leaves_the_shelf_where_it_was() {
    let berlin = location("berlin");
    let mut events = vec![received(2), here("berlin", received(3)), made("a", 2), here("berlin", made("a", 2))];
    let commit_two = there(&berlin, commit("a", 2));
    assert_eq!(decide(&given(events.clone()), commit_two.clone()), Ok(vec![here("berlin", committed("a", 2))]));
    events.push(here("berlin", committed("a", 2)));
    let stock = given(events);
    assert_eq!(decide(&stock, commit_two), Ok(vec![]));
    let now = tracked(&stock);
    assert_eq!((now.on_hand, now.reserved, now.sold), (3, 2, 2));
    assert_eq!((now.available_at(&berlin), now.available_at(&LocationId::default())), (1, 0));
}

#[test]
fn what_is_moved_is_elsewhere_and_nothing_that_is_promised_is_moved() {
    let stock = given([received(2), here("berlin", received(3)), here("berlin", made("a", 1))]);
    let events = decide(&stock, move_units("berlin", "ulm", 2)).unwrap();
    assert_eq!(events, [moved("berlin", "ulm", 2)]);
    let mut after = stock.clone();
    events.into_iter().for_each(|event| evolve(&mut after, event));
    let left = |name: &str| tracked(&after).available_at(&location(name));
    assert_eq!((left("berlin"), left("ulm"), left("default"), tracked(&after).on_hand), (0, 2, 2, 5));
    assert_eq!(
        decide(&after, move_units("berlin", "ulm", 1)),
        Err(StockError::NotEnough { available: Quantity::of(0, None) })
    );
    assert_eq!(
        decide(&after, move_units("nowhere", "ulm", 1)),
        Err(StockError::NotEnough { available: Quantity::of(0, None) })
    );
    assert_eq!(decide(&after, move_units("ulm", "ulm", 1)), Err(StockError::ChangesNothing));
    assert_eq!(decide(&after, move_units("ulm", "berlin", 0)), Err(StockError::OutOfBounds));
    assert_eq!(decide(&Stock::Untracked, move_units("ulm", "berlin", 1)), Err(StockError::NotTracked));
}

#[test]
fn a_location_without_units_is_forgotten() {
    let stock = given([received(1), here("berlin", received(1)), here("berlin", adjusted(-1))]);
    assert_eq!(tracked(&stock).locations.keys().collect::<Vec<_>>(), [&LocationId::default()]);
    let stock = given([received(1), adjusted(-1)]);
    assert_eq!((tracked(&stock).on_hand, tracked(&stock).locations.size()), (0, 0));
}

#[test]
fn a_sku_is_at_a_hundred_locations_at_the_most() {
    let everywhere: Vec<_> = (0..MAX_LOCATIONS).map(|n| here(&format!("l{n}"), received(1))).collect();
    let stock = given(everywhere);
    let one_more = location("one-more");
    assert_eq!(decide(&stock, move_units("l1", "one-more", 1)), Err(StockError::TooManyLocations));
    for command in [receive(1), adjust(1), StockCommand::PutBack(came_back("a", 1))] {
        assert_eq!(decide(&stock, there(&one_more, command.clone())), Err(StockError::TooManyLocations));
        assert_eq!(decide(&stock, there(&location("l7"), command)).unwrap().len(), 1);
    }
}

#[test]
fn an_event_that_names_no_location_is_written_as_ever() {
    // Builds that know these know locations.
    let of_one_version = |name| name == "StockTransferred" || OF_ONE_VERSION.contains(&name);
    for event in every_event().into_iter().filter(|event| !of_one_version(event.name())) {
        assert_eq!(cqrs_es::DomainEvent::event_version(&event), "1.0");
        assert_eq!(cqrs_es::DomainEvent::event_version(&here("berlin", event)), "2.0");
    }
}
