mod backorders;
mod increased;
mod locations;
mod low_stock;
mod measures;
mod never_oversold;

use cqrs_es::Aggregate;

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
    StockEvent::StockReceived(StockReceived { unit: None, quantity, location: LocationId::default() })
}

fn adjusted(delta: i64) -> StockEvent {
    StockEvent::StockAdjusted(StockAdjusted {
        unit: None,
        delta,
        reason: "counted".into(),
        location: LocationId::default(),
    })
}

fn made(id: &str, quantity: u32) -> StockEvent {
    let location = LocationId::default();
    StockEvent::ReservationMade(ReservationMade {
        unit: None,
        order_id: order(id),
        quantity,
        expires_at: later(),
        location,
    })
}

fn increased(id: &str, quantity: u32, shipped: u32) -> StockEvent {
    let (order_id, expires_at, location) = (order(id), later(), LocationId::default());
    StockEvent::ReservationIncreased(ReservationIncreased { order_id, quantity, shipped, expires_at, location })
}

fn released(id: &str, quantity: u32) -> StockEvent {
    let location = LocationId::default();
    StockEvent::ReservationReleased(ReservationReleased { order_id: order(id), quantity, location })
}

fn committed(id: &str, quantity: u32) -> StockEvent {
    let location = LocationId::default();
    StockEvent::ReservationCommitted(ReservationCommitted { order_id: order(id), quantity, location })
}

fn location(name: &str) -> LocationId {
    LocationId::parse(name).unwrap()
}

/// The same at another location.
fn at(location: &LocationId, mut event: StockEvent) -> StockEvent {
    *match &mut event {
        StockEvent::StockReceived(it) => &mut it.location,
        StockEvent::StockAdjusted(it) => &mut it.location,
        StockEvent::StockReturned(it) => &mut it.location,
        StockEvent::BackorderLimitSet(it) => &mut it.location,
        // It names both.
        StockEvent::StockTransferred(_) => return event,
        // These are about all locations.
        StockEvent::LowStockThresholdSet(_) | StockEvent::StockRanLow(_) | StockEvent::StockRecovered(_) => {
            return event;
        }
        StockEvent::ReservationMade(it) => &mut it.location,
        StockEvent::ReservationIncreased(it) => &mut it.location,
        StockEvent::ReservationReleased(it) => &mut it.location,
        StockEvent::ReservationCommitted(it) => &mut it.location,
    } = location.clone();
    event
}

/// The same at another location.
fn there(at: &LocationId, mut command: StockCommand) -> StockCommand {
    *match &mut command {
        StockCommand::Receive(it) => &mut it.location,
        StockCommand::Adjust(it) => &mut it.location,
        StockCommand::PutBack(it) => &mut it.location,
        StockCommand::SetBackorderLimit(it) => &mut it.location,
        StockCommand::Reserve(it) => &mut it.location,
        StockCommand::ReserveMore { location, .. }
        | StockCommand::ReleaseBeyond { location, .. }
        | StockCommand::CheckOnHand { location, .. }
        | StockCommand::Commit { location, .. } => location,
        // It is about all locations, or names both.
        StockCommand::Release { .. } | StockCommand::Transfer(_) | StockCommand::SetLowStockThreshold(_) => {
            return command;
        }
    } = at.clone();
    command
}

fn receive(quantity: u32) -> StockCommand {
    StockCommand::Receive(StockReceived { unit: None, quantity, location: LocationId::default() })
}

fn adjust(delta: i64) -> StockCommand {
    StockCommand::Adjust(StockAdjusted { unit: None, delta, reason: "counted".into(), location: LocationId::default() })
}

fn reserve(id: &str, quantity: u32) -> StockCommand {
    let location = LocationId::default();
    StockCommand::Reserve(ReservationMade { unit: None, order_id: order(id), quantity, expires_at: later(), location })
}

fn release(id: &str) -> StockCommand {
    StockCommand::Release { order_id: order(id) }
}

fn commit(id: &str, shipped: u32) -> StockCommand {
    StockCommand::Commit { order_id: order(id), location: LocationId::default(), shipped }
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
    assert_eq!(decide(&stock, reserve("b", 2)), Err(StockError::NotEnough { available: Quantity::of(1, None) }));
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
    assert_eq!(tracked(&stock).reservation(&order("a"), &LocationId::default()), None);
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
    assert_eq!(tracked(&stock).reservation(&order("a"), &LocationId::default()), None);
    assert_eq!(decide(&stock, commit("a", 5)), Ok(vec![]));
}

#[test]
fn the_count_is_never_put_below_what_is_promised() {
    let stock = given([received(3), made("a", 2)]);
    assert_eq!(decide(&stock, adjust(-1)), Ok(vec![adjusted(-1)]));
    assert_eq!(decide(&stock, adjust(-2)), Err(StockError::BelowReserved { reserved: Quantity::of(2, None) }));
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

/// These are written in one version, whatever they say.
const OF_ONE_VERSION: [&str; 5] =
    ["BackorderLimitSet", "LowStockThresholdSet", "StockRanLow", "StockRecovered", "ReservationIncreased"];

#[test]
fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
    let events = every_event();
    assert_eq!(events.each_ref().map(StockEvent::name), StockEvent::NAMES);
    golden::check_today::<Stock>(FOLDER, events.clone());
    let elsewhere = events.into_iter().filter(|event| !OF_ONE_VERSION.contains(&event.name()));
    golden::check_today::<Stock>(FOLDER, elsewhere.map(|event| at(&location("berlin"), event)));
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
        increased("order-2", 1, 0),
        increased("order-5", 2, 3),
        committed("order-1", 1),
        released("order-2", 1),
        made("order-3", 1),
        released("order-3", 9),
        made("order-4", 1),
        committed("order-4", 9),
        released("nobody", 1),
        committed("nobody", 1),
        at(&location("berlin"), received(3)),
        at(&location("berlin"), made("order-1", 2)),
        at(&location("berlin"), made("order-2", 1)),
        at(&location("ulm"), increased("order-6", 1, 2)),
        at(&location("berlin"), committed("order-1", 2)),
        at(&location("berlin"), released("order-2", 1)),
        at(&location("ulm"), adjusted(2)),
        at(&location("ulm"), returned("order-1", 1)),
        at(&location("berlin"), adjusted(-1)),
        at(&location("nowhere"), committed("order-1", 1)),
        moved("ulm", "paris", 2),
        moved("ulm", "default", 9),
        backorders::limited(40),
        made("order-7", 50),
        made("order-8", 2),
        received(30),
        at(&location("berlin"), backorders::limited(2)),
        at(&location("berlin"), made("order-7", 2)),
        backorders::limited(0),
        low_stock::threshold_set(90),
        low_stock::ran_low(-11, 90),
        low_stock::threshold_set(91),
        low_stock::recovered(91, 91),
        low_stock::threshold_set(0),
        low_stock::ran_low(0, 0),
    ];
    golden::check_states::<Stock>("stock-states", StockEvent::NAMES, events);
    let by_weight = [measures::received(12_500)];
    let stock = given(by_weight);
    let json = serde_json::to_string(&stock).unwrap();
    assert_eq!(json, r#"{"Tracked":{"on_hand":12500,"reserved":0,"sold":0,"unit":"kg","reservations":{}}}"#);
    assert_eq!(serde_json::from_str::<Stock>(&json).unwrap(), stock);
}

fn every_event() -> [StockEvent; 12] {
    let (made, released) = (made("order-1", 2), released("order-1", 1));
    let moved = moved("berlin", "default", 4);
    let (limited, increased) = (backorders::limited(50), increased("order-1", 1, 1));
    let committed = committed("order-1", 1);
    let lowered = (low_stock::threshold_set(5), low_stock::ran_low(4, 5), low_stock::recovered(5, 5));
    let back = returned("order-1", 1);
    [
        received(10),
        adjusted(-3),
        back,
        moved,
        limited,
        lowered.0,
        lowered.1,
        lowered.2,
        made,
        increased,
        released,
        committed,
    ]
}

fn moved(from: &str, to: &str, quantity: u32) -> StockEvent {
    StockEvent::StockTransferred(StockTransferred { unit: None, from: location(from), to: location(to), quantity })
}

fn move_units(from: &str, to: &str, quantity: u32) -> StockCommand {
    StockCommand::Transfer(StockTransferred { unit: None, from: location(from), to: location(to), quantity })
}

fn returned(order: &str, quantity: u32) -> StockEvent {
    StockEvent::StockReturned(came_back(order, quantity))
}

fn came_back(order: &str, quantity: u32) -> StockReturned {
    let return_id = ReturnId::parse("return-1").unwrap();
    StockReturned {
        unit: None,
        order_id: OrderId::parse(order).unwrap(),
        return_id,
        quantity,
        location: LocationId::default(),
    }
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
    StockCommand::ReleaseBeyond { order_id: OrderId::parse(order).unwrap(), location: LocationId::default(), needed }
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

fn reserve_more(id: &str, needed: u32, shipped: u32) -> StockCommand {
    let (order_id, location, expires_at) = (order(id), LocationId::default(), later());
    StockCommand::ReserveMore { order_id, location, needed, shipped, expires_at, unit: None }
}
