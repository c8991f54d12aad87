//! Edits: what they change, what they take, and what ends them.

mod mails;
mod operators;
mod taxes;
mod units;

use super::*;

const CARD: &str = r#"{"lines":[{"lineNumber":1,"quantity":3}]}"#;

fn posted(body: &str) -> OrderEvent {
    OrderEvent::OrderCreated(PostedOrder::parse(body.as_bytes()).unwrap().content)
}

/// Two units at 10.00, promised and paid with one card.
fn ordered(extra: &str) -> Order {
    let body = format!(
        r#"{{"orderId":"o","customerId":"c","totalAmount":20,"currency":"EUR","paymentToken":"tok_visa",
             "items":[{{"sku":"a","title":"A","quantity":2,"unitPrice":10}}]{extra}}}"#
    );
    let units = vec![units_at("default", "a", 2)];
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    given([
        posted(&body),
        OrderEvent::StockReserved(StockReserved { units, expires_at, backorders: vec![] }),
        OrderEvent::PaymentAuthorized(PaymentAuthorized {
            payment_number: None,
            reference: "pay-1".into(),
            amount_minor: 2_000,
        }),
        confirmed(),
    ])
}

fn edit(id: &str, body: &str) -> RequestEdit {
    let currency = crate::money::Currency::parse("EUR").unwrap();
    let mut edit = parse::parse_edit(body.as_bytes(), &[], Uuid::nil(), currency).unwrap();
    edit.edit_id = EditId::parse(id).unwrap();
    edit
}

fn placed(order: &Order) -> &PlacedOrder {
    let Order::Placed(placed) = order else { panic!("it was not placed") };
    placed
}

/// Decides, applies what comes of it, and names the events.
fn take(order: &mut Order, command: OrderCommand) -> Vec<&'static str> {
    let events = decide(order, command).unwrap();
    events.iter().cloned().for_each(|event| evolve(order, event));
    events.iter().map(OrderEvent::name).collect()
}

fn asks(order: &mut Order, id: &str, body: &str) -> Vec<&'static str> {
    take(order, OrderCommand::RequestEdit(edit(id, body)))
}

fn pays(order: &mut Order, number: u32, amount_minor: i64) -> Vec<&'static str> {
    let (reference, payment_number) = (format!("pay-{number}"), Some(number));
    take(order, OrderCommand::RecordPaymentAuthorized(PaymentAuthorized { payment_number, reference, amount_minor }))
}

fn units_at(location: &str, sku: &str, quantity: u32) -> SkuQuantity {
    SkuQuantity { sku: Sku::parse(sku).unwrap(), quantity, location: LocationId::parse(location).unwrap() }
}

fn edited(id: &str, units: Vec<SkuQuantity>) -> OrderCommand {
    OrderCommand::RecordOrderEdited { edit_id: EditId::parse(id).unwrap(), units }
}

fn applies(order: &mut Order, id: &str, units: &[(&str, u32)]) -> Vec<&'static str> {
    let units = units.iter().map(|(sku, quantity)| units_at("default", sku, *quantity)).collect();
    take(order, edited(id, units))
}

fn ships(order: &mut Order, id: &str, quantity: u32) {
    take(order, OrderCommand::ShipOrder(shipment(id, Some(line(quantity)))));
}

fn shipment(id: &str, lines: Option<Vec<LineQuantity>>) -> ShipOrder {
    ShipOrder { shipment_id: ShipmentId::parse(id).unwrap(), lines, parcels: vec![], location: None }
}

/// Where an edit is wrong, and by which rule.
fn wrong(order: &Order, body: &str) -> Vec<(String, &'static str)> {
    match decide(order, OrderCommand::RequestEdit(edit("wrong", body))) {
        Err(OrderError::InvalidEdit(violations)) => violations.into_iter().map(|it| (it.pointer, it.code)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_greater_quantity_is_paid_by_a_payment_of_its_own_before_the_order_changes() {
    let mut order = ordered("");
    assert_eq!(asks(&mut order, "e", CARD), ["OrderEditRequested"]);
    let added = placed(&order).next_to_authorize().unwrap();
    assert_eq!((added.number, added.amount_minor), (2, 1_000));
    assert_eq!(added.token.as_ref().map(PaymentToken::as_str), Some("tok_visa"));
    assert_eq!((placed(&order).stage(), placed(&order).content.total_minor), (OrderStage::Editing, 2_000));
    assert_eq!(placed(&order).payment_status(), PaymentStatus::Authorized);
    assert_eq!(placed(&order).units_to_reserve().values().sum::<u32>(), 1);
    pays(&mut order, 2, 1_000);
    assert_eq!(applies(&mut order, "e", &[("a", 1)]), ["OrderEdited"]);
    let after = placed(&order);
    assert_eq!((after.stage(), after.content.total_minor), (OrderStage::Confirmed, 3_000));
    assert_eq!((after.held_minor(), after.needed_by_sku().values().sum::<u32>()), (3_000, 3));
    // What is shipped draws on the first payment first.
    ships(&mut order, "s", 3);
    let shipment = ShipmentId::parse("s").unwrap();
    assert_eq!([1, 2].map(|number| placed(&order).capture_minor(&shipment, number)), [2_000, 1_000]);
}

#[test]
fn the_same_edit_again_changes_nothing_and_another_under_its_id_is_refused() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    assert_eq!(asks(&mut order, "e", CARD), [""; 0]);
    pays(&mut order, 2, 1_000);
    applies(&mut order, "e", &[("a", 1)]);
    assert_eq!(asks(&mut order, "e", CARD), [""; 0]);
    assert_eq!(applies(&mut order, "e", &[("a", 1)]), [""; 0]);
    let other = edit("e", r#"{"lines":[{"lineNumber":1,"quantity":4}]}"#);
    assert_eq!(decide(&order, OrderCommand::RequestEdit(other)), Err(OrderError::IdTaken { what: "edit" }));
}

#[test]
fn an_order_that_was_edited_is_still_the_one_that_was_posted() {
    let mut order = ordered("");
    let content = placed(&order).content.clone();
    asks(&mut order, "e", r#"{"lines":[{"lineNumber":1,"quantity":1}]}"#);
    applies(&mut order, "e", &[]);
    assert_ne!(placed(&order).content, content);
    assert_eq!(decide(&order, OrderCommand::CreateOrder(content)), Ok(vec![]));
}

#[test]
fn while_an_edit_is_in_work_nothing_is_shipped_and_no_other_edit_is_taken() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    let other = OrderCommand::RequestEdit(edit("f", CARD));
    let ship = shipment("s", None);
    for command in [other, OrderCommand::ShipOrder(ship), OrderCommand::DeliverOrder] {
        let refused = decide(&order, command);
        assert!(matches!(refused, Err(OrderError::NotAllowed { stage: OrderStage::Editing, .. })), "{refused:?}");
    }
    take(
        &mut order,
        OrderCommand::AddNote(NoteAdded {
            note_id: NoteId::parse("n").unwrap(),
            text: "still taken".into(),
            author: None,
        }),
    );
}

#[test]
fn a_declined_difference_leaves_the_order_as_it_was_and_the_payments_number_is_never_used_again() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    let declined = PaymentDeclined { payment_number: Some(2), code: "no".into(), message: "no funds".into() };
    let command = OrderCommand::RecordPaymentDeclined(declined);
    assert_eq!(take(&mut order, command), ["PaymentDeclined", "OrderEditRejected"]);
    let after = placed(&order);
    assert_eq!((after.stage(), after.content.total_minor, after.undoing.clone()), (OrderStage::Confirmed, 2_000, None));
    assert_eq!((after.payment_status(), after.next_abandoned()), (PaymentStatus::Authorized, None));
    asks(&mut order, "f", CARD);
    assert_eq!(placed(&order).next_to_authorize().map(|payment| payment.number), Some(3));
}

#[test]
fn a_cancellation_ends_the_edit_and_what_may_be_held_for_it_is_let_go_of() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    let cancel = CancellationRequested { reason: None };
    assert_eq!(take(&mut order, OrderCommand::CancelOrder(cancel)), ["CancellationRequested", "OrderEditRejected"]);
    // Nobody knows whether the provider was asked already.
    assert_eq!(placed(&order).next_to_void().map(|payment| payment.number), Some(2));
    // A late answer is recorded, so that the money can be let go of.
    assert_eq!(pays(&mut order, 2, 1_000), ["PaymentAuthorized"]);
    for payment_number in [Some(2), Some(1)] {
        take(&mut order, OrderCommand::RecordPaymentVoided(PaymentVoided { payment_number, released_minor: None }));
    }
    assert!(!placed(&order).may_hold_money());
    assert_eq!(
        decide(
            &order,
            OrderCommand::RecordPaymentAuthorized(PaymentAuthorized {
                payment_number: Some(2),
                reference: "pay-2b".into(),
                amount_minor: 1_000,
            })
        ),
        Err(OrderError::Stale)
    );
}

#[test]
fn a_cancellation_of_lines_ends_the_edit_and_the_order_goes_on() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    pays(&mut order, 2, 1_000);
    let cancellation_id = CancellationId::parse("c").unwrap();
    let command = OrderCommand::CancelLines(CancelLines { cancellation_id, lines: line(1), reason: None });
    assert_eq!(take(&mut order, command), ["LinesCancelled", "OrderEditRejected"]);
    assert_eq!(placed(&order).stage(), OrderStage::Confirmed);
    assert_eq!(placed(&order).next_abandoned().map(|payment| payment.number), Some(2));
    let edit_id = EditId::parse("e").unwrap();
    assert_eq!(decide(&order, OrderCommand::RecordOrderEdited { edit_id, units: vec![] }), Err(OrderError::Stale));
    take(
        &mut order,
        OrderCommand::RecordPaymentVoided(PaymentVoided { payment_number: Some(2), released_minor: None }),
    );
    assert_eq!((placed(&order).next_abandoned(), placed(&order).held_minor()), (None, 2_000));
}

#[test]
fn a_smaller_quantity_after_a_partial_shipment_is_not_captured_and_the_rest_is_let_go_of() {
    let mut order = ordered("");
    asks(&mut order, "up", r#"{"lines":[{"lineNumber":1,"quantity":3}]}"#);
    pays(&mut order, 2, 1_000);
    applies(&mut order, "up", &[("a", 1)]);
    ships(&mut order, "s", 1);
    take(
        &mut order,
        OrderCommand::RecordPaymentCaptured(PaymentCaptured {
            shipment_id: ShipmentId::parse("s").unwrap(),
            amount_minor: 1_000,
            reference: "cap".into(),
            payment_number: None,
        }),
    );
    let preview = placed(&order).preview_edit(&edit("down", r#"{"lines":[{"lineNumber":1,"quantity":2}]}"#)).unwrap();
    assert_eq!((preview.totals.total_minor, preview.payment), (2_000, None));
    assert_eq!((preview.released_minor, preview.refunded_minor), (1_000, 0));
    asks(&mut order, "down", r#"{"lines":[{"lineNumber":1,"quantity":2}]}"#);
    assert_eq!(placed(&order).stage(), OrderStage::PartiallyShippedEditing);
    applies(&mut order, "down", &[]);
    ships(&mut order, "t", 1);
    take(
        &mut order,
        OrderCommand::RecordPaymentCaptured(PaymentCaptured {
            shipment_id: ShipmentId::parse("t").unwrap(),
            amount_minor: 1_000,
            reference: "cap".into(),
            payment_number: Some(1),
        }),
    );
    assert_eq!(placed(&order).payment_status(), PaymentStatus::Captured);
    assert_eq!(placed(&order).next_rest_to_void().map(|payment| payment.number), Some(2));
}

#[test]
fn what_was_shipped_keeps_its_price_its_address_and_its_units() {
    let mut order = ordered("");
    ships(&mut order, "s", 1);
    for (body, pointer, code) in [
        (r#"{"lines":[{"lineNumber":1,"unitPrice":9}]}"#, "/lines/0", "shipped"),
        (r#"{"lines":[{"lineNumber":1,"quantity":0}]}"#, "/lines/0/quantity", "too_few"),
        (r#"{"lines":[{"lineNumber":1,"quantity":1}]}"#, "/lines", "all_of_it"),
        (r#"{"discounts":[{"amount":1}]}"#, "/lines", "shipped"),
        (
            r#"{"shippingAddress":{"line1":"1 Main St","city":"Berlin","postalCode":"10115","country":"DE"}}"#,
            "/shippingAddress",
            "shipped",
        ),
        (r#"{"shipping":{"method":"express","amount":5}}"#, "/shipping", "shipped"),
    ] {
        assert_eq!(wrong(&order, body), [(pointer.to_owned(), code)], "{body}");
    }
    // The other unit is another line's, at another price.
    let body = r#"{"addedLines":[{"sku":"b","quantity":1,"unitPrice":7}]}"#;
    assert_eq!(asks(&mut order, "e", body), ["OrderEditRequested"]);
}

#[test]
fn what_does_not_fit_an_order_is_named() {
    let order = ordered("");
    for (body, pointer, code) in [
        (r#"{"lines":[{"lineNumber":2,"quantity":1}]}"#, "/lines/0/lineNumber", "no_such_line"),
        (
            r#"{"lines":[{"lineNumber":1,"quantity":1},{"lineNumber":1,"quantity":3}]}"#,
            "/lines/1/lineNumber",
            "line_twice",
        ),
        (r#"{"lines":[{"lineNumber":1,"quantity":2}]}"#, "", "changes_nothing"),
        (r#"{"lines":[{"lineNumber":1,"quantity":0}]}"#, "/lines", "all_of_it"),
        (r#"{"lines":[{"lineNumber":1,"discounts":[{"amount":21}]}]}"#, "/lines/0/discounts", "more_than_the_price"),
        (r#"{"discounts":[{"amount":21}]}"#, "/discounts", "more_than_the_price"),
        (
            r#"{"lines":[{"lineNumber":1,"taxes":[{"name":"t","rate":"0.1","amount":21,"included":true}]}]}"#,
            "/lines/0/taxes",
            "more_than_the_price",
        ),
    ] {
        assert_eq!(wrong(&order, body), [(pointer.to_owned(), code)], "{body}");
    }
}

#[test]
fn a_line_with_taxes_needs_new_ones_with_another_quantity() {
    let mut order = ordered("");
    asks(&mut order, "e", r#"{"lines":[{"lineNumber":1,"taxes":[{"name":"t","rate":"0.1","amount":2}]}]}"#);
    pays(&mut order, 2, 200);
    applies(&mut order, "e", &[]);
    assert_eq!(wrong(&order, CARD), [("/lines/0/taxes".to_owned(), "required")]);
}

#[test]
fn a_removed_line_keeps_its_number_and_an_added_one_gets_the_next() {
    let mut order = ordered("");
    let body = r#"{"lines":[{"lineNumber":1,"quantity":0}],"addedLines":[{"sku":"b","quantity":1,"unitPrice":20}]}"#;
    asks(&mut order, "e", body);
    assert_eq!(placed(&order).next_to_authorize(), None);
    applies(&mut order, "e", &[("b", 1)]);
    let after = placed(&order);
    assert_eq!(after.unshipped(), [LineQuantity { line_number: 2, quantity: 1 }]);
    let OrderStockState::Reserved(reserved) = &after.stock else { panic!("{:?}", after.stock) };
    let units: Vec<_> = reserved.units.iter().map(|it| (it.sku.as_str(), it.quantity)).collect();
    assert_eq!(units, [("a", 0), ("b", 1)]);
}

#[test]
fn what_was_paid_elsewhere_needs_a_payment_for_the_difference_and_gives_back_what_is_too_much() {
    let payments = r#","payments":[{"method":"transfer","amount":20,"reference":"t-1"}]"#;
    let body = format!(
        r#"{{"orderId":"o","customerId":"c","totalAmount":20,"currency":"EUR",
             "items":[{{"sku":"a","title":"A","quantity":2,"unitPrice":10}}]{payments}}}"#
    );
    let mut order = given([posted(&body), reserved(), confirmed()]);
    assert_eq!(wrong(&order, CARD), [("/payment".to_owned(), "required")]);
    let less = edit("e", r#"{"lines":[{"lineNumber":1,"quantity":1}]}"#);
    let preview = placed(&order).preview_edit(&less).unwrap();
    assert_eq!((preview.released_minor, preview.refunded_minor), (0, 1_000));
    let more = r#"{"lines":[{"lineNumber":1,"quantity":3}],"payment":{"method":"card","token":"tok_visa"}}"#;
    asks(&mut order, "f", more);
    assert_eq!(placed(&order).next_to_authorize().map(|it| it.amount_minor), Some(1_000));
}

#[test]
fn an_answer_about_the_only_payment_that_comes_after_an_edit_was_asked_for_is_about_that_payment() {
    let mut order = ordered("");
    ships(&mut order, "s", 1);
    asks(&mut order, "e", CARD);
    let captured = PaymentCaptured {
        shipment_id: ShipmentId::parse("s").unwrap(),
        amount_minor: 1_000,
        reference: "cap".into(),
        payment_number: None,
    };
    take(&mut order, OrderCommand::RecordPaymentCaptured(captured));
    assert_eq!(placed(&order).payments.iter().map(|it| it.captured_minor).collect::<Vec<_>>(), [1_000, 0]);
}

#[test]
fn an_edited_order_that_is_stored_and_read_is_the_same() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    pays(&mut order, 2, 1_000);
    applies(&mut order, "e", &[("a", 1)]);
    asks(&mut order, "f", r#"{"lines":[{"lineNumber":1,"quantity":5}]}"#);
    let json = serde_json::to_string(&order).unwrap();
    let mut read: Order = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    let amounts = |order: &Order| placed(order).payments.iter().map(|it| it.amount_minor).collect::<Vec<_>>();
    assert_eq!((amounts(&read), amounts(&order)), (vec![2_000, 1_000, 2_000], vec![2_000, 1_000, 2_000]));
    // What a read model folds further has the same end.
    for order in [&mut order, &mut read] {
        let rejected =
            OrderEditRejected { edit_id: EditId::parse("f").unwrap(), reason: EditRejectionReason::Cancelled };
        evolve(order, OrderEvent::OrderEditRejected(rejected));
    }
    assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&order).unwrap());
}
