//! What customers hear by mail: edits, money that a person gave back, the order's number and the page of its invoice.

use http::Method;
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE, at_rest, run, settled};

fn order(order_id: &str, payments: &Value) -> Value {
    json!({
        "orderId": order_id, "customerId": "c", "customerEmail": "ann@example.com", "currency": "EUR", "totalAmount": "20.00",
        "items": [{ "sku": "cable", "title": "Cable", "quantity": 2, "unitPrice": "10.00" }], "payments": payments,
    })
}

async fn ask(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert!(matches!(answer.status, 200..=202), "{path}: {}", answer.text());
    answer.json()
}

/// The text of the one mail with a subject, once it is there.
async fn mail(ordo: &Ordo, subject: &str) -> String {
    let inbox = Client::new(&ordo.inbox);
    let of_it = || async {
        let mails = inbox.get("/messages").await.json();
        mails.as_array().unwrap().iter().filter(|mail| mail["subject"] == subject).cloned().collect::<Vec<Value>>()
    };
    eventually(PATIENCE, || async { of_it().await.len() == 1 }).await;
    of_it().await[0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_customer_hears_once_of_an_edit_that_was_made_and_not_of_one_that_was_not() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    assert_eq!(client.order(&order("a", &json!([]))).await.status, 201);
    settled(&client, "a").await;
    at_rest(&ordo.database, 1, PATIENCE).await;
    for (edit_id, quantity, token) in [("e-1", 3, "tok_ok"), ("e-2", 5, "tok_declined")] {
        let version = client.get("/orders/a").await.json()["version"].to_string();
        let edit = json!({
            "editId": edit_id, "lines": [{ "lineNumber": 1, "quantity": quantity }],
            "payment": { "method": "card", "token": token },
        });
        let headers = [("content-type", "application/json"), ("if-match", &*format!("\"{version}\""))];
        let answer = client.send_with(Method::POST, "/orders/a/edits", &headers, edit.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let is_over = || async {
            let order = client.get("/orders/a").await.json();
            let edits = order["edits"].as_array().cloned().unwrap_or_default();
            edits.iter().any(|edit| edit["editId"] == edit_id && edit["status"] != "requested")
        };
        eventually(PATIENCE, is_over).await;
        at_rest(&ordo.database, 1, PATIENCE).await;
    }

    let text = mail(&ordo, "Order a was changed").await;
    for said in ["Cable (cable): 3, before 2", "Total before: €20.00", "Total after: €30.00", "We hold €10.00 more"]
    {
        assert!(text.contains(said), "{text}");
    }
    let shown = client.get("/orders/a/mails").await.json();
    let templates: Vec<&str> =
        shown["items"].as_array().unwrap().iter().map(|mail| mail["template"].as_str().unwrap()).collect();
    assert_eq!(templates.iter().filter(|template| **template == "order-edited").count(), 1, "{shown}");
}

#[tokio::test]
async fn a_customer_hears_of_money_that_a_person_gave_back_once_it_was_sent() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let transfer = json!([{ "method": "transfer", "amount": "20.00", "reference": "INV-7" }]);
    assert_eq!(client.order(&order("b", &transfer)).await.status, 201);
    settled(&client, "b").await;
    ask(&client, "/orders/b/cancel", json!({})).await;
    mail(&ordo, "Order b was cancelled").await;
    let waiting = "/sagas?step=refund_manually&state=running";
    eventually(PATIENCE, || async { client.get(waiting).await.json()["items"].as_array().unwrap().len() == 1 }).await;
    let inbox = Client::new(&ordo.inbox).get("/messages").await.json();
    assert!(!inbox.to_string().contains("Refund for order b"), "nothing was sent yet: {inbox}");

    let said = ["saga", "mark-succeeded", "b", "--rest", "--reference", "TRANSFER-8", "--reason", "sent"];
    let done = run(&said, &[("DATABASE_URL", &ordo.database)]).await;
    assert_eq!(done.code, 0, "{}", done.err);

    let text = mail(&ordo, "Refund for order b").await;
    assert!(text.starts_with("We have given back €20.00 for your order b."), "{text}");
    at_rest(&ordo.database, 1, PATIENCE).await;
}

#[tokio::test]
async fn mails_call_an_order_by_its_number_and_link_to_its_invoice() {
    let settings = [
        ("ORDO_ORDER_NUMBERS", "A"),
        ("ORDO_SELLER_NAME", "Shop Ltd"),
        ("ORDO_SELLER_ADDRESS", "Street 1, 10115 Berlin"),
        ("ORDO_SELLER_TAX_ID", "DE123456789"),
        ("ORDO_DOCUMENT_URL", "https://shop.example/orders/{orderId}/documents/{documentId}"),
    ];
    let ordo = Ordo::up(&settings).await;
    let client = ordo.client();
    assert_eq!(client.order(&order("a", &json!([]))).await.status, 201);
    mail(&ordo, "Order A-000001 confirmed").await;

    ask(&client, "/orders/a/ship", json!({})).await;
    let text = mail(&ordo, "Order A-000001 has shipped").await;
    let documents = client.get("/orders/a/documents").await.json();
    let document = &documents["items"][0];
    let link = format!(
        "Invoice {}: https://shop.example/orders/a/documents/{}",
        document["number"].as_str().unwrap(),
        document["documentId"].as_str().unwrap()
    );
    assert!(text.contains(&link), "{link}: {text}");
    at_rest(&ordo.database, 1, PATIENCE).await;
}
