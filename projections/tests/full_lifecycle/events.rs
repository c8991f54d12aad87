//! The events of an order's life.

use chrono::DateTime;
use domain::ids::{LocationId, RefundId, ReturnId, ShipmentId, Sku};
use domain::order::OrderEvent;
use domain::order::event::{
    LineQuantity, OperatorIntervened, OrderConfirmed, OrderDelivered, OrderShipped, Parcel, PaymentAuthorized,
    PaymentCaptured, PaymentOutcomeUnknown, PaymentRefunded, RefundRequested, ReturnReceived, ReturnRequested,
    SkuQuantity, StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use serde_json::json;

/// Two headphones at 10.00, and a cable at 5.50.
pub(crate) fn created() -> OrderEvent {
    let body = json!({
        "customerId": "customer-42", "currency": "USD", "totalAmount": "25.50", "paymentToken": "tok_secret",
        "items": [{ "sku": "headphones", "title": "Headphones", "quantity": 2, "unitPrice": 10 },
                  { "sku": "cable", "title": "Cable", "quantity": 1, "unitPrice": "5.50" }]
    });
    OrderEvent::OrderCreated(PostedOrder::parse(body.to_string().as_bytes()).unwrap().content)
}

pub(crate) fn reserved() -> OrderEvent {
    let units = vec![SkuQuantity { sku: Sku::parse("cable").unwrap(), quantity: 1, location: LocationId::default() }];
    let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    OrderEvent::StockReserved(StockReserved { units, expires_at, backorders: vec![] })
}

pub(crate) fn authorized() -> OrderEvent {
    OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 2_550,
    })
}

pub(crate) fn confirmed() -> OrderEvent {
    OrderEvent::OrderConfirmed(OrderConfirmed::default())
}

pub(crate) fn lines(lines: &[(u32, u32)]) -> Vec<LineQuantity> {
    lines.iter().map(|&(line_number, quantity)| LineQuantity { line_number, quantity }).collect()
}

pub(crate) fn shipped(id: &str, sent: &[(u32, u32)]) -> OrderEvent {
    OrderEvent::OrderShipped(OrderShipped {
        shipment_id: ShipmentId::parse(id).unwrap(),
        lines: lines(sent),
        parcels: vec![
            Parcel { carrier: Some("DHL".into()), tracking: Some(format!("J-{id}")) },
            Parcel { carrier: None, tracking: Some(format!("K-{id}")) },
        ],
        location: None,
    })
}

pub(crate) fn captured(id: &str, amount_minor: i64) -> OrderEvent {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderEvent::PaymentCaptured(PaymentCaptured {
        payment_number: None,
        shipment_id,
        amount_minor,
        reference: "cap".into(),
    })
}

pub(crate) fn return_id() -> ReturnId {
    ReturnId::parse("r-1").unwrap()
}

pub(crate) fn refund_requested(id: &str, amount_minor: i64) -> OrderEvent {
    let refund_id = RefundId::parse(id).unwrap();
    OrderEvent::RefundRequested(RefundRequested { refund_id, amount_minor, reason: Some("goodwill".into()) })
}

pub(crate) fn intervened(step: SagaStep, decision: OperatorDecision) -> OrderEvent {
    OrderEvent::OperatorIntervened(OperatorIntervened {
        payment_number: None,
        decision,
        step,
        actor: "ann".into(),
        reason: "asked to".into(),
        customer_message: None,
        notification_id: None,
    })
}

/// Everything that can become of an order that goes well.
pub(crate) fn good_life() -> Vec<OrderEvent> {
    vec![
        created(),
        reserved(),
        OrderEvent::PaymentOutcomeUnknown(PaymentOutcomeUnknown { payment_number: None, reason: "no answer".into() }),
        authorized(),
        confirmed(),
        shipped("s-1", &[(1, 1)]),
        captured("s-1", 1_000),
        shipped("s-2", &[(1, 1), (2, 1)]),
        captured("s-2", 1_550),
        OrderEvent::OrderDelivered(OrderDelivered {}),
        OrderEvent::ReturnRequested(ReturnRequested {
            return_id: return_id(),
            lines: lines(&[(1, 1)]),
            reason: Some("too loud".into()),
        }),
        OrderEvent::ReturnReceived(ReturnReceived {
            return_id: return_id(),
            refund_minor: 1_000,
            receipt_id: None,
            lines: vec![],
            refund_id: None,
            location: None,
        }),
        OrderEvent::PaymentRefunded(PaymentRefunded {
            payment_number: None,
            refund_id: RefundId::of_return(&return_id()),
            amount_minor: 1_000,
            reference: "ref-1".into(),
        }),
    ]
}
