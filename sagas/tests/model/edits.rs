//! Edits in the model: what they come to, beside everything else that can happen.

use domain::ids::LocationId;
use domain::order::event::{EditRejectionReason, OrderEditRejected, Shortage, SkuQuantity};
use domain::order::{OrderCommand, OrderStage, Payment, PlacedOrder};
use stateright::{Checker, Model};

use crate::order::KnownOrder;
use crate::world::{Left, World};
use crate::{Bug, Fulfilment, NOTHING, check_from, settled};

const TWO_CARDS_OF_A_PLAIN_ORDER: &str = r#"{"method":"a","amount":500},{"method":"b","amount":1500}"#;

/// What the edit in work comes to with the units that there are. `None`: none is in work any more.
pub(crate) fn apply_edit(world: &World) -> Option<OrderCommand> {
    let order = &world.order.order;
    let edit_id = order.open_edit()?.id.clone();
    let needed = order.units_to_reserve();
    let available = world.stock.available();
    let shortages: Vec<Shortage> = needed
        .iter()
        .filter(|(_, units)| available < i64::from(**units))
        .map(|(sku, units)| Shortage { unit: None, sku: sku.clone(), requested: *units, available })
        .collect();
    if !shortages.is_empty() {
        let reason = EditRejectionReason::OutOfStock { shortages };
        return Some(OrderCommand::RecordOrderEditRejected(OrderEditRejected { edit_id, reason }));
    }
    let units = needed.into_iter().map(|(sku, quantity)| {
        let location = LocationId::default();
        SkuQuantity { sku, quantity, location }
    });
    let units = units.collect();
    Some(OrderCommand::RecordOrderEdited { edit_id, units })
}

/// The payment that is let go of next.
pub(crate) fn next_to_void(order: &PlacedOrder) -> Option<&Payment> {
    if order.undoing.is_none() { order.next_abandoned() } else { order.next_to_void() }
}

/// The same of an order whose price divides by its units, and that was promised.
fn check_edited(payments: &str, on_hand: u32, left: Left) -> usize {
    let mut promised = settled(&World::of(KnownOrder::plain(payments), on_hand, NOTHING), None).unwrap();
    assert_eq!(promised.order.order.stage(), OrderStage::Confirmed);
    promised.left = left;
    check_from(vec![promised])
}

#[test]
fn an_edit_with_two_crashes_two_duplicates_and_a_cancellation_leaves_nothing_half_done() {
    for on_hand in [3, 2] {
        let left = Left { crashes: 2, duplicates: 2, faults: 1, cancels: 1, edits: 1, ..NOTHING };
        let states = check_edited("", on_hand, left);
        assert!(states > 1_000, "{states} states");
    }
}

#[test]
fn edits_and_partial_shipments_are_each_paid_once_whatever_order_they_come_in() {
    let left = Left { crashes: 1, duplicates: 1, faults: 1, edits: 2, ships: 1, ..NOTHING };
    let states = check_edited("", 3, left);
    assert!(states > 1_000, "{states} states");
    let left = Left { faults: 1, edits: 1, ships: 2, cancels: 1, ..NOTHING };
    let states = check_edited("", 3, left);
    assert!(states > 1_000, "{states} states");
}

#[test]
fn edits_of_an_order_with_two_payments_move_each_of_its_money_once() {
    let left = Left { crashes: 2, duplicates: 1, edits: 1, ships: 1, cancels: 1, ..NOTHING };
    let states = check_edited(TWO_CARDS_OF_A_PLAIN_ORDER, 3, left);
    assert!(states > 200, "{states} states");
    let left = Left { crashes: 1, duplicates: 1, faults: 1, edits: 2, ships: 1, ..NOTHING };
    let states = check_edited(TWO_CARDS_OF_A_PLAIN_ORDER, 3, left);
    assert!(states > 1_000, "{states} states");
}

#[test]
fn whatever_operators_decide_about_an_edit_leaves_nothing_half_done() {
    let left = Left { faults: 1, operators: 1, edits: 1, ..NOTHING };
    let states = check_edited("", 3, left);
    assert!(states > 200, "{states} states");
}

#[test]
fn an_edits_authorization_that_nobody_recorded_and_nobody_lets_go_of_is_found() {
    let mut promised = settled(&World::of(KnownOrder::plain(""), 3, NOTHING), None).unwrap();
    promised.left = Left { crashes: 1, cancels: 1, edits: 1, ..NOTHING };
    let bug = Some(Bug::LetsGoOnlyOfWhatIsRecorded);
    let checker = Fulfilment { begin: vec![promised], bug }.checker().threads(2).spawn_bfs().join();
    let violated: Vec<_> = checker.discoveries().into_keys().collect();
    assert!(violated.contains(&"nothing is left of an order that was rejected or cancelled"), "{violated:?}");
}
