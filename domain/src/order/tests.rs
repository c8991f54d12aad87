use cqrs_es::Aggregate;
use uuid::Uuid;

mod allocations;
mod amounts;
mod cancelled_lines;
mod delivered;
mod edits;
mod full_lifecycle;
mod held;
mod imported;
mod invariants;
mod limits;
mod measured_units;
mod operator_mails;
mod operators;
mod payment_sums;
mod payments;
mod release_mails;
mod resent_mails;
mod returns;
mod staff_mails;
mod tracking;
mod versions;

use super::event::*;
use super::parse::PostedOrder;
use super::saga::*;
use super::transitions::allowed_at;
use super::units::*;
use super::*;
use crate::ids::{
    CancellationId, DocumentId, EditId, HoldId, LocationId, NoteId, OrderId, PaymentToken, ReceiptId, RefundId,
    ReturnId, ShipmentId, Sku,
};
use crate::quantity::Quantity;

fn content() -> OrderCreated {
    PostedOrder::parse(include_bytes!("../../golden/posted/demo-order.json")).unwrap().content
}

/// The orders with payments of the golden file, by their names.
fn posted_with_payments(name: &str) -> OrderCreated {
    let orders = include_str!("../../golden/posted/orders-with-payments.jsonl");
    let mut orders = orders.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let order = orders.find(|order| order["name"] == name).unwrap();
    PostedOrder::parse(order["body"].to_string().as_bytes()).unwrap().content
}

/// A gift card over 30.00 and a card over 50.00.
fn two_payments() -> OrderCreated {
    posted_with_payments("order-discount-and-two-payments")
}

/// A bank transfer of 1200 yen.
fn paid_elsewhere() -> OrderCreated {
    posted_with_payments("guest-digital-paid-elsewhere")
}

/// 1.235 kg of apples at 3.1250 a kilogram.
fn by_weight() -> OrderCreated {
    let orders = include_str!("../../golden/posted/shop-orders.jsonl").lines();
    let mut orders = orders.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let order = orders.find(|order| order["name"] == "by weight, at a fine price").unwrap();
    PostedOrder::parse(order["body"].to_string().as_bytes()).unwrap().content
}

/// In exchange for what comes back of another order.
fn in_exchange() -> OrderCreated {
    let (order_id, return_id) = (OrderId::parse("order-1").unwrap(), ReturnId::parse("r-1").unwrap());
    OrderCreated { exchange_for: Some(Box::new(ExchangeFor { order_id, return_id })), ..by_weight() }
}

fn sent() -> NotificationSent {
    NotificationSent {
        notification_id: Uuid::from_u128(7),
        template: MailTemplate::OrderConfirmed,
        recipient: "customer@example.com".into(),
        provider_message_id: "0100-mail".into(),
        nth: None,
    }
}

fn failed() -> NotificationFailed {
    NotificationFailed {
        notification_id: Uuid::from_u128(7),
        template: MailTemplate::OrderConfirmed,
        reason: "the address does not exist".into(),
        nth: None,
    }
}

fn given(events: impl IntoIterator<Item = OrderEvent>) -> Order {
    let mut order = Order::default();
    events.into_iter().for_each(|event| evolve(&mut order, event));
    order
}

fn created() -> OrderEvent {
    OrderEvent::OrderCreated(content())
}

fn confirmed() -> OrderEvent {
    OrderEvent::OrderConfirmed(OrderConfirmed::default())
}

fn reserved() -> OrderEvent {
    let sku = Sku::parse("sku-123").unwrap();
    let units = vec![SkuQuantity { sku, quantity: 1, location: LocationId::default() }];
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    OrderEvent::StockReserved(StockReserved { units, expires_at, backorders: vec![] })
}

fn authorized() -> OrderEvent {
    OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 12_999,
    })
}

/// All events that lead to a confirmed order.
fn promised() -> Vec<OrderEvent> {
    vec![created(), reserved(), authorized(), confirmed()]
}

fn line(quantity: u32) -> Vec<LineQuantity> {
    vec![LineQuantity { line_number: 1, quantity }]
}

/// Another quantity of the first line.
fn edit_of_line(quantity: u32) -> OrderChanges {
    let change = LineChange { line_number: 1, quantity: Some(quantity), ..LineChange::default() };
    OrderChanges { lines: vec![change], ..OrderChanges::default() }
}

/// One of each event.
fn every_event() -> Vec<OrderEvent> {
    let reason = Some("changed my mind".to_owned());
    let shipment_id = ShipmentId::parse("s-1").unwrap();
    let (refund_id, return_id) = (RefundId::parse("f-1").unwrap(), ReturnId::parse("r-1").unwrap());
    let shortages = vec![Shortage { unit: None, sku: Sku::parse("sku-123").unwrap(), requested: 2, available: 1 }];
    vec![
        created(),
        reserved(),
        OrderEvent::StockReservationFailed(StockReservationFailed {
            shortages: shortages.clone(),
            other_units: vec![],
        }),
        OrderEvent::StockReleased(StockReleased { expired: true }),
        authorized(),
        OrderEvent::PaymentDeclined(PaymentDeclined {
            payment_number: None,
            code: "card_declined".into(),
            message: "no funds".into(),
        }),
        OrderEvent::PaymentOutcomeUnknown(PaymentOutcomeUnknown {
            payment_number: None,
            reason: "no answer within 3 s".into(),
        }),
        OrderEvent::PaymentVoided(PaymentVoided { payment_number: None, released_minor: None }),
        OrderEvent::PaymentCaptured(PaymentCaptured {
            payment_number: None,
            shipment_id: shipment_id.clone(),
            amount_minor: 12_999,
            reference: "cap-1".into(),
        }),
        OrderEvent::RefundRequested(RefundRequested {
            refund_id: refund_id.clone(),
            amount_minor: 500,
            reason: reason.clone(),
        }),
        OrderEvent::PaymentRefunded(PaymentRefunded {
            payment_number: None,
            refund_id,
            amount_minor: 500,
            reference: "ref-1".into(),
        }),
        OrderEvent::OrderConfirmed(OrderConfirmed { mail_staff: true }),
        OrderEvent::OrderRejected(OrderRejected { reason: RejectionReason::OutOfStock { shortages } }),
        OrderEvent::CancellationRequested(CancellationRequested { reason: reason.clone() }),
        OrderEvent::OrderCancelled(OrderCancelled { reason: reason.clone() }),
        OrderEvent::OrderShipped(OrderShipped {
            shipment_id,
            lines: line(1),
            parcels: vec![Parcel { carrier: Some("DHL".into()), tracking: Some("JD0146".into()) }],
            location: None,
        }),
        OrderEvent::LinesCancelled(LinesCancelled {
            cancellation_id: CancellationId::parse("c-1").unwrap(),
            lines: line(1),
            reason: reason.clone(),
        }),
        OrderEvent::OrderEditRequested(OrderEditRequested {
            edit_id: EditId::parse("d-1").unwrap(),
            changes: edit_of_line(2),
            total_minor: 25_998,
            payment: Some(AddedPayment {
                payment_number: 2,
                method: Some("card".into()),
                token: Some(PaymentToken::parse("tok_visa").unwrap()),
                amount_minor: 12_999,
            }),
            reason: Some("another one".into()),
        }),
        OrderEvent::OrderEdited(OrderEdited {
            edit_id: EditId::parse("d-1").unwrap(),
            changes: edit_of_line(2),
            total_minor: 25_998,
            units: vec![SkuQuantity {
                sku: Sku::parse("sku-123").unwrap(),
                quantity: 1,
                location: LocationId::default(),
            }],
            units_before: vec![],
            mail_customer: true,
        }),
        OrderEvent::OrderEditRejected(OrderEditRejected {
            edit_id: EditId::parse("d-1").unwrap(),
            reason: EditRejectionReason::PaymentDeclined { message: "no funds".into() },
        }),
        OrderEvent::ShipmentDelivered(ShipmentDelivered {
            shipment_id: ShipmentId::parse("s-1").unwrap(),
            delivered_at: chrono::DateTime::from_timestamp(1_800_000_000, 0),
        }),
        OrderEvent::ShipmentTrackingChanged(ShipmentTrackingChanged {
            shipment_id: ShipmentId::parse("s-1").unwrap(),
            parcels: vec![Parcel { carrier: Some("UPS".into()), tracking: Some("1Z9".into()) }],
        }),
        OrderEvent::OrderHeld(OrderHeld { hold_id: HoldId::parse("h-1").unwrap(), reason: "fraud check".into() }),
        OrderEvent::OrderReleased(OrderReleased { hold_id: HoldId::parse("h-1").unwrap() }),
        OrderEvent::OrderDelivered(OrderDelivered {}),
        OrderEvent::ReturnRequested(ReturnRequested { return_id: return_id.clone(), lines: line(1), reason }),
        OrderEvent::ReturnReceived(ReturnReceived {
            return_id: return_id.clone(),
            refund_minor: 12_499,
            receipt_id: Some(ReceiptId::parse("e-1").unwrap()),
            lines: vec![ReceivedLine {
                line_number: 1,
                quantity: 1,
                condition: Some(ItemCondition::Sellable),
                restock: true,
            }],
            refund_id: Some(RefundId::parse("f-2").unwrap()),
            location: None,
        }),
        OrderEvent::ReturnCancelled(ReturnCancelled { return_id, reason: Some("found another use".into()) }),
        OrderEvent::NotificationSent(sent()),
        OrderEvent::NotificationFailed(failed()),
        OrderEvent::MailResendRequested(MailResendRequested {
            notification_id: Uuid::from_u128(7),
            template: MailTemplate::OrderConfirmed,
            nth: 0,
        }),
        OrderEvent::NoteAdded(NoteAdded {
            note_id: NoteId::parse("n-1").unwrap(),
            text: "gift wrap".into(),
            author: Some("Ann".into()),
        }),
        OrderEvent::OperatorIntervened(OperatorIntervened {
            payment_number: None,
            decision: OperatorDecision::MarkSucceeded { reference: "pay-1".into() },
            step: SagaStep::AuthorizePayment,
            actor: "ann".into(),
            reason: "seen in the provider's dashboard".into(),
            customer_message: None,
            notification_id: None,
        }),
        OrderEvent::InvoiceIssued(InvoiceIssued {
            document_id: DocumentId::parse("d-1").unwrap(),
            number: "INV-2026-000042".into(),
            series: "INV-2026".into(),
            sequence: 42,
            issued_on: "2026-11-30".parse().unwrap(),
            shipment_id: ShipmentId::parse("s-1").unwrap(),
            total_minor: 12_999,
        }),
        OrderEvent::CreditNoteIssued(CreditNoteIssued {
            document_id: DocumentId::parse("d-2").unwrap(),
            number: "CN-2026-000007".into(),
            series: "CN-2026".into(),
            sequence: 7,
            issued_on: "2026-12-01".parse().unwrap(),
            refund_id: RefundId::parse("f-1").unwrap(),
            total_minor: 500,
        }),
        OrderEvent::OrderNumbered(OrderNumbered {
            order_number: "A-2026-000042".into(),
            series: "A-2026".into(),
            sequence: 42,
        }),
    ]
}

#[test]
fn posting_an_order_creates_it() {
    assert_eq!(decide(&given([]), OrderCommand::CreateOrder(content())), Ok(vec![created()]));
}

#[test]
fn posting_it_again_changes_nothing() {
    assert_eq!(decide(&given([created(), confirmed()]), OrderCommand::CreateOrder(content())), Ok(vec![]));
}

#[test]
fn posting_another_order_under_its_id_is_refused() {
    let other = OrderCreated { total_minor: 1, ..content() };
    assert_eq!(decide(&given([created()]), OrderCommand::CreateOrder(other)), Err(OrderError::ExistsWithOtherContent));
}

#[test]
fn an_order_whose_metadata_differs_in_the_last_digit_is_another_order() {
    let with = |number: &str| {
        let body = include_str!("../../golden/posted/demo-order.json").replacen(
            r#""metadata": {"#,
            &format!(r#""metadata": {{ "n": {number},"#),
            1,
        );
        PostedOrder::parse(body.as_bytes()).unwrap().content
    };
    let first = OrderEvent::OrderCreated(with("18446744073709551617"));
    let second = OrderCommand::CreateOrder(with("18446744073709551618"));
    assert_eq!(decide(&given([first]), second), Err(OrderError::ExistsWithOtherContent));
}

#[test]
fn an_order_is_confirmed_once() {
    let ready = given([created(), reserved(), authorized()]);
    assert_eq!(decide(&ready, OrderCommand::ConfirmOrder { mail_staff: false }), Ok(vec![confirmed()]));
    assert_eq!(decide(&given(promised()), OrderCommand::ConfirmOrder { mail_staff: false }), Ok(vec![]));
}

#[test]
fn nothing_can_be_done_with_an_order_that_was_not_posted() {
    for command in [
        OrderCommand::ConfirmOrder { mail_staff: false },
        OrderCommand::RecordNotificationSent(sent()),
        OrderCommand::RecordNotificationFailed(failed()),
    ] {
        assert_eq!(decide(&given([]), command), Err(OrderError::NoSuchOrder));
    }
}

#[test]
fn a_mail_that_was_given_up_and_then_went_out_is_a_mail_that_went_out() {
    let order = given([created(), confirmed(), OrderEvent::NotificationFailed(failed())]);
    assert_eq!(
        decide(&order, OrderCommand::RecordNotificationSent(sent())),
        Ok(vec![OrderEvent::NotificationSent(sent())])
    );
    let order = given([created(), confirmed(), OrderEvent::NotificationSent(sent())]);
    assert_eq!(decide(&order, OrderCommand::RecordNotificationFailed(failed())), Ok(vec![]));
}

#[tokio::test]
async fn cqrs_es_sees_the_same_order() {
    let sink = EventSink::default();
    let mut order = Order::default();
    order.handle(OrderCommand::CreateOrder(content()), &(), &sink).await.unwrap();
    let cancel = CancellationRequested { reason: None };
    order.handle(OrderCommand::CancelOrder(cancel.clone()), &(), &sink).await.unwrap();
    let cancelled = OrderEvent::CancellationRequested(cancel);
    assert_eq!(sink.collect().await, [created(), cancelled.clone()]);
    assert_eq!(order, given([created(), cancelled]));
}

#[test]
fn the_event_of_a_guests_order_has_no_customer_id_and_is_nobodys() {
    let guest = OrderCreated { customer_id: None, ..content() };
    let json = serde_json::to_string(&guest).unwrap();
    assert!(json.starts_with(r#"{"currency":"USD","#), "{json}");
    assert_eq!(serde_json::from_str::<OrderCreated>(&json).unwrap(), guest);
    assert!(!guest.is_of("customer-42") && !guest.is_of("") && content().is_of("customer-42"));
}
