//! How much one order can hold.

use super::*;

const FEW: OrderGrowthLimits = OrderGrowthLimits {
    notes: 2,
    shipments: 1,
    cancellations: 1,
    edits: 1,
    tracking_changes: 1,
    holds: 1,
    returns: 1,
    receipts: 1,
    refunds: 1,
    resends: 1,
    bytes: 10_000,
};

fn note(n: u32, text: &str) -> OrderCommand {
    let note_id = NoteId::parse(format!("n-{n}")).unwrap();
    OrderCommand::AddNote(NoteAdded { note_id, text: text.to_owned(), author: None })
}

fn ship(id: &str, quantity: u32) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines: Some(line(quantity)), parcels: vec![], location: None })
}

fn bring_back(id: &str) -> OrderCommand {
    let return_id = ReturnId::parse(id).unwrap();
    OrderCommand::RequestReturn(ReturnRequested { return_id, lines: line(1), reason: None })
}

fn cancel(id: &str, quantity: u32) -> OrderCommand {
    let cancellation_id = CancellationId::parse(id).unwrap();
    OrderCommand::CancelLines(CancelLines { cancellation_id, lines: line(quantity), reason: None })
}

fn refund(id: &str) -> OrderCommand {
    let refund_id = RefundId::parse(id).unwrap();
    OrderCommand::RequestRefund(RequestRefund { refund_id, amount_minor: Some(1), reason: None })
}

fn change_tracking(id: &str, tracking: &str) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    let parcels = vec![Parcel { carrier: None, tracking: Some(tracking.to_owned()) }];
    OrderCommand::ChangeTracking(ShipmentTrackingChanged { shipment_id, parcels })
}

fn edit(id: &str, quantity: u32) -> OrderCommand {
    let edit_id = EditId::parse(id).unwrap();
    OrderCommand::RequestEdit(RequestEdit { edit_id, changes: edit_of_line(quantity), payment: None, reason: None })
}

fn rejected(id: &str) -> OrderCommand {
    let (edit_id, reason) = (EditId::parse(id).unwrap(), EditRejectionReason::Cancelled);
    OrderCommand::RecordOrderEditRejected(OrderEditRejected { edit_id, reason })
}

fn hold(id: &str) -> OrderCommand {
    OrderCommand::HoldOrder(OrderHeld { hold_id: HoldId::parse(id).unwrap(), reason: "fraud check".into() })
}

/// Six of one line at 10.00, promised.
fn six() -> Order {
    let mut content = content();
    content.lines[0].quantity = 6;
    content.lines[0].unit_price_minor = 1_000;
    content.total_minor = 6_000;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 6_000,
    });
    given([OrderEvent::OrderCreated(content), reserved(), held, confirmed()])
}

fn carry_out(order: &mut Order, limits: OrderGrowthLimits, command: OrderCommand) -> Result<usize, OrderError> {
    let events = limits.decide(order, command)?;
    let count = events.len();
    events.into_iter().for_each(|event| evolve(order, event));
    Ok(count)
}

#[test]
fn of_everything_that_hangs_on_an_order_there_is_so_much_and_no_more() {
    let mut order = six();
    assert_eq!(carry_out(&mut order, FEW, ship("s-1", 2)), Ok(1));
    let captured = PaymentCaptured {
        payment_number: None,
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        amount_minor: 2_000,
        reference: "cap".into(),
    };
    evolve(&mut order, OrderEvent::PaymentCaptured(captured));
    let few = [
        edit("e-1", 7),
        rejected("e-1"),
        cancel("c-1", 1),
        change_tracking("s-1", "a"),
        bring_back("r-1"),
        refund("f-1"),
        note(1, "x"),
        note(2, "x"),
    ];
    for command in few.into_iter().chain([hold("h-1"), OrderCommand::ReleaseOrder(None)]) {
        assert_eq!(carry_out(&mut order, FEW, command), Ok(1));
    }
    for (command, action, limit) in [
        (ship("s-2", 1), OrderAction::Ship, 1),
        (cancel("c-2", 1), OrderAction::Cancel, 1),
        (change_tracking("s-1", "b"), OrderAction::ChangeTracking, 1),
        (bring_back("r-2"), OrderAction::RequestReturn, 1),
        (refund("f-2"), OrderAction::Refund, 1),
        (note(3, "x"), OrderAction::AddNote, 2),
        (hold("h-2"), OrderAction::Hold, 1),
        (edit("e-2", 8), OrderAction::Edit, 1),
    ] {
        assert_eq!(FEW.of(action), Some(limit));
        assert_eq!(carry_out(&mut order, FEW, command.clone()), Err(OrderError::TooManyOf { action, limit }));
        assert_eq!(carry_out(&mut order, OrderGrowthLimits::default(), command), Ok(1), "where more is allowed");
    }
    // What is so already is not too much, however much there is.
    for command in [
        ship("s-2", 1),
        cancel("c-2", 1),
        bring_back("r-2"),
        refund("f-2"),
        note(3, "x"),
        change_tracking("s-1", "b"),
        hold("h-2"),
    ] {
        assert_eq!(carry_out(&mut order, FEW, command), Ok(0));
    }
}

#[test]
fn the_shipment_that_leaves_nothing_is_taken_so_that_every_order_can_end() {
    let mut order = six();
    assert_eq!(carry_out(&mut order, FEW, ship("s-1", 2)), Ok(1));
    assert_eq!(carry_out(&mut order, FEW, ship("s-2", 4)), Ok(1));
    assert_eq!(carry_out(&mut order, FEW, OrderCommand::DeliverOrder), Ok(1));
}

#[test]
fn what_leaves_nothing_is_taken_in_whatever_order_its_lines_are_named() {
    let mut content = content();
    content.lines = vec![OrderLine { quantity: 3, unit_price_minor: 1, ..content.lines[0].clone() }; 2];
    content.total_minor = 6;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 6,
    });
    let promised = given([OrderEvent::OrderCreated(content), reserved(), held, confirmed()]);
    let lines = |numbers: [u32; 2], quantity| {
        numbers.map(|line_number| LineQuantity { line_number, quantity }).into_iter().collect::<Vec<_>>()
    };
    let ship = |id: &str, lines| {
        let shipment_id = ShipmentId::parse(id).unwrap();
        OrderCommand::ShipOrder(ShipOrder { shipment_id, lines: Some(lines), parcels: vec![], location: None })
    };
    let cancel = |id: &str, lines| {
        let cancellation_id = CancellationId::parse(id).unwrap();
        OrderCommand::CancelLines(CancelLines { cancellation_id, lines, reason: None })
    };
    let rest = lines([2, 1], 1);
    for last in [ship("s-2", rest.clone()), cancel("c-2", rest)] {
        let mut order = promised.clone();
        carry_out(&mut order, FEW, ship("s-1", lines([1, 2], 1))).unwrap();
        carry_out(&mut order, FEW, cancel("c-1", lines([1, 2], 1))).unwrap();
        assert_eq!(carry_out(&mut order, FEW, last), Ok(1));
    }
}

#[test]
fn bytes_count_too() {
    let mut order = six();
    let long = "ä".repeat(4_000);
    assert_eq!(carry_out(&mut order, FEW, note(1, &long)), Ok(1));
    assert_eq!(carry_out(&mut order, FEW, note(2, &long)), Err(OrderError::TooMuch { limit_bytes: 10_000 }));
    assert_eq!(carry_out(&mut order, FEW, note(2, "short")), Ok(1));
}

/// The event that makes an edit says its changes again.
#[test]
fn a_preview_is_refused_as_the_edit_would_be_and_what_is_said_twice_counts_twice() {
    let mut order = six();
    let OrderCommand::RequestEdit(more) = edit("e-2", 8) else { panic!("no edit") };
    carry_out(&mut order, FEW, edit("e-1", 7)).unwrap();
    carry_out(&mut order, FEW, rejected("e-1")).unwrap();
    let Order::Placed(placed) = &order else { panic!("{order:?}") };
    let limit = OrderError::TooManyOf { action: OrderAction::Edit, limit: 1 };
    assert_eq!(FEW.preview_edit(placed, &more), Err(limit));
    assert!(OrderGrowthLimits::default().preview_edit(placed, &more).is_ok());
    let taken = RequestEdit { edit_id: EditId::parse("e-1").unwrap(), ..more.clone() };
    let refused = OrderGrowthLimits::default().preview_edit(placed, &taken);
    assert_eq!(refused, Err(OrderError::IdTaken { what: "edit" }));

    let mut long = more;
    long.changes.added_lines = vec![OrderLine { title: "ä".repeat(1_500), ..content().lines[0].clone() }; 2];
    let bytes = OrderGrowthLimits { bytes: 10_000, ..OrderGrowthLimits::default() };
    assert_eq!(bytes.preview_edit(placed, &long), Err(OrderError::TooMuch { limit_bytes: 10_000 }));
    let bytes = OrderGrowthLimits { bytes: 20_000, ..bytes };
    assert!(bytes.preview_edit(placed, &long).is_ok());
}

#[test]
fn a_refusal_names_the_limit() {
    let refusal = OrderError::TooManyOf { action: OrderAction::AddNote, limit: 1_000 };
    assert_eq!(refusal.to_string(), "an order takes 1000 notes at the most, and this one has as many");
}

#[test]
fn what_became_of_the_lines_is_counted_anew_when_a_stored_order_is_read() {
    let mut order = six();
    for command in [ship("s-1", 2), ship("s-2", 1), bring_back("r-1"), note(1, "x")] {
        carry_out(&mut order, OrderGrowthLimits::default(), command).unwrap();
    }
    evolve(
        &mut order,
        OrderEvent::PaymentCaptured(PaymentCaptured {
            payment_number: None,
            shipment_id: ShipmentId::parse("s-1").unwrap(),
            amount_minor: 2_000,
            reference: "cap".into(),
        }),
    );
    let cancelled = cancel("c-1", 1);
    carry_out(&mut order, OrderGrowthLimits::default(), cancelled).unwrap();
    let back = OrderCommand::ReceiveReturn(ReceiveReturn::all_of(ReturnId::parse("r-1").unwrap()));
    carry_out(&mut order, OrderGrowthLimits::default(), back).unwrap();

    let stored = serde_json::to_string(&order).unwrap();
    let read: Order = serde_json::from_str(&stored).unwrap();

    assert_eq!(read, order);
    assert!(!stored.contains("counts"), "{stored}");
    let Order::Placed(placed) = read else { panic!("never placed") };
    let counts = LineUnitCounts { shipped: 3, settled: 2, cancelled: 1, returned: 1, received: 1 };
    assert_eq!(
        (placed.counts(1), placed.counts(0), placed.counts(2)),
        (counts, Default::default(), Default::default())
    );
}

#[test]
fn many_shipments_of_many_lines_cost_each_command_the_lines_alone() {
    let mut content = content();
    let line = OrderLine { quantity: 1_000, unit_price_minor: 1, ..content.lines[0].clone() };
    content.lines = vec![line; 500];
    content.total_minor = 500_000;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 500_000,
    });
    let mut order = given([OrderEvent::OrderCreated(content), reserved(), held, confirmed()]);
    let all = || (1..=500).map(|line_number| LineQuantity { line_number, quantity: 1 }).collect();
    // At a step for each line of each shipment and command this would be 125 billion.
    for n in 0..999 {
        let shipment_id = ShipmentId::parse(format!("s-{n}")).unwrap();
        let shipped = OrderShipped { shipment_id, lines: all(), parcels: vec![], location: None };
        evolve(&mut order, OrderEvent::OrderShipped(shipped));
        assert_eq!(order.stage(), Some(OrderStage::PartiallyShipped));
    }
    let too_many = decide(&order, ship("s", 2));
    assert_eq!(too_many, Err(OrderError::TooMany { line_number: 1, left: Quantity::of(1, None) }));
}

#[test]
fn what_a_command_adds_is_what_the_order_has_more_afterwards() {
    let mut order = six();
    let carried_out = [
        ship("s-1", 2),
        ship("s-2", 1),
        change_tracking("s-1", "first"),
        change_tracking("s-1", "ä"),
        hold("h-1"),
        bring_back("r-1"),
        cancel("c-1", 1),
        note(1, "ä gift"),
        note(2, ""),
        edit("e-1", 5),
    ];
    for command in carried_out {
        let Order::Placed(before) = order.clone() else { panic!("never placed") };
        let events = decide(&order, command.clone()).unwrap();
        events.iter().for_each(|event| evolve(&mut order, event.clone()));
        let Order::Placed(after) = &order else { panic!("never placed") };
        // The limit that the command just keeps, and the one that it just breaks.
        let bytes = after.attached_bytes();
        let kept = OrderGrowthLimits { bytes, ..OrderGrowthLimits::default() };
        let broken = OrderGrowthLimits { bytes: bytes - 1, ..OrderGrowthLimits::default() };
        let before = Order::Placed(before);
        assert_eq!(kept.decide(&before, command.clone()), Ok(events));
        assert_eq!(broken.decide(&before, command), Err(OrderError::TooMuch { limit_bytes: bytes - 1 }));
    }
}
