//! What holds whatever an order is asked to do, in whatever order.

use proptest::prelude::*;

use super::*;

const REFERENCE: &str = "pay-1";

fn id<T, E: std::fmt::Debug>(parse: impl Fn(String) -> Result<T, E>, n: u8) -> T {
    parse(format!("id-{n}")).unwrap()
}

fn lines() -> impl Strategy<Value = Vec<LineQuantity>> {
    let line = (1..=3_u32, 1..=3_u32).prop_map(|(line_number, quantity)| LineQuantity { line_number, quantity });
    prop::collection::vec(line, 1..3)
}

fn received_lines() -> impl Strategy<Value = Vec<ReceivedLine>> {
    let line = (1..=3_u32, 1..=2_u32, any::<bool>()).prop_map(|(line_number, quantity, restock)| ReceivedLine {
        line_number,
        quantity,
        condition: None,
        restock,
    });
    prop::collection::vec(line, 1..3)
}

fn people() -> impl Strategy<Value = OrderCommand> {
    prop_oneof![
        Just(OrderCommand::CancelOrder(CancellationRequested { reason: None })),
        (0..3_u8, prop::option::of(lines())).prop_map(|(n, lines)| OrderCommand::ShipOrder(ShipOrder {
            shipment_id: id(ShipmentId::parse, n),
            lines,
            parcels: vec![],
            location: None
        })),
        (0..3_u8, lines()).prop_map(|(n, lines)| OrderCommand::CancelLines(CancelLines {
            cancellation_id: id(CancellationId::parse, n),
            lines,
            reason: None
        })),
        (0..3_u8, 1..=2_u32, 0..5_u32).prop_map(|(n, line_number, quantity)| {
            let change = LineChange { line_number, quantity: Some(quantity), ..LineChange::default() };
            OrderCommand::RequestEdit(RequestEdit {
                edit_id: id(EditId::parse, n),
                changes: OrderChanges { lines: vec![change], ..OrderChanges::default() },
                payment: None,
                reason: None,
            })
        }),
        Just(OrderCommand::DeliverOrder),
        (0..3_u8, 0..3_usize).prop_map(|(n, parcels)| OrderCommand::ChangeTracking(ShipmentTrackingChanged {
            shipment_id: id(ShipmentId::parse, n),
            parcels: vec![Parcel { carrier: Some("DHL".into()), tracking: None }; parcels],
        })),
        (0..3_u8)
            .prop_map(|n| OrderCommand::HoldOrder(OrderHeld { hold_id: id(HoldId::parse, n), reason: "x".into() })),
        prop::option::of(0..3_u8).prop_map(|n| OrderCommand::ReleaseOrder(n.map(|n| id(HoldId::parse, n)))),
        (0..3_u8).prop_map(|n| OrderCommand::DeliverShipment(DeliverShipment {
            shipment_id: id(ShipmentId::parse, n),
            delivered_at: None
        })),
        (0..3_u8, lines()).prop_map(|(n, lines)| OrderCommand::RequestReturn(ReturnRequested {
            return_id: id(ReturnId::parse, n),
            lines,
            reason: None
        })),
        (0..3_u8).prop_map(|n| OrderCommand::ReceiveReturn(ReceiveReturn::all_of(id(ReturnId::parse, n)))),
        (0..3_u8, 0..4_u8, prop::option::of(received_lines())).prop_map(|(n, receipt, lines)| {
            let receipt = NewReceipt { receipt_id: id(ReceiptId::parse, receipt), lines, location: None };
            OrderCommand::ReceiveReturn(ReceiveReturn { return_id: id(ReturnId::parse, n), receipt: Some(receipt) })
        }),
        (0..3_u8).prop_map(|n| OrderCommand::CancelReturn(ReturnCancelled {
            return_id: id(ReturnId::parse, n),
            reason: None
        })),
        (0..3_u8, prop::option::of(-5..8_000_i64)).prop_map(|(n, amount_minor)| OrderCommand::RequestRefund(
            RequestRefund { refund_id: id(RefundId::parse, n), amount_minor, reason: None }
        )),
        Just(OrderCommand::ResendMail(Uuid::from_u128(7))),
        (0..3_u8).prop_map(|n| OrderCommand::AddNote(NoteAdded {
            note_id: id(NoteId::parse, n),
            text: "x".into(),
            author: None
        })),
    ]
}

fn reports() -> impl Strategy<Value = OrderCommand> {
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let shortage = Shortage { unit: None, sku: Sku::parse("sku-1").unwrap(), requested: 2, available: 1 };
    prop_oneof![
        3 => Just(OrderCommand::RecordStockReserved(StockReserved { units: vec![], expires_at, backorders: vec![] })),
        1 => Just(OrderCommand::RecordStockReservationFailed(StockReservationFailed { shortages: vec![shortage], other_units: vec![] })),
        1 => any::<bool>().prop_map(|expired| OrderCommand::RecordStockReleased(StockReleased { expired })),
        3 => Just(OrderCommand::RecordPaymentAuthorized(PaymentAuthorized { payment_number: None,
            reference: REFERENCE.into(),
            amount_minor: TOTAL
        })),
        1 => Just(OrderCommand::RecordPaymentDeclined(PaymentDeclined { payment_number: None,  code: "no".into(), message: "no".into() })),
        1 => Just(OrderCommand::RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown { payment_number: None,  reason: "late".into() })),
        1 => Just(OrderCommand::RecordPaymentVoided(PaymentVoided::default())),
        2 => (2..4_u32).prop_map(|number| OrderCommand::RecordPaymentAuthorized(PaymentAuthorized {
            payment_number: Some(number), reference: format!("pay-{number}"), amount_minor: 9_000
        })),
        1 => (2..4_u32).prop_map(|number| OrderCommand::RecordPaymentDeclined(PaymentDeclined {
            payment_number: Some(number), code: "no".into(), message: "no".into()
        })),
        1 => (2..4_u32).prop_map(|n| OrderCommand::RecordPaymentVoided(PaymentVoided { payment_number: Some(n), released_minor: None })),
        3 => (0..3_u8).prop_map(|n| OrderCommand::RecordOrderEdited { edit_id: id(EditId::parse, n), units: vec![] }),
        1 => (0..3_u8).prop_map(|n| OrderCommand::RecordOrderEditRejected(OrderEditRejected {
            edit_id: id(EditId::parse, n), reason: EditRejectionReason::Cancelled
        })),
        3 => any::<bool>().prop_map(|mail_staff| OrderCommand::ConfirmOrder { mail_staff }),
        3 => (0..3_u8, prop::sample::select(vec![1_000, 2_000, 3_000, 4_000, TOTAL])).prop_map(|(n, amount_minor)| {
            let shipment_id = id(ShipmentId::parse, n);
            OrderCommand::RecordPaymentCaptured(PaymentCaptured { payment_number: None,  shipment_id, amount_minor, reference: "c".into() })
        }),
        2 => (0..3_u8, 1..8_000_i64).prop_map(|(n, amount_minor)| {
            let refund_id = id(RefundId::parse, n);
            OrderCommand::RecordPaymentRefunded(PaymentRefunded { payment_number: None,  refund_id, amount_minor, reference: "r".into() })
        }),
        1 => Just(OrderCommand::CloseOrder),
        1 => Just(OrderCommand::RecordNotificationSent(sent())),
        1 => Just(OrderCommand::RecordNotificationFailed(failed())),
    ]
}

fn operators() -> impl Strategy<Value = OrderCommand> {
    let decisions = prop::sample::select(vec![
        OperatorDecision::Retry { payment_token: None },
        OperatorDecision::Retry { payment_token: Some(PaymentToken::parse("tok_other").unwrap()) },
        OperatorDecision::Skip,
        OperatorDecision::Compensate,
        OperatorDecision::MarkSucceeded { reference: REFERENCE.into() },
        OperatorDecision::MarkFailed,
    ]);
    (decisions, prop::sample::select(SagaStep::ALL.to_vec())).prop_map(|(decision, step)| {
        OrderCommand::Intervene(OperatorIntervened {
            payment_number: None,
            decision,
            step,
            actor: "ann".into(),
            reason: "because".into(),
            customer_message: None,
            notification_id: None,
        })
    })
}

fn any_command() -> impl Strategy<Value = OrderCommand> {
    prop_oneof![6 => people(), 8 => reports(), 1 => operators()]
}

/// Two lines: three at 10.00 and two at 20.00.
const TOTAL: i64 = 7_000;

fn two_lines() -> OrderCreated {
    let mut content = content();
    let line = OrderLine { quantity: 3, unit_price_minor: 1_000, ..content.lines[0].clone() };
    content.lines = vec![line.clone(), OrderLine { quantity: 2, unit_price_minor: 2_000, ..line }];
    content.total_minor = TOTAL;
    content
}

fn check(order: &PlacedOrder) {
    let (captured_minor, refunded_minor) = (order.captured_minor(), order.refunded_minor());
    // What an operator waved through was never authorized.
    let authorized = match order.payments[0].state {
        AuthorizationState::Authorized { amount_minor, .. } => amount_minor,
        AuthorizationState::NotNeeded
        | AuthorizationState::None
        | AuthorizationState::Unknown
        | AuthorizationState::PaidElsewhere
        | AuthorizationState::Declined
        | AuthorizationState::Voided => 0,
    };
    assert!(0 <= refunded_minor && refunded_minor <= captured_minor, "{order:?}");
    assert!(
        captured_minor <= authorized.max(if order.shipments.is_empty() { 0 } else { order.content.total_minor }),
        "{order:?}"
    );
    assert!(order.refundable_minor(false) >= -order.worth_not_captured(), "{order:?}");
    for (number, line) in order.numbered_lines() {
        assert!(order.returned(number) <= order.shipped(number), "{order:?}");
        assert!(order.counts(number).received <= order.returned(number), "{order:?}");
        assert!(order.shipped(number) + order.counts(number).cancelled <= line.quantity, "{order:?}");
        assert!(order.counts(number).settled <= order.shipped(number), "{order:?}");
    }
    let is_here = order.shipments.iter().all(|shipment| order.is_delivered(shipment));
    let is_over = !order.shipments.is_empty() && order.is_all_shipped() && is_here;
    assert_eq!(is_over, order.status == OrderStatus::Completed, "{order:?}");
    let mut recounted = order.clone();
    recounted.recount();
    assert_eq!(recounted.counts, order.counts);
    if matches!(order.status, OrderStatus::Rejected | OrderStatus::Cancelled) {
        assert!(captured_minor == 0 && !order.holds_units() && !order.may_hold_money(), "{order:?}");
        assert!(order.shipments.is_empty(), "{order:?}");
    }
}

impl PlacedOrder {
    /// What is to be captured yet, and what is missing because a capture was recorded with less than the goods are worth.
    fn worth_not_captured(&self) -> i64 {
        let worth = |of: fn(&Shipment) -> bool| -> i64 {
            self.shipments_with_worth().filter(|(it, _)| of(it)).map(|(_, worth)| worth).sum()
        };
        let missing = worth(|it| it.is_settled() && !it.captures.iter().any(|it| it.given_up)) - self.captured_minor();
        worth(|it| !it.is_settled()) + missing.max(0)
    }
}

/// Whether it is a note, a mail, or an operator who wants one sent again.
fn is_afterword(event: &OrderEvent) -> bool {
    matches!(
        event,
        OrderEvent::NoteAdded(_)
            | OrderEvent::NotificationSent(_)
            | OrderEvent::NotificationFailed(_)
            | OrderEvent::MailResendRequested(_)
            | OrderEvent::OperatorIntervened(_)
            | OrderEvent::InvoiceIssued(_)
            | OrderEvent::CreditNoteIssued(_)
            | OrderEvent::OrderNumbered(_)
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn money_goods_and_ends_are_right_after_any_commands(commands in prop::collection::vec(any_command(), 1..40)) {
        let mut order = given([OrderEvent::OrderCreated(two_lines())]);
        for command in commands {
            let ended = matches!(order.stage(), Some(OrderStage::Rejected | OrderStage::Cancelled));
            let is_held = matches!(&order, Order::Placed(placed) if placed.is_held());
            let Ok(events) = decide(&order, command) else { continue };
            prop_assert!(!is_held || !events.iter().any(|event| matches!(event, OrderEvent::OrderShipped(_))));
            prop_assert!(!ended || events.iter().all(is_afterword), "{events:?}");
            events.into_iter().for_each(|event| evolve(&mut order, event));
            let Order::Placed(placed) = &order else { panic!("it is gone") };
            check(placed);
        }
    }

    #[test]
    fn a_command_given_twice_changes_nothing_the_second_time(
        commands in prop::collection::vec(prop_oneof![people(), reports()], 1..40),
    ) {
        let mut order = given([OrderEvent::OrderCreated(two_lines())]);
        for command in commands {
            if let Ok(events) = decide(&order, command.clone()) {
                events.into_iter().for_each(|event| evolve(&mut order, event));
                let again = decide(&order, command.clone());
                // What is left to ship or to refund is another amount then, and the id says that it is the same demand.
                prop_assert_eq!(again, Ok(vec![]), "{:?}", command);
            }
        }
    }
}
