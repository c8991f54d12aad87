//! Invoices and credit notes of the whole platform: issued as goods are sent and money goes back, shown to those who may see them.

use std::time::Duration;

use access_control::Role;
use serde_json::{Value, json};
use testkit::eventually;

use crate::access::{SECRET, as_role, token};
use crate::support::{Client, Ordo, PATIENCE, settled, verify};

const SELLER: [(&str, &str); 3] = [
    ("ORDO_SELLER_NAME", "Shop Ltd"),
    ("ORDO_SELLER_ADDRESS", "Street 1, 10115 Berlin, Germany"),
    ("ORDO_SELLER_TAX_ID", "DE123456789"),
];

fn order(order_id: &str) -> Value {
    json!({
        "orderId": order_id, "currency": "EUR", "totalAmount": "37.70",
        "customer": { "id": "customer-42", "email": "ann@example.com", "name": "Ann", "taxId": "DE999" },
        "billingAddress": { "line1": "Hauptstr. 1", "postalCode": "10115", "city": "Berlin", "country": "DE" },
        "items": [
            { "sku": "book", "title": "A book", "quantity": 2, "unitPrice": "10.70",
              "taxes": [{ "name": "VAT", "rate": "0.07", "amount": "1.40", "included": true }] },
            { "sku": "mug", "title": "A mug", "quantity": 1, "unitPrice": "11.90",
              "taxes": [{ "name": "VAT", "rate": "0.19", "amount": "1.90", "included": true }] },
        ],
        "shipping": { "method": "Post", "amount": "4.40" },
    })
}

async fn ask(client: &Client, path: &str, body: Value) {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert!(matches!(answer.status, 200..=202), "{path}: {}", answer.text());
}

/// The documents of an order, once there are so many.
async fn documents(client: &Client, order_id: &str, count: usize) -> Vec<Value> {
    let path = format!("/orders/{order_id}/documents");
    let listed = async || client.get(&path).await.json()["items"].as_array().cloned().unwrap_or_default();
    eventually(PATIENCE, || async { listed().await.len() == count }).await;
    listed().await
}

#[tokio::test]
async fn a_shop_gets_an_invoice_for_each_shipment_and_a_credit_note_for_a_refund() {
    // Given
    let ordo = Ordo::up(&[&SELLER[..], &[("ORDO_REQUIRE_AUTH", "true"), ("ORDO_TOKEN_SECRET", SECRET)]].concat()).await;
    let shop = as_role(&ordo, Role::Shop);
    assert_eq!(shop.order(&order("o-1")).await.status, 201);
    settled(&shop, "o-1").await;
    assert_eq!(shop.get("/orders/o-1/documents").await.json()["items"], json!([]));

    // When
    ask(&shop, "/orders/o-1/ship", json!({ "shipmentId": "s-1", "lines": [{ "lineNumber": 1, "quantity": 2 }] })).await;
    documents(&shop, "o-1", 1).await;
    ask(&shop, "/orders/o-1/ship", json!({ "shipmentId": "s-2" })).await;
    documents(&shop, "o-1", 2).await;
    ask(&shop, "/orders/o-1/refunds", json!({ "refundId": "f-1", "amount": "3.77", "reason": "scratched" })).await;
    let listed = documents(&shop, "o-1", 3).await;

    // Then
    let kinds: Vec<_> =
        listed.iter().map(|it| (it["kind"].as_str().unwrap(), it["total"]["amount"].as_str().unwrap())).collect();
    assert_eq!(kinds, [("invoice", "25.80"), ("invoice", "11.90"), ("creditNote", "3.77")]);
    let numbers: Vec<_> = listed.iter().map(|it| it["number"].as_str().unwrap()).collect();
    assert!(numbers[0].starts_with("INV-") && numbers[0].ends_with("-000001"), "{numbers:?}");
    assert!(numbers[1].ends_with("-000002") && numbers[2].starts_with("CN-"), "{numbers:?}");
    let at = |nth: usize| format!("/orders/o-1/documents/{}", listed[nth]["documentId"].as_str().unwrap());
    let first = shop.get(&at(0)).await.json();
    assert_eq!(first["seller"], json!({ "name": "Shop Ltd", "address": SELLER[1].1, "taxId": "DE123456789" }));
    assert_eq!((&first["buyer"]["name"], &first["buyer"]["address"]["line1"]), (&json!("Ann"), &json!("Hauptstr. 1")));
    assert_eq!((&first["net"]["amount"], &first["tax"]["amount"]), (&json!("24.40"), &json!("1.40")));
    assert_eq!(first["lines"].as_array().unwrap().len(), 2);
    let line = &first["lines"][0];
    assert_eq!((&line["unitPrice"]["amount"], &line["discount"]), (&json!("10.70"), &Value::Null));
    let note = shop.get(&at(2)).await.json();
    assert_eq!((&note["invoices"], &note["reason"]), (&json!([numbers[0], numbers[1]]), &json!("scratched")));

    // Pages
    let page = shop.get("/orders/o-1/documents?limit=2").await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), page["cursor"].as_str()), (2, Some("2")));
    let rest = shop.get("/orders/o-1/documents?limit=2&cursor=2").await.json();
    assert_eq!((&rest["items"][0]["number"], &rest["cursor"]), (&json!(numbers[2]), &Value::Null));
    assert_eq!(shop.get("/orders/o-1/documents?cursor=x").await.pointers(), ["?cursor"]);
    assert_eq!(shop.get("/orders/o-1/documents/nothing").await.status, 404);

    // In Rust
    let token = token(Role::Shop, Duration::from_secs(600));
    let rust = ordo_client::Client::builder(&ordo.api).token(&token).build().unwrap();
    assert_eq!(rust.documents("o-1").page(None).await.unwrap().items.len(), 3);
    let document = rust.document("o-1", listed[0]["documentId"].as_str().unwrap()).await.unwrap();
    assert_eq!((document.summary.number.as_str(), document.net.amount.as_str()), (numbers[0], "24.40"));
    assert_eq!(document.lines[0].unit_price.as_ref().unwrap().amount, "10.70");

    // Who sees what
    let masked = as_role(&ordo, Role::Auditor).get(&at(0)).await.json();
    assert_eq!((&masked["buyer"]["name"], &masked["total"]), (&json!("***"), &first["total"]));
    assert_eq!(as_role(&ordo, Role::Warehouse).get(&at(0)).await.status, 403);
    assert_eq!(as_role(&ordo, Role::Finance).get(&at(0)).await.json(), first);

    // As PDF, the same each time. Auditors get one without the buyer.
    let pdf = shop.get_with(&at(0), "accept", "application/pdf").await;
    assert_eq!((pdf.status, pdf.header("content-type")), (200, "application/pdf"));
    assert_eq!(pdf.header("content-disposition"), format!("inline; filename=\"{}.pdf\"", numbers[0]));
    assert!(pdf.body.starts_with(b"%PDF-"));
    assert_eq!(shop.get_with(&at(0), "accept", "application/pdf").await.body, pdf.body);
    let auditors = as_role(&ordo, Role::Auditor).get_with(&at(0), "accept", "application/pdf").await;
    assert!(auditors.status == 200 && auditors.body.starts_with(b"%PDF-") && auditors.body != pdf.body);
    assert_eq!(as_role(&ordo, Role::Warehouse).get_with(&at(0), "accept", "application/pdf").await.status, 403);

    // And all of it agrees.
    let told = verify(&ordo.database).await;
    assert_eq!((&told["ok"], &told["documents"]), (&json!(true), &json!(3)), "{told}");
}

#[tokio::test]
async fn without_a_seller_there_is_no_invoice() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    assert_eq!(client.order(&order("o-1")).await.status, 201);
    settled(&client, "o-1").await;
    ask(&client, "/orders/o-1/ship", json!({})).await;
    let path = "/orders/o-1";
    eventually(PATIENCE, || async { client.get(path).await.json()["paymentStatus"] == "captured" }).await;
    assert_eq!(client.get("/orders/o-1/documents").await.json()["items"], json!([]));
}
