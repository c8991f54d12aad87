use serde_json::{Value, json};

use super::*;

fn page(width: Option<usize>) -> Vec<String> {
    page_of(view(), width)
}

fn page_of(view: Value, width: Option<usize>) -> Vec<String> {
    let view: OrderPageData = serde_json::from_value(view).unwrap();
    view.page(
        "version 9 of 9, since 2026-11-21T11:59:00.000Z",
        &TerminalFormat::plain(width, "2026-11-21T12:00:00Z".parse().unwrap()),
    )
}

fn view() -> Value {
    let usd = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    json!({
        "orderId": "demo-1", "customerId": "customer-42", "customerEmail": "ada@example.com", "status": "confirmed",
        "statusSince": "2026-11-21T11:56:00Z", "paymentStatus": "partiallyRefunded", "fulfilmentStatus": "partiallyShipped",
        "returnsStatus": "none", "version": 9, "createdAt": "2026-11-21T11:55:00Z", "updatedAt": "2026-11-21T11:59:00Z",
        "total": usd("135.49"), "captured": usd("129.99"), "refunded": usd("10.00"), "notes": "ring\u{1b}twice",
        "lines": [
            { "lineNumber": 1, "sku": "sku-123", "title": "Wireless Headphones", "quantity": 1, "unitPrice": usd("129.99"),
              "lineTotal": usd("129.99"), "shipped": 1, "returned": 0 },
            { "lineNumber": 2, "sku": "cable", "title": "Cable", "quantity": 2, "unitPrice": usd("2.75"),
              "lineTotal": usd("5.50"), "shipped": 0, "returned": 0 },
        ],
        "shipments": [{ "shipmentId": "s-1", "lines": [{ "lineNumber": 1, "quantity": 1 }], "settled": true,
                        "parcels": [{ "carrier": "DHL", "tracking": "0034" }], "shippedAt": "2026-11-21T11:58:00Z" }],
        "returns": [], "addedNotes": [{ "noteId": "n-1", "text": "called", "author": "eve", "at": "2026-11-21T11:59:30Z" }],
        "refunds": [{ "refundId": "r-1", "amount": usd("10.00"), "reason": "late", "status": "refunded",
                      "requestedAt": "2026-11-21T11:58:00Z", "refundedAt": "2026-11-21T11:59:00Z" }],
        "mails": [
            { "template": "order-confirmed", "status": "sent", "recipient": "ada@example.com", "at": "2026-11-21T11:56:00Z" },
            { "template": "order-shipped", "status": "failed", "reason": "no such mailbox", "at": "2026-11-21T11:58:30Z" },
        ],
        "more": ["addedNotes"],
    })
}

#[test]
fn an_order_is_a_page() {
    assert_eq!(
        page(None),
        [
            "demo-1  confirmed  4 min ago",
            "version 9 of 9, since 2026-11-21T11:59:00.000Z",
            "customer-42, ada@example.com, ordered 5 min ago",
            "\"ring\u{fffd}twice\"",
            "",
            "  line  SKU      title                quantity   price   total  shipped",
            "     1  sku-123  Wireless Headphones         1  129.99  129.99        1",
            "     2  cable    Cable                       2    2.75    5.50        0",
            "",
            "money       partiallyRefunded; total 135.49 USD, 129.99 taken, 10.00 given back",
            "fulfilment  partiallyShipped",
            "",
            "shipments",
            "  s-1  2 min ago  1 × line 1; paid; DHL 0034",
            "",
            "refunds",
            "  r-1  10.00 USD  refunded  1 min ago  late",
            "",
            "notes (the latest)",
            "  30 s ago  eve  called",
            "",
            "mails",
            "  order-confirmed  sent    4 min ago  to ada@example.com",
            "  order-shipped    failed  1 min ago  no such mailbox",
        ]
    );
}

#[test]
fn its_tables_fit_the_terminal() {
    let narrow = page(Some(60));
    assert_eq!(narrow[6], "     1  sku-123  Wireles…         1  129.99  129.99        1");
    assert!(narrow[5..8].iter().all(|line| line.chars().count() <= 60), "{narrow:?}");
}

#[test]
fn what_the_total_is_made_of_and_where_the_order_goes_are_on_the_page() {
    let usd = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    let mut order = view();
    order["shippingAddress"] =
        json!({ "name": "Ada", "line1": "1 Main St", "city": "Reno", "postalCode": "89501", "country": "US" });
    order["totals"] = json!({ "items": usd("135.49"), "discounts": usd("5.00"), "shipping": usd("4.00"), "taxes": usd("1.00"),
                              "includedTaxes": usd("0.00"), "total": usd("135.49") });
    let page = page_of(order, None);
    assert_eq!(page[3], "goes to Ada, 1 Main St, 89501, Reno, US");
    let made_of = "made of     items 135.49, discounts 5.00, shipping 4.00, taxes 1.00, taxes in the prices 0.00";
    assert!(page.iter().any(|line| line == made_of), "{page:?}");
}
