//! The rest of an order's life: cancelled, shipped, delivered, brought back, refunded.

use super::*;

fn cancel() -> OrderCommand {
    OrderCommand::CancelOrder(CancellationRequested { reason: None })
}

fn cancel_lines(id: &str, lines: Vec<LineQuantity>) -> OrderCommand {
    let cancellation_id = CancellationId::parse(id).unwrap();
    OrderCommand::CancelLines(CancelLines { cancellation_id, lines, reason: None })
}

fn ship(id: &str, lines: Option<Vec<LineQuantity>>) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines, parcels: vec![], location: None })
}

fn deliver(id: &str) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::DeliverShipment(DeliverShipment { shipment_id, delivered_at: None })
}

fn hold(id: &str) -> OrderCommand {
    let hold_id = HoldId::parse(id).unwrap();
    OrderCommand::HoldOrder(OrderHeld { hold_id, reason: "fraud check".into() })
}

fn captured(id: &str, amount_minor: i64) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::RecordPaymentCaptured(PaymentCaptured {
        payment_number: None,
        shipment_id,
        amount_minor,
        reference: "cap".into(),
    })
}

fn bring_back(id: &str, lines: Vec<LineQuantity>) -> OrderCommand {
    let return_id = ReturnId::parse(id).unwrap();
    OrderCommand::RequestReturn(ReturnRequested { return_id, lines, reason: None })
}

fn refund(id: &str, amount_minor: Option<i64>) -> OrderCommand {
    let refund_id = RefundId::parse(id).unwrap();
    OrderCommand::RequestRefund(RequestRefund { refund_id, amount_minor, reason: None })
}

/// Three of one line at 10.00.
fn three() -> Vec<OrderEvent> {
    let mut content = content();
    content.lines[0].quantity = 3;
    content.lines[0].unit_price_minor = 1_000;
    content.total_minor = 3_000;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 3_000,
    });
    vec![OrderEvent::OrderCreated(content), reserved(), held, confirmed()]
}

/// The order after commands that are all taken.
fn after(events: Vec<OrderEvent>, commands: impl IntoIterator<Item = OrderCommand>) -> Order {
    let mut order = given(events);
    for command in commands {
        let events = decide(&order, command.clone()).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        events.into_iter().for_each(|event| evolve(&mut order, event));
    }
    order
}

fn placed(order: &Order) -> &PlacedOrder {
    match order {
        Order::Placed(placed) => placed,
        Order::Absent => panic!("never placed"),
    }
}

fn edit(id: &str, quantity: u32) -> OrderCommand {
    let edit_id = EditId::parse(id).unwrap();
    OrderCommand::RequestEdit(RequestEdit { edit_id, changes: edit_of_line(quantity), payment: None, reason: None })
}

#[test]
fn what_people_may_ask_for_is_what_the_table_says() {
    let stages = [
        (vec![created()], OrderStage::Pending),
        (
            vec![created(), OrderEvent::CancellationRequested(CancellationRequested { reason: None })],
            OrderStage::Undoing,
        ),
        (three(), OrderStage::Confirmed),
    ];
    let mut at: Vec<(Order, OrderStage)> = stages.into_iter().map(|(events, stage)| (given(events), stage)).collect();
    at.push((after(three(), [hold("h")]), OrderStage::ConfirmedOnHold));
    at.push((after(three(), [edit("e", 4)]), OrderStage::Editing));
    at.push((after(three(), [ship("s", Some(line(1)))]), OrderStage::PartiallyShipped));
    at.push((after(three(), [ship("s", Some(line(1))), hold("h")]), OrderStage::PartiallyShippedOnHold));
    at.push((after(three(), [ship("s", Some(line(1))), edit("e", 4)]), OrderStage::PartiallyShippedEditing));
    at.push((
        after(three(), [ship("s", None), captured("s", 3_000), bring_back("back", line(1))]),
        OrderStage::Shipped,
    ));
    at.push((
        after(three(), [ship("s", None), captured("s", 3_000), OrderCommand::DeliverOrder]),
        OrderStage::Completed,
    ));
    let rejected = OrderRejected { reason: RejectionReason::NotPaidInTime };
    at.push((given([created(), OrderEvent::OrderRejected(rejected)]), OrderStage::Rejected));
    at.push((given([created(), OrderEvent::OrderCancelled(OrderCancelled { reason: None })]), OrderStage::Cancelled));
    assert_eq!(at.iter().map(|(_, stage)| *stage).collect::<Vec<_>>(), OrderStage::ALL);

    for (order, stage) in &at {
        assert_eq!(order.stage(), Some(*stage));
        for (action, stages) in &TRANSITIONS {
            let commands = match action {
                OrderAction::Cancel => vec![cancel(), cancel_lines("new", line(1))],
                OrderAction::Edit => vec![edit("new", 2)],
                OrderAction::Ship => vec![ship("new", None)],
                OrderAction::Deliver => vec![OrderCommand::DeliverOrder],
                OrderAction::DeliverShipment => vec![deliver("s")],
                OrderAction::ChangeTracking => vec![OrderCommand::ChangeTracking(ShipmentTrackingChanged {
                    shipment_id: ShipmentId::parse("s").unwrap(),
                    parcels: vec![Parcel { carrier: Some("DHL".into()), tracking: None }],
                })],
                OrderAction::Hold => vec![hold("new")],
                OrderAction::Release => vec![OrderCommand::ReleaseOrder(None)],
                OrderAction::RequestReturn => vec![bring_back("new", line(1))],
                OrderAction::ReceiveReturn => {
                    let return_id = ReturnId::parse("back").unwrap();
                    let receipt =
                        NewReceipt { receipt_id: ReceiptId::parse("new").unwrap(), lines: None, location: None };
                    let in_part = ReceiveReturn { return_id: return_id.clone(), receipt: Some(receipt) };
                    [ReceiveReturn::all_of(return_id), in_part].map(OrderCommand::ReceiveReturn).into()
                }
                OrderAction::CancelReturn => vec![OrderCommand::CancelReturn(ReturnCancelled {
                    return_id: ReturnId::parse("back").unwrap(),
                    reason: None,
                })],
                OrderAction::Refund => vec![refund("new", Some(1))],
                OrderAction::ResendMail => vec![OrderCommand::ResendMail(Uuid::from_u128(7))],
                OrderAction::AddNote => vec![OrderCommand::AddNote(NoteAdded {
                    note_id: NoteId::parse("new").unwrap(),
                    text: "x".into(),
                    author: None,
                })],
            };
            for command in commands {
                assert_eq!(command.action(), Some(*action));
                let not_allowed =
                    OrderError::NotAllowed { action: *action, stage: *stage, allowed: allowed_at(*stage) };
                let decided = decide(order, command);
                if stages.contains(stage) {
                    assert_ne!(decided, Err(not_allowed), "{action} when {stage}");
                } else {
                    // What is so already is no refusal.
                    assert!(decided == Err(not_allowed) || decided == Ok(vec![]), "{action} when {stage}: {decided:?}");
                }
            }
        }
    }
}

#[test]
fn a_refusal_says_what_is_possible_instead() {
    let refusal = decide(&given(three()), OrderCommand::DeliverOrder).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the order is confirmed: deliver is not possible; possible: cancel, edits, ship, hold, mails/{notificationId}/resend, notes"
    );
}

#[test]
fn an_order_is_cancelled_once_everything_is_undone() {
    let order = after(three(), [cancel()]);
    assert_eq!(decide(&order, cancel()), Ok(vec![]));
    assert_eq!(decide(&order, OrderCommand::CloseOrder), Err(OrderError::Stale));
    let order = after(
        three(),
        [
            cancel(),
            OrderCommand::RecordPaymentVoided(PaymentVoided::default()),
            OrderCommand::RecordStockReleased(StockReleased::default()),
        ],
    );
    let closed = decide(&order, OrderCommand::CloseOrder).unwrap();
    assert_eq!(closed, [OrderEvent::OrderCancelled(OrderCancelled { reason: None })]);
}

#[test]
fn a_cancelled_order_is_not_confirmed() {
    let order = after(vec![created(), reserved(), authorized()], [cancel()]);
    assert_eq!(decide(&order, OrderCommand::ConfirmOrder { mail_staff: false }), Err(OrderError::Stale));
}

#[test]
fn an_authorization_that_may_have_arrived_has_to_be_let_go_of() {
    // Units are reserved, so that the payment may have been asked for; nothing was recorded of it.
    let order = after(vec![created(), reserved()], [cancel()]);
    assert!(placed(&order).may_hold_money());
    let order = after(vec![created()], [cancel()]);
    assert!(!placed(&order).may_hold_money(), "it is never asked for before the units are settled");
}

#[test]
fn each_shipment_takes_what_it_is_worth() {
    let order = after(three(), [ship("s-1", Some(line(1))), captured("s-1", 1_000)]);
    assert_eq!(placed(&order).payment_status(), PaymentStatus::PartiallyCaptured);
    assert_eq!(placed(&order).fulfilment_status(), FulfilmentStatus::PartiallyShipped);
    let too_many = decide(&order, ship("s-2", Some(line(3))));
    assert_eq!(too_many, Err(OrderError::TooMany { line_number: 1, left: Quantity::of(2, None) }));
    let order = after(three(), [ship("s-1", Some(line(1))), ship("s-2", None)]);
    assert_eq!(placed(&order).shipments[1].lines, line(2));
    assert_eq!(decide(&order, captured("s-2", 2_001)), Err(OrderError::Stale), "more than it is worth");
}

#[test]
fn lines_that_are_not_there_or_named_twice_are_refused() {
    let order = given(three());
    let two = |a, b| {
        let line = |line_number| LineQuantity { line_number, quantity: 1 };
        Some(vec![line(a), line(b)])
    };
    assert_eq!(decide(&order, ship("s", two(1, 2))), Err(OrderError::NoSuchLine { line_number: 2 }));
    assert_eq!(decide(&order, ship("s", two(0, 1))), Err(OrderError::NoSuchLine { line_number: 0 }));
    assert_eq!(decide(&order, ship("s", two(1, 1))), Err(OrderError::LineTwice { line_number: 1 }));
}

#[test]
fn an_id_that_is_used_again_for_something_else_is_refused() {
    let order = after(three(), [ship("x", Some(line(1))), captured("x", 1_000), bring_back("x", line(1))]);
    assert_eq!(decide(&order, ship("x", Some(line(1)))), Ok(vec![]));
    assert_eq!(decide(&order, ship("x", Some(line(2)))), Err(OrderError::IdTaken { what: "shipment" }));
    assert_eq!(decide(&order, bring_back("x", line(2))), Err(OrderError::IdTaken { what: "return" }));
    // A return's worth goes back under the return's name.
    assert_eq!(decide(&order, refund("x", Some(1))), Err(OrderError::IdTaken { what: "return" }));
}

#[test]
fn what_came_back_is_refunded_as_far_as_it_was_not_before() {
    let shipped = [ship("s", None), captured("s", 3_000), refund("f", Some(2_500)), bring_back("r", line(1))];
    let order = after(three(), shipped);
    let receive = |return_id| OrderCommand::ReceiveReturn(ReceiveReturn::all_of(return_id));
    let events = decide(&order, receive(ReturnId::parse("r").unwrap())).unwrap();
    let [OrderEvent::ReturnReceived(received)] = &events[..] else { panic!("not received: {events:?}") };
    assert_eq!(received.refund_minor, 500);
    assert_eq!(decide(&order, refund("g", Some(501))), Err(OrderError::MoreThanCaptured { left_minor: 500 }));
    let missing = ReturnId::parse("other").unwrap();
    let refused = decide(&order, receive(missing.clone()));
    assert_eq!(refused, Err(OrderError::NoSuchReturn(missing)));
}

#[test]
fn a_mail_is_owed_for_each_thing_that_happened() {
    assert_eq!(placed(&given([created()])).owed_mail(), None);
    assert_eq!(placed(&given(three())).owed_mail(), Some((MailTemplate::OrderConfirmed, 0)));
    let told = after(three(), [OrderCommand::RecordNotificationSent(sent())]);
    assert_eq!(placed(&told).owed_mail(), None);
    let told = OrderCommand::RecordNotificationSent(sent());
    let shipped = after(three(), [told, ship("s-1", Some(line(1))), ship("s-2", None)]);
    assert_eq!(placed(&shipped).owed_mail(), Some((MailTemplate::OrderShipped, 0)));
}
