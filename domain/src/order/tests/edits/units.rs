//! What edits mean for the units of an order, and for the stock, at one location and at several.

use super::*;
use crate::ids::OrderId;
use crate::quantity::UnitOfMeasure;
use crate::stock::{StockCommand, StockReceived};

/// Carries out a command, and returns what it means for the stock: what is done, for which SKU, where, and up to how many.
fn moves(order: &mut Order, command: OrderCommand) -> Vec<(&'static str, String, String, u32)> {
    let order_id = OrderId::parse("o").unwrap();
    let mut moves = vec![];
    for event in decide(order, command).unwrap() {
        evolve(order, event.clone());
        for (sku, command) in implied_stock_commands(&order_id, placed(order), &event) {
            let (what, location, units) = match command {
                StockCommand::ReserveMore { location, needed, shipped, .. } => {
                    assert_eq!(shipped, 0);
                    ("reserve", location, needed)
                }
                StockCommand::ReleaseBeyond { location, needed, .. } => ("release beyond", location, needed),
                StockCommand::Commit { location, shipped, .. } => ("commit", location, shipped),
                StockCommand::Receive(_)
                | StockCommand::Adjust(_)
                | StockCommand::Transfer(_)
                | StockCommand::PutBack(_)
                | StockCommand::SetBackorderLimit(_)
                | StockCommand::CheckOnHand { .. }
                | StockCommand::Reserve(_)
                | StockCommand::SetLowStockThreshold(_)
                | StockCommand::Release { .. } => panic!("an edit is nothing of that"),
            };
            moves.push((what, sku.to_string(), location.to_string(), units));
        }
    }
    moves
}

fn of_a(what: &'static str, location: &str, units: u32) -> (&'static str, String, String, u32) {
    (what, "a".to_owned(), location.to_owned(), units)
}

fn capture(id: &str, payment_number: Option<u32>, amount_minor: i64) -> OrderCommand {
    OrderCommand::RecordPaymentCaptured(PaymentCaptured {
        shipment_id: ShipmentId::parse(id).unwrap(),
        amount_minor,
        reference: "cap".into(),
        payment_number,
    })
}

/// `(SKU, location, quantity, shipped, settled)`.
fn allocations(order: &Order) -> Vec<(&str, &str, u32, u32, u32)> {
    let allocations = placed(order).allocations.iter();
    allocations.map(|it| (it.sku.as_str(), it.location.as_str(), it.quantity, it.shipped, it.settled)).collect()
}

/// Three units of `a`, of which the third is at another location than those before it.
fn in_two_places() -> Order {
    let mut order = ordered("");
    asks(&mut order, "up", CARD);
    pays(&mut order, 2, 1_000);
    assert_eq!(
        moves(&mut order, edited("up", vec![units_at("berlin", "a", 1)])),
        [of_a("release beyond", "default", 2), of_a("reserve", "berlin", 1)]
    );
    order
}

/// The same as a read model folds it, which does not keep what was reserved.
fn without_reserved_units() -> Order {
    let mut order = ordered("");
    asks(&mut order, "up", CARD);
    pays(&mut order, 2, 1_000);
    let events = decide(&order, edited("up", vec![units_at("berlin", "a", 1)])).unwrap();
    let Order::Placed(before) = &mut order else { panic!() };
    let OrderStockState::Reserved(reserved) = &mut before.stock else { panic!() };
    reserved.units.clear();
    events.into_iter().for_each(|event| evolve(&mut order, event));
    order
}

#[test]
fn units_that_an_edit_adds_elsewhere_are_beside_those_that_were_there_before() {
    let mut order = in_two_places();
    assert_eq!(allocations(&order), [("a", "default", 2, 0, 0), ("a", "berlin", 1, 0, 0)]);
    assert_eq!(placed(&without_reserved_units()).allocations, placed(&order).allocations);
    ships(&mut order, "s", 3);
    moves(&mut order, capture("s", Some(1), 2_000));
    let settled = [of_a("commit", "default", 2), of_a("commit", "berlin", 1)];
    assert_eq!(moves(&mut order, capture("s", Some(2), 1_000)), settled);
}

#[test]
fn what_was_shipped_before_units_came_from_elsewhere_was_shipped_from_the_default_location() {
    let mut order = ordered("");
    asks(&mut order, "up", CARD);
    pays(&mut order, 2, 1_000);
    applies(&mut order, "up", &[("a", 1)]);
    ships(&mut order, "s", 1);
    moves(&mut order, capture("s", Some(1), 1_000));
    ships(&mut order, "t", 1);
    asks(&mut order, "more", r#"{"lines":[{"lineNumber":1,"quantity":5}]}"#);
    assert_eq!(placed(&order).units_to_reserve().into_values().collect::<Vec<_>>(), [2]);
    pays(&mut order, 3, 2_000);
    applies_at(&mut order, "more", "berlin", 2);
    assert_eq!(allocations(&order), [("a", "default", 3, 2, 1), ("a", "berlin", 2, 0, 0)]);
    let settled = [of_a("commit", "default", 2), of_a("commit", "berlin", 0)];
    assert_eq!(moves(&mut order, capture("t", Some(1), 1_000)), settled);
    // More from where some are already is added to them.
    asks(&mut order, "again", r#"{"lines":[{"lineNumber":1,"quantity":6}]}"#);
    assert_eq!(placed(&order).units_to_reserve().into_values().collect::<Vec<_>>(), [1]);
    pays(&mut order, 4, 1_000);
    let moved = moves(&mut order, edited("again", vec![units_at("berlin", "a", 1)]));
    assert_eq!(moved, [of_a("release beyond", "default", 1), of_a("reserve", "berlin", 3)]);
    assert_eq!(allocations(&order), [("a", "default", 3, 2, 2), ("a", "berlin", 3, 0, 0)]);
}

fn applies_at(order: &mut Order, id: &str, location: &str, quantity: u32) {
    assert_eq!(take(order, edited(id, vec![units_at(location, "a", quantity)])), ["OrderEdited"]);
}

#[test]
fn units_that_an_edit_takes_away_are_released_where_they_were_allocated_last() {
    let mut order = in_two_places();
    asks(&mut order, "down", r#"{"lines":[{"lineNumber":1,"quantity":1}]}"#);
    assert_eq!(placed(&order).units_to_reserve().len(), 0);
    let released = [of_a("release beyond", "default", 1), of_a("release beyond", "berlin", 0)];
    assert_eq!(moves(&mut order, edited("down", vec![])), released);
    assert_eq!(allocations(&order), [("a", "default", 1, 0, 0), ("a", "berlin", 0, 0, 0)]);
    // What is stored of it folds on alike.
    let mut read: Order = serde_json::from_str(&serde_json::to_string(&order).unwrap()).unwrap();
    for order in [&mut order, &mut read] {
        ships(order, "s", 1);
    }
    assert_eq!(allocations(&read), allocations(&order));
}

#[test]
fn a_sku_that_is_counted_since_the_order_was_made_is_reserved_with_what_is_not_settled() {
    let mut order = ordered("");
    let Order::Placed(before) = &mut order else { panic!() };
    let OrderStockState::Reserved(reserved) = &mut before.stock else { panic!() };
    reserved.units.clear();
    ships(&mut order, "s", 1);
    asks(&mut order, "up", CARD);
    assert_eq!(placed(&order).units_to_reserve().into_values().collect::<Vec<_>>(), [3]);
    pays(&mut order, 2, 1_000);
    applies_at(&mut order, "up", "berlin", 3);
    assert_eq!(allocations(&order), [("a", "berlin", 3, 1, 0)]);
    assert_eq!(moves(&mut order, capture("s", Some(1), 1_000)), [of_a("commit", "berlin", 1)]);
}

#[test]
fn a_reservation_grows_by_what_is_missing_and_remembers_what_was_shipped() {
    use crate::stock::{Stock, decide, evolve};
    let (order_id, expires_at) = (OrderId::parse("o").unwrap(), chrono::DateTime::UNIX_EPOCH);
    let mut stock = Stock::Untracked;
    let mut take = |command: StockCommand| {
        let events = decide(&stock, command)?;
        events.iter().cloned().for_each(|event| evolve(&mut stock, event));
        Ok::<_, crate::stock::StockError>(events.len())
    };
    let location = LocationId::default;
    let more = |needed, shipped| StockCommand::ReserveMore {
        unit: None,
        order_id: order_id.clone(),
        location: location(),
        needed,
        shipped,
        expires_at,
    };
    assert_eq!(take(more(2, 0)), Ok(0), "it is not tracked");
    take(StockCommand::Receive(StockReceived { unit: None, quantity: 5, location: location() })).unwrap();
    assert_eq!(take(more(2, 3)), Ok(1));
    assert_eq!(take(more(2, 3)), Ok(0), "it can be repeated");
    assert_eq!(take(more(6, 3)), Err(crate::stock::StockError::NotEnough { available: Quantity::of(3, None) }));
    assert_eq!(take(more(5, 0)), Ok(1));
    // Three were shipped before the SKU was counted: only what came after that leaves it.
    let commit = StockCommand::Commit { order_id: order_id.clone(), location: location(), shipped: 8 };
    assert_eq!(take(commit), Ok(1));
    let Stock::Tracked(tracked) = &stock else { panic!("it is not tracked") };
    assert_eq!((tracked.on_hand, tracked.reserved, tracked.sold), (0, 0, 5));
}

#[test]
fn goods_by_measure_are_reserved_by_the_thousandth() {
    let body = r#"{"orderId":"o","customerId":"c","totalAmount":15,"currency":"EUR",
                   "items":[{"sku":"a","title":"A","quantity":"1.5","unit":"kg","unitPrice":10}]}"#;
    let units = vec![units_at("default", "a", 1_500)];
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let reserved = OrderEvent::StockReserved(StockReserved { units, expires_at, backorders: vec![] });
    let (payment_number, reference, amount_minor) = (None, "pay-1".into(), 1_500);
    let paid = OrderEvent::PaymentAuthorized(PaymentAuthorized { payment_number, reference, amount_minor });
    let mut order = given([posted(body), reserved, paid, confirmed()]);
    let content = &placed(&order).content;
    let more = br#"{"editId":"e","lines":[{"lineNumber":1,"quantity":"2.25"}]}"#;
    let more = parse::parse_edit(more, &content.lines, Uuid::nil(), content.currency).unwrap();
    take(&mut order, OrderCommand::RequestEdit(more));
    pays(&mut order, 2, 750);
    let (a, kg) = (Sku::parse("a").unwrap(), UnitOfMeasure::parse("kg").unwrap());
    assert_eq!(placed(&order).units_to_reserve(), [(a.clone(), 750)].into());
    assert_eq!(placed(&order).unit_after_edit(&a), Some(kg));
    let before = order.clone();
    let events = decide(&order, edited("e", vec![units_at("default", "a", 750)])).unwrap();
    events.iter().cloned().for_each(|event| evolve(&mut order, event));
    assert_eq!((placed(&before).needed_by_sku()[&a], placed(&order).needed_by_sku()[&a]), (1_500, 2_250));
    let commands = implied_stock_commands(&OrderId::parse("o").unwrap(), placed(&order), &events[0]);
    let [(_, StockCommand::ReserveMore { needed, unit, .. })] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!((*needed, *unit), (2_250, Some(kg)));
}
