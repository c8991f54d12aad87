//! Several payments of an order, and what was paid elsewhere.

use serde_json::{Value, json};

use super::operators::{intervene, placed};
use super::*;
use crate::body::InvalidBody;

fn authorized(number: u32, amount_minor: i64) -> OrderEvent {
    OrderEvent::PaymentAuthorized(PaymentAuthorized {
        reference: format!("pay-{number}"),
        amount_minor,
        payment_number: Some(number),
    })
}

fn declined(number: u32) -> PaymentDeclined {
    PaymentDeclined { code: "no".into(), message: "no".into(), payment_number: Some(number) }
}

pub(super) fn captured(shipment: &str, number: Option<u32>, amount_minor: i64) -> PaymentCaptured {
    let shipment_id = ShipmentId::parse(shipment).unwrap();
    PaymentCaptured { shipment_id, amount_minor, reference: format!("cap-{shipment}"), payment_number: number }
}

pub(super) fn refunded(refund: &str, number: Option<u32>, amount_minor: i64) -> PaymentRefunded {
    let refund_id = RefundId::parse(refund).unwrap();
    PaymentRefunded { refund_id, amount_minor, reference: format!("ref-{refund}"), payment_number: number }
}

pub(super) fn reserved_nothing() -> OrderEvent {
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    OrderEvent::StockReserved(StockReserved { units: vec![], expires_at, backorders: vec![] })
}

pub(super) fn shipped(id: &str, quantity: u32) -> OrderEvent {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(quantity), parcels: vec![], location: None })
}

pub(super) fn wants_back(id: &str, amount_minor: i64) -> OrderCommand {
    let refund_id = RefundId::parse(id).unwrap();
    OrderCommand::RequestRefund(RequestRefund { refund_id, amount_minor: Some(amount_minor), reason: None })
}

/// Everything that leads to a confirmed order with two payments, of which the second is over the rest.
fn promised_twice(first: i64, content: OrderCreated) -> Vec<OrderEvent> {
    let rest = content.total_minor - first;
    vec![OrderEvent::OrderCreated(content), reserved_nothing(), authorized(1, first), authorized(2, rest), confirmed()]
}

pub(super) fn does(order: &mut Order, command: OrderCommand) -> Vec<OrderEvent> {
    let said = format!("{command:?}");
    let events = decide(order, command).unwrap_or_else(|error| panic!("{said}: {error}"));
    events.iter().for_each(|event| evolve(order, event.clone()));
    events
}

pub(super) fn posted(body: &Value) -> Result<OrderCreated, Vec<(String, String)>> {
    match PostedOrder::parse(body.to_string().as_bytes()) {
        Ok(order) => Ok(order.content),
        Err(InvalidBody::Invalid(violations)) => {
            Err(violations.into_iter().map(|it| (it.pointer, it.code.to_string())).collect())
        }
        Err(InvalidBody::Malformed(error)) => panic!("{error}"),
    }
}

fn body(payments: &Value) -> Value {
    json!({ "customerId": "c", "currency": "USD", "totalAmount": "80.00", "payments": payments,
            "items": [{ "sku": "CHAIR", "quantity": 1, "unitPrice": "80.00" }] })
}

#[test]
fn payments_come_to_the_total_or_the_answer_names_them() {
    let sample = two_payments();
    assert_eq!(sample.payments.iter().map(|it| it.amount_minor).collect::<Vec<_>>(), [3_000, 5_000]);
    assert_eq!(sample.payments[0].method, "giftCard");
    let card = |amount: &str| json!({ "method": "card", "token": "tok_ok", "amount": amount });
    let elsewhere = json!({ "method": "invoice", "amount": "80.00", "reference": "INV-5" });
    assert!(posted(&body(&json!([card("30.00"), card("50.00")]))).is_ok());
    assert!(posted(&body(&json!([elsewhere]))).unwrap().payments[0].is_paid_elsewhere());
    // None is as none given.
    assert!(posted(&body(&json!([]))).unwrap().payments.is_empty());
    let changed = |name: &str, value: Value| {
        let mut payment = elsewhere.clone();
        payment[name] = value;
        json!([payment])
    };
    let many: Vec<Value> = (0..11).map(|_| card("1.00")).collect();
    for (payments, pointer, code) in [
        (json!([card("30.00"), card("49.99")]), "/payments", "not_the_sum"),
        (json!([card("80.00"), card("0.01")]), "/payments", "not_the_sum"),
        (json!([card("80.001")]), "/payments/0/amount", "invalid"),
        (json!([card("-1"), card("81.00")]), "/payments/0/amount", "invalid"),
        (json!([{ "amount": "80.00" }]), "/payments/0/method", "required"),
        (json!([{ "method": "card" }]), "/payments/0/amount", "required"),
        (changed("token", json!("tok_ok")), "/payments/0/token", "contradiction"),
        (changed("reference", Value::Null), "", ""),
        (
            json!([{ "method": "cash", "amount": "80.00", "paidAt": "2026-11-01T10:00:00Z" }]),
            "/payments/0/reference",
            "required",
        ),
        (changed("paidAt", json!("yesterday")), "/payments/0/paidAt", "invalid"),
        (changed("currency", json!("EUR")), "/payments/0/currency", "unknown_field"),
        (Value::Array(many), "/payments", "invalid"),
    ] {
        let found = posted(&body(&payments));
        if pointer.is_empty() {
            assert!(found.is_ok(), "{payments}: {found:?}");
            continue;
        }
        let found = found.expect_err("it is taken");
        assert_eq!(found.iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(), [pointer], "{payments}");
        assert!(found[0].1 == code || code == "invalid", "{payments}: {found:?}");
    }
    let mut both = body(&json!([card("80.00")]));
    both["paymentToken"] = json!("tok_ok");
    assert_eq!(posted(&both), Err(vec![("/payments".to_owned(), "contradiction".to_owned())]));
}

#[test]
fn payments_are_authorized_one_after_the_other() {
    let mut order = given([OrderEvent::OrderCreated(two_payments()), reserved_nothing()]);
    assert_eq!(placed(&order).next_to_authorize().map(|it| it.number), Some(1));
    // The second is not asked for before the first is held.
    let early = PaymentAuthorized { reference: "pay-2".into(), amount_minor: 5_000, payment_number: Some(2) };
    assert_eq!(decide(&order, OrderCommand::RecordPaymentAuthorized(early.clone())), Err(OrderError::Stale));
    evolve(&mut order, authorized(1, 3_000));
    assert_eq!(placed(&order).next_to_authorize().map(|it| it.number), Some(2));
    assert_eq!(decide(&order, OrderCommand::ConfirmOrder { mail_staff: false }), Err(OrderError::Stale));
    assert_eq!(placed(&order).payment_status(), PaymentStatus::None);
    does(&mut order, OrderCommand::RecordPaymentAuthorized(early));
    assert_eq!(placed(&order).payment_status(), PaymentStatus::Authorized);
    does(&mut order, OrderCommand::ConfirmOrder { mail_staff: false });
}

#[test]
fn a_refusal_of_one_has_those_before_voided_and_asks_nothing_of_those_behind() {
    let mut order = given([OrderEvent::OrderCreated(two_payments()), reserved_nothing()]);
    let mut first_refused = order.clone();
    does(&mut first_refused, OrderCommand::RecordPaymentDeclined(declined(1)));
    assert_eq!(placed(&first_refused).next_to_void(), None);
    evolve(&mut order, authorized(1, 3_000));
    does(&mut order, OrderCommand::RecordPaymentDeclined(declined(2)));
    assert_eq!(placed(&order).next_to_void().map(|it| it.number), Some(1));
    does(&mut order, OrderCommand::RecordStockReleased(StockReleased { expired: false }));
    assert_eq!(decide(&order, OrderCommand::CloseOrder), Err(OrderError::Stale));
    does(
        &mut order,
        OrderCommand::RecordPaymentVoided(PaymentVoided { payment_number: Some(1), released_minor: None }),
    );
    does(&mut order, OrderCommand::CloseOrder);
    assert_eq!(order.stage(), Some(OrderStage::Rejected));
}

#[test]
fn an_unknown_outcome_is_that_of_one_payment() {
    let mut order = given([OrderEvent::OrderCreated(two_payments()), reserved_nothing(), authorized(1, 3_000)]);
    let unknown = PaymentOutcomeUnknown { reason: "late".into(), payment_number: Some(2) };
    does(&mut order, OrderCommand::RecordPaymentOutcomeUnknown(unknown));
    let states: Vec<_> = placed(&order).payments.iter().map(|it| placed(&order).status_of_payment(it)).collect();
    assert_eq!(states, [PaymentStatus::Authorized, PaymentStatus::Unknown]);
    assert_eq!(placed(&order).payment_status(), PaymentStatus::Unknown);
    // The last one is let go of first, since it tells that those before are held.
    does(&mut order, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
    assert_eq!(placed(&order).next_to_void().map(|it| it.number), Some(2));
}

#[test]
fn a_shipment_is_paid_from_the_first_payment_and_then_from_the_next() {
    let mut order = given(promised_twice(3_000, two_payments()).into_iter().chain([shipped("s", 1)]));
    let capture = |order: &Order| {
        placed(order).next_capture().map(|(shipment, capture)| {
            (capture.payment_number, placed(order).capture_minor(&shipment.id, capture.payment_number))
        })
    };
    assert_eq!(capture(&order), Some((1, 3_000)));
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(1), 3_000)));
    assert_eq!(capture(&order), Some((2, 5_000)));
    assert_eq!(
        (placed(&order).counts(1).settled, placed(&order).payment_status()),
        (0, PaymentStatus::PartiallyCaptured)
    );
    // An event that names no payment, or more than the share, is not about it.
    for wrong in [captured("s", None, 5_000), captured("s", Some(2), 5_001), captured("s", Some(3), 1)] {
        assert_eq!(decide(&order, OrderCommand::RecordPaymentCaptured(wrong)), Err(OrderError::Stale));
    }
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(2), 5_000)));
    assert_eq!((placed(&order).counts(1).settled, placed(&order).payment_status()), (1, PaymentStatus::Captured));
    assert_eq!(decide(&order, OrderCommand::RecordPaymentCaptured(captured("s", Some(1), 3_000))), Ok(vec![]));
}

#[test]
fn a_refund_goes_back_to_the_last_payment_first_and_is_divided_once() {
    let mut order = given(promised_twice(3_000, two_payments()).into_iter().chain([shipped("s", 1)]));
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(1), 3_000)));
    // Only the first is taken so far, so it goes back there, whatever is taken meanwhile.
    does(&mut order, wants_back("early", 1_000));
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(2), 5_000)));
    does(&mut order, wants_back("late", 6_000));
    let shares: Vec<_> =
        placed(&order).refunds.iter().map(|it| (it.id.as_str(), it.payment_number, it.amount_minor)).collect();
    assert_eq!(shares, [("early", 1, 1_000), ("late", 2, 5_000), ("late", 1, 1_000)]);
    assert_eq!(decide(&order, wants_back("late", 6_000)), Ok(vec![]));
    assert_eq!(decide(&order, wants_back("late", 5_000)), Err(OrderError::IdTaken { what: "refund" }));
    assert_eq!(decide(&order, wants_back("more", 1_001)), Err(OrderError::MoreThanCaptured { left_minor: 1_000 }));
    for (id, number, amount) in [("late", 2, 5_000), ("early", 1, 1_000), ("late", 1, 1_000)] {
        does(&mut order, OrderCommand::RecordPaymentRefunded(refunded(id, Some(number), amount)));
        assert_eq!(decide(&order, OrderCommand::RecordPaymentRefunded(refunded(id, Some(number), amount))), Ok(vec![]));
    }
    assert_eq!((placed(&order).refunded_minor(), placed(&order).unsettled_refund()), (7_000, None));
}

#[test]
fn a_refund_that_waits_for_its_capture_holds_up_none_of_another_payment() {
    let mut order = given(promised_twice(3_000, two_payments()).into_iter().chain([shipped("s", 1)]));
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(1), 3_000)));
    // The goods come back before the second payment is captured, and its share comes first.
    let return_id = ReturnId::parse("r").unwrap();
    let announced = ReturnRequested { return_id: return_id.clone(), lines: line(1), reason: None };
    does(&mut order, OrderCommand::RequestReturn(announced));
    does(&mut order, OrderCommand::ReceiveReturn(ReceiveReturn::all_of(return_id)));
    let next = |order: &Order| {
        let refund = placed(order).unsettled_refund()?;
        Some((refund.payment_number, refund.amount_minor, placed(order).is_payable(refund)))
    };
    let shares: Vec<_> = placed(&order).refunds.iter().map(|it| (it.payment_number, it.amount_minor)).collect();
    assert_eq!(shares, [(2, 5_000), (1, 3_000)]);
    assert_eq!(next(&order), Some((1, 3_000, true)));
    // An operator's decision is about the same one.
    let failed = intervene(OperatorDecision::MarkFailed, SagaStep::RefundPayment);
    let mut given_up = order.clone();
    does(&mut given_up, OrderCommand::Intervene(OperatorIntervened { payment_number: Some(1), ..failed }));
    assert_eq!(placed(&given_up).given_up.iter().map(|it| it.payment_number).collect::<Vec<_>>(), [1]);

    does(&mut order, OrderCommand::RecordPaymentRefunded(refunded("r", Some(1), 3_000)));
    assert_eq!(next(&order), Some((2, 5_000, false)));
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(2), 5_000)));
    assert_eq!(next(&order), Some((2, 5_000, true)));
}

#[test]
fn an_operator_names_the_payment_where_there_are_several() {
    let order = given(promised_twice(3_000, two_payments()).into_iter().chain([shipped("s", 1)]));
    let said = |payment_number| {
        let done = OperatorDecision::MarkSucceeded { reference: "cap".into() };
        OrderCommand::Intervene(OperatorIntervened { payment_number, ..intervene(done, SagaStep::CapturePayment) })
    };
    let refusal = |number| decide(&order, said(number)).unwrap_err().to_string();
    assert_eq!(refusal(None), "the order has several payments: name the one; capture_payment is at 1");
    assert_eq!(refusal(Some(2)), "capture_payment is not at payment 2 but at 1");
    let events = decide(&order, said(Some(1))).unwrap();
    let OrderEvent::PaymentCaptured(taken) = &events[1] else { panic!("{events:?}") };
    assert_eq!((taken.payment_number, taken.amount_minor), (Some(1), 3_000));
    // Where there is one, it is not named.
    let one = given(promised().into_iter().chain([operators::shipped()]));
    let events = decide(&one, said(Some(1))).unwrap();
    let OrderEvent::PaymentCaptured(taken) = &events[1] else { panic!("{events:?}") };
    assert_eq!(taken.payment_number, None);
    assert!(decide(&one, said(Some(2))).is_err());
}

#[test]
fn a_share_that_an_operator_gives_up_is_not_taken_from_another_payment() {
    let mut order = given(promised_twice(3_000, two_payments()).into_iter().chain([shipped("s", 1)]));
    let failed = intervene(OperatorDecision::MarkFailed, SagaStep::CapturePayment);
    does(&mut order, OrderCommand::Intervene(OperatorIntervened { payment_number: Some(1), ..failed }));
    let shipment_id = ShipmentId::parse("s").unwrap();
    assert_eq!(placed(&order).capture_minor(&shipment_id, 2), 5_000);
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(2), 5_000)));
    assert_eq!((placed(&order).unsettled_shipment(), placed(&order).counts(1).settled), (None, 1));
    // It was taken all the same, and nobody counts the units twice.
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", Some(1), 3_000)));
    assert_eq!((placed(&order).captured_minor(), placed(&order).counts(1).settled), (8_000, 1));
}

/// An order that was paid elsewhere, and confirmed.
fn promised_elsewhere(content: OrderCreated) -> Vec<OrderEvent> {
    vec![OrderEvent::OrderCreated(content), reserved_nothing(), confirmed()]
}

pub(super) fn transferred(payment_number: Option<u32>) -> OrderCommand {
    let done = OperatorDecision::MarkSucceeded { reference: "transfer-7".into() };
    OrderCommand::Intervene(OperatorIntervened { payment_number, ..intervene(done, SagaStep::RefundManually) })
}

fn owed_manually(order: &Order) -> Vec<i64> {
    placed(order).manual_refunds().map(|it| it.amount_minor()).collect()
}

#[test]
fn what_was_paid_elsewhere_is_held_and_captured_without_the_provider_and_a_person_gives_it_back() {
    let mut order = given([OrderEvent::OrderCreated(paid_elsewhere()), reserved_nothing()]);
    assert!(placed(&order).is_paid_for() && !placed(&order).may_hold_money());
    assert_eq!(placed(&order).payment_status(), PaymentStatus::Authorized);
    does(&mut order, OrderCommand::ConfirmOrder { mail_staff: false });
    evolve(&mut order, shipped("s", 1));
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", None, 1_200)));
    does(&mut order, wants_back("f", 200));
    assert_eq!((placed(&order).unsettled_refund(), owed_manually(&order)), (None, vec![200]));
    let retry = OperatorDecision::Retry { payment_token: None };
    assert!(decide(&order, OrderCommand::Intervene(intervene(retry, SagaStep::RefundManually))).is_err());
    let events = does(&mut order, transferred(None));
    let paid_back = PaymentRefunded { reference: "transfer-7".into(), ..refunded("f", None, 200) };
    assert_eq!(events[1], OrderEvent::PaymentRefunded(paid_back));
    assert_eq!((placed(&order).payment_status(), owed_manually(&order)), (PaymentStatus::PartiallyRefunded, vec![]));
    // One that is given up is not owed any more.
    does(&mut order, wants_back("g", 100));
    let failed = intervene(OperatorDecision::MarkFailed, SagaStep::RefundManually);
    does(&mut order, OrderCommand::Intervene(failed));
    assert_eq!((placed(&order).given_up.len(), owed_manually(&order)), (1, vec![]));
}

#[test]
fn a_cancelled_order_that_was_paid_elsewhere_ends_and_a_person_still_gives_the_money_back() {
    let mut order = given(promised_elsewhere(paid_elsewhere()));
    does(&mut order, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
    assert_eq!(owed_manually(&order), Vec::<i64>::new());
    does(&mut order, OrderCommand::RecordStockReleased(StockReleased { expired: false }));
    does(&mut order, OrderCommand::CloseOrder);
    assert_eq!((order.stage(), owed_manually(&order)), (Some(OrderStage::Cancelled), vec![1_200]));
    does(&mut order, transferred(None));
    assert_eq!((placed(&order).payment_status(), owed_manually(&order)), (PaymentStatus::Voided, vec![]));
}

#[test]
fn what_was_paid_elsewhere_for_cancelled_lines_goes_back_by_a_person() {
    let mut content = paid_elsewhere();
    content.lines[0].quantity = 2;
    content.total_minor = 2_400;
    content.payments[0].amount_minor = 2_400;
    let mut order = given(promised_elsewhere(content).into_iter().chain([shipped("s", 1)]));
    does(&mut order, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
    assert_eq!(owed_manually(&order), Vec::<i64>::new());
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", None, 1_200)));
    assert_eq!((placed(&order).has_rest_to_void(), owed_manually(&order)), (false, vec![1_200]));
    does(&mut order, transferred(None));
    assert_eq!(owed_manually(&order), Vec::<i64>::new());
    assert_eq!(placed(&order).payment_status(), PaymentStatus::Captured);
}
