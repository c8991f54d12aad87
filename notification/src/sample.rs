//! An order that nobody placed, for people who look at mails.

use messaging::{
    DocumentLink, EditDetails, EditedLine, NotificationRequested, NotificationTemplate, OrderDetails, OrderedLine,
    ParcelTracking, PostalAddress, ShipmentTracking, TotalParts,
};
use uuid::Uuid;

/// A request for a mail about an order that has all that a mail can show.
pub fn sample_request(template: NotificationTemplate) -> NotificationRequested {
    let some = |text: &str| Some(text.to_owned());
    let is_undone = matches!(template, NotificationTemplate::OrderRejected | NotificationTemplate::OrderCancelled);
    let is_refund = template == NotificationTemplate::OrderRefunded;
    let gives_back = is_refund || template == NotificationTemplate::PaymentReleased;
    NotificationRequested {
        notification_id: Uuid::nil(),
        attempt: 1,
        template,
        recipient: some("customer@shop.example"),
        order_id: "sample-1".into(),
        order_number: None,
        locale: None,
        customer_id: some("customer-42"),
        currency: "EUR".into(),
        total_amount: "1288.40".into(),
        lines: vec![
            line("sku-123", "Wireless Headphones", 1, "129.90", "129.90"),
            line("desk", "Desk, Oak", 1, "1183.00", "1183.00"),
        ],
        omitted_lines: 0,
        details: details(template),
        reason: (is_undone || is_refund).then(|| "at your request".to_owned()),
        rejection: None,
        shipment: (template == NotificationTemplate::OrderShipped).then(|| {
            ShipmentTracking::of(vec![ParcelTracking { carrier: some("DHL"), tracking: some("00340434161094042557") }])
        }),
        refund_amount: gives_back.then(|| "129.90".to_owned()),
        paid_elsewhere: false,
        retry_failed: false,
        withdraw: false,
    }
}

fn details(template: NotificationTemplate) -> OrderDetails {
    let some = |text: &str| Some(text.to_owned());
    let totals = TotalParts {
        items: "1312.90".into(),
        discounts: some("29.40"),
        shipping: some("4.90"),
        taxes: None,
        included_taxes: some("205.71"),
    };
    let address = |name: &str, line1: &str| PostalAddress {
        name: some(name),
        line1: line1.to_owned(),
        postal_code: some("50667"),
        city: some("Köln"),
        country: "DE".into(),
        ..PostalAddress::default()
    };
    let whole = OrderDetails {
        customer_name: None,
        totals: Some(totals),
        shipping_method: some("DHL Paket"),
        estimated_delivery: some("2026-12-03"),
        shipping_address: Some(address("Ada Lovelace", "Hauptstr. 5")),
        billing_address: Some(address("Lovelace GmbH", "Nebenstr. 7")),
        edit: None,
        document: None,
    };
    match template {
        NotificationTemplate::OrderConfirmed => whole,
        NotificationTemplate::StaffNewOrder => OrderDetails { customer_name: some("Ada Lovelace"), ..whole },
        NotificationTemplate::OrderShipped => OrderDetails {
            shipping_address: whole.shipping_address,
            document: document("INV"),
            ..OrderDetails::default()
        },
        NotificationTemplate::OrderRejected | NotificationTemplate::OrderCancelled => {
            OrderDetails { totals: whole.totals, shipping_method: whole.shipping_method, ..OrderDetails::default() }
        }
        NotificationTemplate::OrderRefunded => OrderDetails { document: document("CN"), ..OrderDetails::default() },
        NotificationTemplate::OrderEdited => OrderDetails { edit: Some(edit()), ..whole },
        NotificationTemplate::PaymentReleased => OrderDetails::default(),
    }
}

/// An invoice or a credit note.
fn document(prefix: &str) -> Option<DocumentLink> {
    let number = format!("{prefix}-2026-000042");
    Some(DocumentLink { url: format!("https://shop.example/documents/{number}"), number })
}

/// A desk that was added.
fn edit() -> EditDetails {
    let desk = EditedLine {
        sku: "desk".into(),
        title: "Desk, Oak".into(),
        quantity_before: "0".into(),
        quantity: "1".into(),
        unit: None,
    };
    EditDetails {
        total_before: "105.40".into(),
        total_after: Some("1288.40".into()),
        lines: vec![desk],
        added_payment: Some("1183.00".into()),
        ..EditDetails::default()
    }
}

fn line(sku: &str, title: &str, quantity: u32, unit_price: &str, line_total: &str) -> OrderedLine {
    OrderedLine {
        sku: sku.to_owned(),
        title: title.to_owned(),
        quantity,
        measure: None,
        unit_price: unit_price.to_owned(),
        line_total: line_total.to_owned(),
        waiting: None,
    }
}
