//! An order with all that orders can have.

use access_control::Role;
use serde_json::{Value, json};

use crate::support::{Fixture, as_role};

/// An order of a shop that uses all of the format.
fn posted() -> Value {
    json!({
        "orderId": "o-1", "customerId": "c-2", "currency": "EUR", "totalAmount": "53.80",
        "shipping": { "method": "DHL Paket", "carrier": "DHL", "amount": "4.90", "estimatedDelivery": "2026-11-04",
                      "taxes": [{ "name": "Mehrwertsteuer", "rate": "0.19", "amount": "0.78", "included": true }] },
        "discounts": [{ "code": "WELCOME", "reason": "first order", "amount": "5.00" }],
        "channel": "web", "source": "newsletter", "tags": ["gift"],
        "items": [
            { "sku": "CAKE-7", "title": "Cheesecake", "quantity": 2, "unitPrice": "22.45", "variant": "large",
              "attributes": { "icing": "none" }, "discounts": [{ "amount": "1.50" }],
              "taxes": [{ "name": "USt", "rate": "0.07", "amount": "2.84", "included": true },
                        { "name": "Pfand", "rate": "0", "amount": "0.50", "included": false }] },
            { "sku": "CARD", "title": "Voucher", "quantity": 1, "unitPrice": "10.00", "requiresShipping": false, "giftCard": true },
        ],
    })
}

fn events() -> [Value; 9] {
    [
        json!({ "StockReserved": { "units": [{ "sku": "CAKE-7", "quantity": 2, "location": "berlin" }], "expiresAt": "2027-01-15T08:00:00Z",
            "backorders": [{ "sku": "CAKE-7", "quantity": 1, "location": "berlin", "availableAt": "2030-03-17T17:46:40Z" }] } }),
        json!({ "PaymentAuthorized": { "reference": "pay-1", "amountMinor": 5380 } }),
        json!({ "OrderConfirmed": {} }),
        json!({ "OrderNumbered": { "orderNumber": "A-2026-000042", "series": "A-2026", "sequence": 42 } }),
        json!({ "OrderEditRequested": { "editId": "edit-1", "changes": { "lines": [{ "lineNumber": 1, "quantity": 3 }] },
            "totalMinor": 7625, "reason": "one more" } }),
        json!({ "OrderEditRejected": { "editId": "edit-1", "reason": { "paymentDeclined": { "message": "no funds" } } } }),
        json!({ "OrderShipped": { "shipmentId": "s-1", "lines": [{ "lineNumber": 1, "quantity": 1 }], "parcels": [], "location": "berlin" } }),
        json!({ "ReturnRequested": { "returnId": "r-1", "lines": [{ "lineNumber": 1, "quantity": 1 }], "reason": "too sweet" } }),
        json!({ "ReturnReceived": { "returnId": "r-1", "refundMinor": 1000, "receiptId": "receipt-1",
            "lines": [{ "lineNumber": 1, "quantity": 1, "condition": "sellable", "restock": true }], "refundId": "f-2", "location": "berlin" } }),
    ]
}

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.order(&posted(), |content| content).await;
    fixture.happen("o-1", &events(), None).await;
    fixture
}

#[tokio::test]
async fn an_order_is_shown_with_all_that_it_has() {
    let fixture = fixture().await;
    let page = fixture.page("/orders/o-1", &as_role(Role::Operator)).await.body;
    for shown in [
        "A-2026-000042",
        ">Postage</dt><dd>4.90 EUR",
        "WELCOME",
        "Mehrwertsteuer",
        "DHL Paket",
        "Pfand",
        "gift card",
        "nothing to send",
        "icing",
        ">edit-1<",
        "one more",
        "no funds",
        "Waits for goods",
        "expected <time datetime=\"2030-03-17T17:46:40.000Z\"",
        "Where its units are",
        "receipt-1",
        "sellable, for sale again",
        "Version 10 of 10",
        "/orders/o-1/changes?from=9&amp;to=10",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("The version after"), "{page}");
    // Who packs sees where the goods are, and nothing of payments.
    let page = fixture.page("/orders/o-1", &as_role(Role::Warehouse)).await.body;
    assert!(page.contains("Where its units are") && !page.contains("no funds") && !page.contains("f-2"), "{page}");
    fixture.end().await;
}

#[tokio::test]
async fn versions_are_gone_through_by_links_and_compared() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let then = fixture.page("/orders/o-1?asOf=4", &operator).await.body;
    for link in ["asOf=3\" rel=\"prev\"", "asOf=5\" rel=\"next\"", "from=3&amp;to=4", "from=4&amp;to=10"] {
        assert!(then.contains(link), "{link}: {then}");
    }
    let changes = fixture.page("/orders/o-1/changes?from=3&to=4", &operator).await.body;
    for shown in ["/status</bdi>", "&#34;pending&#34;", "&#34;confirmed&#34;"] {
        assert!(changes.contains(shown), "{shown}: {changes}");
    }
    let none = fixture.page("/orders/o-1/changes?from=4&to=4", &operator).await.body;
    assert!(none.contains("Nothing differs"), "{none}");
    // An instant will do, and who sees nothing of payments sees no change of them.
    let packed =
        fixture.page("/orders/o-1/changes?from=2&to=2100-01-01T00:00:00Z", &as_role(Role::Warehouse)).await.body;
    assert!(packed.contains("/shipments/0/") && !packed.contains("/paymentStatus"), "{packed}");
    for (question, status) in [("from=1&to=99", 404), ("from=x&to=1", 422), ("from=1", 422), ("from=1&to=2&too=3", 422)]
    {
        let page = fixture.page(&format!("/orders/o-1/changes?{question}"), &operator).await;
        assert_eq!(page.status.as_u16(), status, "{question}: {}", page.body);
    }
    assert_eq!(fixture.page("/orders/nobody/changes?from=1&to=2", &operator).await.status.as_u16(), 404);
    fixture.end().await;
}

#[tokio::test]
async fn a_document_that_there_is_not_is_a_page() {
    let fixture = fixture().await;
    let page = fixture.page("/orders/o-1/documents/d-1", &as_role(Role::Finance)).await;
    assert_eq!((page.status.as_u16(), page.body.contains("<h1>")), (404, true), "{}", page.body);
    assert_eq!(fixture.page("/orders/o-1/documents/d-1", &as_role(Role::Warehouse)).await.status.as_u16(), 403);
    fixture.end().await;
}
