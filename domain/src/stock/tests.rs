use cqrs_es::Aggregate;
use proptest::prelude::*;

use super::*;
use crate::golden;
use crate::ids::ReturnId;

fn order(id: &str) -> OrderId {
    OrderId::parse(id).unwrap()
}

fn later() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_456_000, 0).unwrap()
}

fn received(quantity: u32) -> StockEvent {
    StockEvent::StockReceived(StockReceived { quantity })
}

fn adjusted(delta: i64) -> StockEvent {
    StockEvent::StockAdjusted(StockAdjusted { delta, reason: "counted".into() })
}

fn made(id: &str, quantity: u32) -> StockEvent {
    StockEvent::ReservationMade(ReservationMade { order_id: order(id), quantity, expires_at: later() })
}

fn released(id: &str, quantity: u32) -> StockEvent {
    StockEvent::ReservationReleased(ReservationReleased { order_id: order(id), quantity })
}

fn committed(id: &str, quantity: u32) -> StockEvent {
    StockEvent::ReservationCommitted(ReservationCommitted { order_id: order(id), quantity })
}

fn receive(quantity: u32) -> StockCommand {
    StockCommand::Receive(StockReceived { quantity })
}

fn adjust(delta: i64) -> StockCommand {
    StockCommand::Adjust(StockAdjusted { delta, reason: "counted".into() })
}

fn reserve(id: &str, quantity: u32) -> StockCommand {
    StockCommand::Reserve(ReservationMade { order_id: order(id), quantity, expires_at: later() })
}

fn release(id: &str) -> StockCommand {
    StockCommand::Release { order_id: order(id) }
}

fn commit(id: &str, shipped: u32) -> StockCommand {
    StockCommand::Commit { order_id: order(id), shipped }
}

fn given(events: impl IntoIterator<Item = StockEvent>) -> Stock {
    let mut stock = Stock::default();
    events.into_iter().for_each(|event| evolve(&mut stock, event));
    stock
}

fn tracked(stock: &Stock) -> &TrackedStock {
    match stock {
        Stock::Tracked(tracked) => tracked,
        Stock::Untracked => panic!("not tracked"),
    }
}

#[test]
fn an_untracked_sku_is_always_available_and_nothing_is_noted_of_it() {
    for command in [reserve("a", 1_000_000), release("a"), commit("a", 1)] {
        assert_eq!(decide(&given([]), command), Ok(vec![]));
    }
}

#[test]
fn the_first_receipt_tracks_a_sku() {
    assert_eq!(decide(&given([]), receive(10)), Ok(vec![received(10)]));
    assert_eq!(tracked(&given([received(10)])).available(), 10);
    for delta in [5, -5] {
        assert_eq!(decide(&given([]), adjust(delta)), Err(StockError::NotTracked));
    }
}

#[test]
fn the_last_unit_goes_to_one_order() {
    let stock = given([received(3), made("a", 2)]);
    assert_eq!(decide(&stock, reserve("b", 1)), Ok(vec![made("b", 1)]));
    assert_eq!(decide(&stock, reserve("b", 2)), Err(StockError::NotEnough { available: 1 }));
}

#[test]
fn an_order_keeps_the_reservation_it_has() {
    let stock = given([received(3), made("a", 2)]);
    assert_eq!(decide(&stock, reserve("a", 2)), Ok(vec![]));
    assert_eq!(decide(&stock, reserve("a", 3)), Ok(vec![]));
    assert_eq!(decide(&stock, reserve("b", 0)), Ok(vec![]));
}

#[test]
fn what_is_released_can_be_had_again_and_is_released_once() {
    let stock = given([received(3), made("a", 2)]);
    assert_eq!(decide(&stock, release("a")), Ok(vec![released("a", 2)]));
    let stock = given([received(3), made("a", 2), released("a", 2)]);
    assert_eq!(tracked(&stock).available(), 3);
    assert!(tracked(&stock).reservations.is_empty());
    assert_eq!(decide(&stock, release("a")), Ok(vec![]));
}

#[test]
fn what_ships_in_parts_leaves_the_shelf_in_parts() {
    let mut events = vec![received(10), made("a", 5)];
    assert_eq!(decide(&given(events.clone()), commit("a", 3)), Ok(vec![committed("a", 3)]));
    events.push(committed("a", 3));
    let stock = given(events.clone());
    assert_eq!((tracked(&stock).on_hand, tracked(&stock).reserved, tracked(&stock).sold), (7, 2, 3));
    assert_eq!(decide(&stock, commit("a", 3)), Ok(vec![]));
    assert_eq!(decide(&stock, commit("a", 5)), Ok(vec![committed("a", 2)]));
    assert_eq!(decide(&stock, commit("a", 6)), Err(StockError::MoreThanReserved { reserved: 2 }));
    assert_eq!(decide(&stock, release("a")), Ok(vec![released("a", 2)]));

    events.push(committed("a", 2));
    let stock = given(events);
    assert!(tracked(&stock).reservations.is_empty());
    assert_eq!(decide(&stock, commit("a", 5)), Ok(vec![]));
}

#[test]
fn the_count_is_never_put_below_what_is_promised() {
    let stock = given([received(3), made("a", 2)]);
    assert_eq!(decide(&stock, adjust(-1)), Ok(vec![adjusted(-1)]));
    assert_eq!(decide(&stock, adjust(-2)), Err(StockError::BelowReserved { reserved: 2 }));
    assert_eq!(decide(&stock, adjust(0)), Err(StockError::ChangesNothing));
}

#[test]
fn quantities_and_counts_have_bounds() {
    let full = Stock::Tracked(TrackedStock { on_hand: MAX_ON_HAND, ..TrackedStock::default() });
    assert_eq!(decide(&full, receive(1)), Err(StockError::TooMany));
    assert_eq!(decide(&full, adjust(1)), Err(StockError::TooMany));
    for quantity in [0, MAX_CHANGE + 1] {
        assert_eq!(decide(&given([]), receive(quantity)), Err(StockError::OutOfBounds));
    }
    for delta in [i64::MIN, i64::MAX, i64::from(MAX_CHANGE) + 1] {
        assert_eq!(decide(&full, adjust(delta)), Err(StockError::OutOfBounds));
    }
}

#[tokio::test]
async fn cqrs_es_sees_the_same_stock() {
    let sink = EventSink::default();
    let mut stock = Stock::default();
    stock.handle(receive(3), &(), &sink).await.unwrap();
    stock.handle(reserve("a", 2), &(), &sink).await.unwrap();
    assert_eq!(sink.collect().await, [received(3), made("a", 2)]);
    assert_eq!(stock, given([received(3), made("a", 2)]));
}

const FOLDER: &str = "stock-events";

#[test]
fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
    let events = every_event();
    assert_eq!(events.each_ref().map(StockEvent::name), StockEvent::NAMES);
    golden::check_today::<Stock>(FOLDER, events);
}

#[test]
fn every_golden_file_still_decodes() {
    golden::check_all::<Stock>(FOLDER);
}

#[test]
fn every_version_of_every_event_has_a_golden_file() {
    golden::check_versions::<Stock>(FOLDER, StockEvent::NAMES);
}

#[test]
fn a_state_that_folds_or_reads_differently_has_another_version() {
    // Everything that `evolve` tells apart.
    let events = [
        adjusted(7),
        received(10),
        received(5),
        adjusted(-3),
        returned("order-0", 2),
        made("order-1", 2),
        made("order-2", 3),
        made("order-2", 4),
        committed("order-1", 1),
        released("order-2", 1),
        made("order-3", 1),
        released("order-3", 9),
        made("order-4", 1),
        committed("order-4", 9),
        released("nobody", 1),
        committed("nobody", 1),
    ];
    golden::check_states::<Stock>("stock-states", StockEvent::NAMES, events);
}

fn every_event() -> [StockEvent; 6] {
    let (made, released) = (made("order-1", 2), released("order-1", 1));
    [received(10), adjusted(-3), returned("order-1", 1), made, released, committed("order-1", 1)]
}

fn returned(order: &str, quantity: u32) -> StockEvent {
    StockEvent::StockReturned(came_back(order, quantity))
}

fn came_back(order: &str, quantity: u32) -> StockReturned {
    let return_id = ReturnId::parse("return-1").unwrap();
    StockReturned { order_id: OrderId::parse(order).unwrap(), return_id, quantity }
}

#[test]
fn what_came_back_is_for_sale_again_if_the_sku_is_counted() {
    let back = |quantity| StockCommand::PutBack(came_back("a", quantity));
    assert_eq!(decide(&Stock::Untracked, back(1)), Ok(vec![]));
    let stock = given([received(1), made("a", 1), committed("a", 1)]);
    assert_eq!(decide(&stock, back(1)), Ok(vec![returned("a", 1)]));
    assert_eq!(decide(&stock, back(0)), Ok(vec![]));
    let full = Stock::Tracked(TrackedStock { on_hand: MAX_ON_HAND, ..TrackedStock::default() });
    assert_eq!(decide(&full, back(1)), Err(StockError::TooMany));
}

fn release_beyond(order: &str, needed: u32) -> StockCommand {
    StockCommand::ReleaseBeyond { order_id: OrderId::parse(order).unwrap(), needed }
}

#[test]
fn what_an_order_does_not_need_any_more_is_released_once() {
    let stock = given([received(10), made("a", 5), committed("a", 1)]);
    assert_eq!(decide(&stock, release_beyond("a", 3)), Ok(vec![released("a", 1)]));
    assert_eq!(decide(&stock, release_beyond("a", 0)), Ok(vec![released("a", 4)]));
    let stock = given([received(10), made("a", 5), committed("a", 1), released("a", 1)]);
    assert_eq!(decide(&stock, release_beyond("a", 3)), Ok(vec![]));
    assert_eq!(decide(&stock, release_beyond("b", 0)), Ok(vec![]));
}

fn any_command() -> impl Strategy<Value = StockCommand> {
    let id = || prop::sample::select(vec!["a", "b", "c", "d"]);
    prop_oneof![
        (0..20_u32).prop_map(receive),
        (-10..10_i64).prop_map(adjust),
        (id(), 0..8_u32).prop_map(|(id, quantity)| reserve(id, quantity)),
        id().prop_map(release),
        (id(), 0..8_u32).prop_map(|(id, quantity)| StockCommand::PutBack(came_back(id, quantity))),
        (id(), 0..8_u32).prop_map(|(id, needed)| release_beyond(id, needed)),
        (id(), 0..8_u32).prop_map(|(id, shipped)| commit(id, shipped)),
    ]
}

proptest! {
    #[test]
    fn nothing_is_sold_or_promised_that_is_not_there(commands in prop::collection::vec(any_command(), 1..60)) {
        let (mut stock, mut ever_there) = (Stock::default(), 0);
        for command in commands {
            let Ok(events) = decide(&stock, command.clone()) else { continue };
            for event in events {
                ever_there += match &event {
                    StockEvent::StockReceived(received) => i64::from(received.quantity),
                    StockEvent::StockAdjusted(adjusted) => adjusted.delta,
                    StockEvent::StockReturned(returned) => i64::from(returned.quantity),
                    StockEvent::ReservationMade(_)
                    | StockEvent::ReservationReleased(_)
                    | StockEvent::ReservationCommitted(_) => 0,
                };
                evolve(&mut stock, event);
            }
            match &command {
                StockCommand::Receive(_) | StockCommand::Adjust(_) | StockCommand::PutBack(_) => {}
                StockCommand::Reserve(_)
                | StockCommand::Release { .. }
                | StockCommand::ReleaseBeyond { .. }
                | StockCommand::Commit { .. } => {
                    prop_assert_eq!(decide(&stock, command), Ok(vec![]), "given twice");
                }
            }
            let Stock::Tracked(now) = &stock else { continue };
            let open = |count: fn(&Reservation) -> u32| now.reservations.values().map(count).map(i64::from).sum::<i64>();
            prop_assert_eq!(now.reserved, open(|reservation| reservation.quantity));
            prop_assert!(open(|reservation| reservation.shipped) <= now.sold);
            prop_assert!(now.reservations.values().all(|reservation| reservation.quantity > 0));
            prop_assert_eq!(now.on_hand + now.sold, ever_there);
            prop_assert!(now.reserved + now.sold <= ever_there);
            prop_assert!(now.available() >= 0 && now.on_hand >= 0 && now.reserved >= 0 && now.sold >= 0);
        }
    }
}
