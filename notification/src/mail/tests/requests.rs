//! The requests of which there are golden mails.

use messaging::{
    DocumentLink, EditDetails, EditedLine, NotificationTemplate, OrderDetails, OrderedLine, RejectionCause,
    ShipmentTracking, WaitingUnits,
};

use super::{parcel, request, whole};
use crate::mail::NotificationRequested;

/// Each mail, with what it can say.
pub(super) fn requests() -> Vec<(&'static str, NotificationRequested)> {
    let reason = || Some("Standing Desk, Oak is out of stock".to_owned());
    let cause = RejectionCause { code: "outOfStock".into(), skus: vec!["sku-123".into(), "sku-7".into()] };
    let dhl = || parcel(Some("DHL"), Some("00340434161094042557"));
    let parcels = vec![dhl(), parcel(Some("UPS"), None), parcel(None, Some("1Z999AA10123456784"))];
    let refund_amount = || Some("1250.00".to_owned());
    vec![
        ("order_confirmed", request(NotificationTemplate::OrderConfirmed)),
        ("order_rejected", NotificationRequested { reason: reason(), ..request(NotificationTemplate::OrderRejected) }),
        (
            "order_cancelled",
            NotificationRequested {
                reason: Some("cancelled at your request".into()),
                refund_amount: refund_amount(),
                ..request(NotificationTemplate::OrderCancelled)
            },
        ),
        (
            "order_shipped",
            NotificationRequested {
                shipment: Some(ShipmentTracking::of(vec![dhl()])),
                ..request(NotificationTemplate::OrderShipped)
            },
        ),
        (
            "order_shipped_parcels",
            NotificationRequested {
                shipment: Some(ShipmentTracking::of(parcels)),
                ..request(NotificationTemplate::OrderShipped)
            },
        ),
        (
            "order_refunded",
            NotificationRequested {
                refund_amount: refund_amount(),
                reason: reason(),
                ..request(NotificationTemplate::OrderRefunded)
            },
        ),
        (
            "order_confirmed_whole",
            NotificationRequested { details: whole(), ..request(NotificationTemplate::OrderConfirmed) },
        ),
        (
            "order_cancelled_whole",
            NotificationRequested {
                details: OrderDetails { shipping_address: None, billing_address: None, ..whole() },
                ..request(NotificationTemplate::OrderCancelled)
            },
        ),
        (
            "order_cancelled_paid_elsewhere",
            NotificationRequested { paid_elsewhere: true, ..request(NotificationTemplate::OrderCancelled) },
        ),
        (
            "order_rejected_paid_elsewhere",
            NotificationRequested {
                paid_elsewhere: true,
                reason: reason(),
                ..request(NotificationTemplate::OrderRejected)
            },
        ),
        ("staff_new_order", NotificationRequested { details: whole(), ..request(NotificationTemplate::StaffNewOrder) }),
        (
            "staff_new_order_customer",
            NotificationRequested {
                details: OrderDetails { customer_name: Some("Jörg Müller".into()), ..whole() },
                ..request(NotificationTemplate::StaffNewOrder)
            },
        ),
        (
            "order_shipped_whole",
            NotificationRequested {
                shipment: Some(ShipmentTracking::of(vec![dhl()])),
                details: OrderDetails { totals: None, billing_address: None, ..whole() },
                ..request(NotificationTemplate::OrderShipped)
            },
        ),
        (
            "order_rejected_out_of_stock",
            NotificationRequested {
                rejection: Some(cause),
                reason: Some("not enough in stock: sku-123, sku-7".into()),
                ..request(NotificationTemplate::OrderRejected)
            },
        ),
        (
            "order_confirmed_waiting",
            NotificationRequested { lines: waiting(), ..request(NotificationTemplate::OrderConfirmed) },
        ),
        (
            "staff_new_order_waiting",
            NotificationRequested { lines: waiting(), ..request(NotificationTemplate::StaffNewOrder) },
        ),
        (
            "order_edited",
            NotificationRequested {
                details: OrderDetails { edit: Some(edit("Standing Desk, Oak")), ..whole() },
                ..request(NotificationTemplate::OrderEdited)
            },
        ),
        (
            "order_edited_less",
            NotificationRequested {
                details: OrderDetails { edit: Some(less()), ..OrderDetails::default() },
                ..request(NotificationTemplate::OrderEdited)
            },
        ),
        (
            "payment_released",
            NotificationRequested { refund_amount: refund_amount(), ..request(NotificationTemplate::PaymentReleased) },
        ),
        (
            "payment_released_paid_elsewhere",
            NotificationRequested {
                refund_amount: refund_amount(),
                paid_elsewhere: true,
                ..request(NotificationTemplate::PaymentReleased)
            },
        ),
        (
            "order_shipped_document",
            NotificationRequested {
                shipment: Some(ShipmentTracking::of(vec![dhl()])),
                details: OrderDetails { document: document("INV-2026-000042"), ..OrderDetails::default() },
                ..request(NotificationTemplate::OrderShipped)
            },
        ),
        (
            "order_refunded_document",
            NotificationRequested {
                refund_amount: refund_amount(),
                details: OrderDetails { document: document("CN-2026-000042"), ..OrderDetails::default() },
                ..request(NotificationTemplate::OrderRefunded)
            },
        ),
    ]
}

pub(super) fn document(number: &str) -> Option<DocumentLink> {
    let url = "https://shop.example/orders/42?document=7&of=order".to_owned();
    Some(DocumentLink { number: number.to_owned(), url })
}

/// More is to be paid, for a line that is new and for one of which there is more. Another edit changed the total since.
pub(super) fn edit(title: &str) -> EditDetails {
    let line = |title: &str, before: &str, after: &str, unit: Option<&str>| EditedLine {
        sku: "sku-7".to_owned(),
        title: title.to_owned(),
        quantity_before: before.to_owned(),
        quantity: after.to_owned(),
        unit: unit.map(str::to_owned),
    };
    EditDetails {
        total_before: "1629.99".to_owned(),
        total_after: Some("2879.99".to_owned()),
        lines: vec![line(title, "1", "2", None), line("Cable", "0", "1.5", Some("m"))],
        omitted_lines: 3,
        added_payment: Some("1250.00".to_owned()),
        released: None,
        refunded: None,
    }
}

/// Less is to be paid, and nothing changed but prices. An earlier build asked for the mail.
fn less() -> EditDetails {
    EditDetails {
        total_before: "2700.00".to_owned(),
        released: Some("50.01".to_owned()),
        refunded: Some("20.00".to_owned()),
        ..EditDetails::default()
    }
}

/// Of the first line nobody knows when the rest is expected.
fn waiting() -> Vec<OrderedLine> {
    let mut lines = request(NotificationTemplate::OrderConfirmed).lines;
    for (line, expected_at) in lines.iter_mut().zip([None, Some("2026-12-24T09:00:00Z".to_owned())]) {
        line.waiting = Some(WaitingUnits { quantity: "1".to_owned(), expected_at });
    }
    lines
}
