use chrono::{DateTime, Utc};

use super::*;

const REQUESTED: &str = include_str!("../../golden/ordo.notification.requested.v1.json");
const SENT: &str = include_str!("../../golden/ordo.notification.sent.v1.json");
const FAILED: &str = include_str!("../../golden/ordo.notification.failed.v1.json");

#[test]
fn a_request_is_the_golden_bytes_and_reads_back() {
    let event = CloudEvent::new("demo-1759035874968", noon(), requested()).traced(Some(TRACEPARENT.into()));

    assert_eq!(event.to_json().unwrap(), REQUESTED.trim_end());
    assert_eq!(CloudEvent::parse(REQUESTED).unwrap(), event);
}

#[test]
fn a_request_for_each_mail_is_the_golden_bytes_and_reads_back() {
    for (golden, data) in [
        (include_str!("../../golden/ordo.notification.requested.v1.order-rejected.json"), rejected()),
        (include_str!("../../golden/ordo.notification.requested.v1.order-cancelled.json"), cancelled()),
        (include_str!("../../golden/ordo.notification.requested.v1.paid-elsewhere.json"), paid_elsewhere()),
        (include_str!("../../golden/ordo.notification.requested.v1.order-shipped.json"), shipped()),
        (include_str!("../../golden/ordo.notification.requested.v1.order-shipped.parcels.json"), shipped_in_parcels()),
        (include_str!("../../golden/ordo.notification.requested.v1.order-refunded.json"), refunded()),
        (include_str!("../../golden/ordo.notification.requested.v1.withdraw.json"), withdrawn()),
        (include_str!("../../golden/ordo.notification.requested.v1.whole.json"), whole()),
        (include_str!("../../golden/ordo.notification.requested.v1.locale.json"), in_german()),
        (include_str!("../../golden/ordo.notification.requested.v1.out-of-stock.json"), out_of_stock()),
        (include_str!("../../golden/ordo.notification.requested.v1.staff-new-order.json"), for_staff()),
        (include_str!("../../golden/ordo.notification.requested.v1.order-edited.json"), edited()),
        (include_str!("../../golden/ordo.notification.requested.v1.order-edited.total-after.json"), edited_twice()),
        (include_str!("../../golden/ordo.notification.requested.v1.payment-released.json"), released()),
        (include_str!("../../golden/ordo.notification.requested.v1.document.json"), with_a_document()),
        (include_str!("../../golden/ordo.notification.requested.v1.waiting.json"), waiting()),
    ] {
        let event = CloudEvent::new("demo-1759035874968", noon(), data);

        assert_eq!(event.to_json().unwrap(), golden.trim_end());
        assert_eq!(CloudEvent::parse(golden).unwrap(), event);
    }
}

#[test]
fn a_shipment_may_lack_all_there_is_to_follow_it_by() {
    let shipment: ShipmentTracking = serde_json::from_str("{}").unwrap();

    assert_eq!(shipment, ShipmentTracking::default());
    assert_eq!(serde_json::to_string(&shipment).unwrap(), "{}");
}

#[test]
fn an_answer_that_the_mail_was_sent_is_the_golden_bytes_and_reads_back() {
    let event = CloudEvent::new("demo-1759035874968", noon(), sent());

    assert_eq!(event.to_json().unwrap(), SENT.trim_end());
    assert_eq!(NotificationAnswer::parse(SENT).unwrap(), event.map(NotificationAnswer::Sent));
}

#[test]
fn an_answer_that_the_mail_failed_is_the_golden_bytes_and_reads_back() {
    let event = CloudEvent::new("demo-1759035874968", noon(), failed());

    assert_eq!(event.to_json().unwrap(), FAILED.trim_end());
    assert_eq!(NotificationAnswer::parse(FAILED).unwrap(), event.map(NotificationAnswer::Failed));
}

#[test]
fn a_request_is_no_answer() {
    let error = NotificationAnswer::parse(REQUESTED).unwrap_err();

    assert_eq!(
        error.to_string(),
        "the type is `ordo.notification.requested.v1`, expected `ordo.notification.sent.v1 or ordo.notification.failed.v1`"
    );
}

#[test]
fn both_answers_to_a_request_have_ids_of_their_own_and_always_the_same() {
    assert_eq!(sent().id(), Uuid::new_v5(&notification_id(), b"sent"));
    assert_eq!(failed().id(), Uuid::new_v5(&notification_id(), b"failed"));
    assert_ne!(sent().id(), failed().id());
}

#[test]
fn a_template_reads_and_writes_under_the_name_in_records() {
    for template in NotificationTemplate::ALL {
        assert_eq!(serde_json::to_string(&template).unwrap(), format!("\"{}\"", template.as_str()));
    }
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn noon() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn notification_id() -> Uuid {
    Uuid::from_u128(0x019a_a0b1_c2d3_7e4f_8a5b_6c7d_8e9f_a0b1)
}

fn requested() -> NotificationRequested {
    NotificationRequested {
        notification_id: notification_id(),
        attempt: 1,
        template: NotificationTemplate::OrderConfirmed,
        recipient: Some("ada@example.com".into()),
        order_id: "demo-1759035874968".into(),
        order_number: None,
        locale: None,
        customer_id: Some("customer-42".into()),
        currency: "USD".into(),
        total_amount: "129.99".into(),
        lines: vec![OrderedLine {
            sku: "sku-123".into(),
            title: "Wireless Headphones".into(),
            quantity: 1,
            measure: None,
            unit_price: "129.99".into(),
            line_total: "129.99".into(),
            waiting: None,
        }],
        omitted_lines: 0,
        details: OrderDetails::default(),
        reason: None,
        rejection: None,
        shipment: None,
        refund_amount: None,
        paid_elsewhere: false,
        retry_failed: false,
        withdraw: false,
    }
}

fn withdrawn() -> NotificationRequested {
    NotificationRequested { withdraw: true, recipient: Some(NotificationRequested::NOBODY.into()), ..requested() }
}

/// With everything that a shop can say.
fn whole() -> NotificationRequested {
    let some = |text: &str| Some(text.to_owned());
    let address = PostalAddress {
        name: some("Jörg Müller"),
        company: some("Müller GmbH"),
        line1: "Hauptstr. 5".into(),
        line2: some("2. Stock"),
        postal_code: some("50667"),
        city: some("Köln"),
        region: some("NRW"),
        country: "DE".into(),
    };
    let totals = TotalParts {
        items: "129.99".into(),
        discounts: some("6.50"),
        shipping: some("4.90"),
        taxes: some("0.50"),
        included_taxes: some("3.62"),
    };
    let order = OrderDetails {
        customer_name: None,
        totals: Some(totals),
        shipping_method: some("DHL Paket"),
        estimated_delivery: None,
        shipping_address: Some(address.clone()),
        billing_address: Some(address),
        edit: None,
        document: None,
    };
    NotificationRequested { total_amount: "128.89".into(), details: order, ..requested() }
}

fn rejected() -> NotificationRequested {
    let reason = Some("sku-123 is out of stock".into());
    NotificationRequested { template: NotificationTemplate::OrderRejected, reason, ..requested() }
}

fn in_german() -> NotificationRequested {
    let whole = whole();
    let details = OrderDetails { estimated_delivery: Some("2026-12-03".into()), ..whole.details };
    NotificationRequested { locale: Some("de-AT".into()), details, ..whole }
}

fn for_staff() -> NotificationRequested {
    let details = OrderDetails { customer_name: Some("Jörg Müller".into()), ..OrderDetails::default() };
    NotificationRequested { template: NotificationTemplate::StaffNewOrder, recipient: None, details, ..requested() }
}

fn out_of_stock() -> NotificationRequested {
    let cause = RejectionCause { code: "outOfStock".into(), skus: vec!["sku-123".into()] };
    let reason = Some("not enough in stock: sku-123".into());
    NotificationRequested { locale: Some("de".into()), rejection: Some(cause), reason, ..rejected() }
}

fn cancelled() -> NotificationRequested {
    let reason = Some("cancelled at your request".into());
    NotificationRequested { template: NotificationTemplate::OrderCancelled, reason, ..requested() }
}

fn paid_elsewhere() -> NotificationRequested {
    NotificationRequested { paid_elsewhere: true, ..cancelled() }
}

fn shipped() -> NotificationRequested {
    let shipment = Some(ShipmentTracking::of(vec![parcel("DHL", "00340434161094042557")]));
    NotificationRequested { template: NotificationTemplate::OrderShipped, shipment, ..requested() }
}

fn shipped_in_parcels() -> NotificationRequested {
    let shipment =
        Some(ShipmentTracking::of(vec![parcel("DHL", "00340434161094042557"), parcel("UPS", "1Z999AA10123456784")]));
    NotificationRequested { template: NotificationTemplate::OrderShipped, shipment, ..requested() }
}

fn parcel(carrier: &str, tracking: &str) -> ParcelTracking {
    ParcelTracking { carrier: Some(carrier.into()), tracking: Some(tracking.into()) }
}

fn refunded() -> NotificationRequested {
    let refund_amount = Some("29.99".into());
    NotificationRequested { template: NotificationTemplate::OrderRefunded, refund_amount, ..requested() }
}

fn edited() -> NotificationRequested {
    let edit = EditDetails {
        total_before: "259.98".into(),
        total_after: None,
        lines: vec![EditedLine {
            sku: "sku-123".into(),
            title: "Wireless Headphones".into(),
            quantity_before: "2".into(),
            quantity: "1".into(),
            unit: None,
        }],
        omitted_lines: 0,
        added_payment: Some("5.00".into()),
        released: Some("129.99".into()),
        refunded: Some("10.00".into()),
    };
    let details = OrderDetails { edit: Some(edit), ..OrderDetails::default() };
    NotificationRequested { template: NotificationTemplate::OrderEdited, details, ..requested() }
}

fn edited_twice() -> NotificationRequested {
    let mut request = edited();
    if let Some(edit) = &mut request.details.edit {
        edit.total_after = Some("149.99".into());
    }
    request
}

fn released() -> NotificationRequested {
    let refund_amount = Some("29.99".into());
    NotificationRequested {
        template: NotificationTemplate::PaymentReleased,
        refund_amount,
        paid_elsewhere: true,
        ..requested()
    }
}

fn with_a_document() -> NotificationRequested {
    let url = "https://shop.example/orders/demo-1759035874968/documents/R-2026-000042".to_owned();
    let document = Some(DocumentLink { number: "R-2026-000042".into(), url });
    NotificationRequested { details: OrderDetails { document, ..OrderDetails::default() }, ..shipped() }
}

fn waiting() -> NotificationRequested {
    let mut request = requested();
    for line in &mut request.lines {
        line.waiting = Some(WaitingUnits { quantity: "1".into(), expected_at: Some("2026-12-24T00:00:00Z".into()) });
    }
    request
}

fn sent() -> NotificationSent {
    NotificationSent {
        notification_id: notification_id(),
        template: NotificationTemplate::OrderConfirmed,
        recipient: "ada@example.com".into(),
        provider_message_id: "0100018f-0000".into(),
    }
}

fn failed() -> NotificationFailed {
    NotificationFailed {
        notification_id: notification_id(),
        template: NotificationTemplate::OrderConfirmed,
        reason: "the mail service refused the mail: MessageRejected: Email address is not verified".into(),
    }
}
