//! The demo order from its POST to its mail, and what clients ask about orders.

use http::Method;
use serde_json::{Value, json};
use testkit::{demo_order, eventually};

use crate::support::{Client, Ordo, PATIENCE, count_by_order, log_summary, settled};

/// As a client sends it, byte for byte.
const DEMO: &str = include_str!("../../../domain/golden/posted/demo-order.json");
const DEMO_ID: &str = "demo-1759035874968";

#[tokio::test]
async fn the_demo_order_is_accepted_confirmed_and_told_of_by_mail() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();

    let accepted = client.post("/orders", "application/json", DEMO).await;
    assert_eq!(accepted.status, 201, "{}", accepted.text());
    assert_eq!(accepted.header("location"), "/orders/demo-1759035874968");
    assert_eq!(accepted.header("etag"), "\"1\"");
    let position = accepted.header("event-position");
    let expected = format!(r#"{{"status":"accepted","orderId":"{DEMO_ID}","version":1,"position":{position}}}"#);
    assert_eq!(accepted.text(), expected);

    // What was written can be read at once, by whoever says what it was.
    let read = client.get(&format!("{}?minPosition={position}", accepted.header("location"))).await;
    assert_eq!(read.status, 200, "{}", read.text());
    assert_eq!(read.header("etag"), format!("\"{}\"", read.json()["version"]));

    let order = settled(&client, DEMO_ID).await;
    assert_eq!((&order["status"], &order["version"]), (&json!("confirmed"), &json!(5)));
    assert_eq!(order["customerId"], "customer-42");
    assert_eq!(order["total"], json!({"amount": "129.99", "currency": "USD"}));
    assert_eq!(order["lines"][0]["title"], "Wireless Headphones");
    assert_eq!(order["metadata"], json!({"channel": "rest-client", "requestedAt": "1759035874964"}));
    assert_eq!(order["mails"][0]["status"], "sent");

    let timeline = client.get(&format!("/orders/{DEMO_ID}/events")).await.json();
    let events: Vec<_> = timeline["items"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(events, ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"]);

    let mails = mails(&ordo).await;
    let [mail] = mails.as_slice() else { panic!("not one mail: {mails:?}") };
    assert_eq!(mail["subject"], format!("Order {DEMO_ID} confirmed"));
    assert_eq!(mail["to"], json!(["customer@ordo.example"]));
    assert_eq!(mail["id"], order["mails"][0]["providerMessageId"]);
    assert!(mail["text"].as_str().unwrap().contains("1 x Wireless Headphones (sku-123)"), "{mail}");
}

#[tokio::test]
async fn an_order_posted_again_gets_its_first_answer_and_one_with_other_content_none() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let first = client.post("/orders", "application/json", DEMO).await;

    let at_once = client.post("/orders", "application/json", DEMO).await;
    let before = settled(&client, DEMO_ID).await;
    let later = client.post("/orders", "application/json", DEMO).await;
    for again in [&at_once, &later] {
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        for header in ["location", "etag", "event-position"] {
            assert_eq!(again.header(header), first.header(header));
        }
    }

    let mut other = demo_order(DEMO_ID);
    other["totalAmount"] = json!(130);
    other["items"][0]["unitPrice"] = json!(130);
    let problem = client.order(&other).await.problem(409);
    assert_eq!(problem["code"], "order-exists");
    assert_eq!(problem["instance"], "/orders");

    // An order that came after all of these is through: nothing of them can still be on its way.
    client.order(&demo_order("afterwards")).await;
    settled(&client, "afterwards").await;
    assert_eq!(client.get(&format!("/orders/{DEMO_ID}")).await.json(), before);
    assert_eq!(log_summary(&ordo.database).await.events, 10);
    let mails = mails(&ordo).await;
    let subjects = mails.iter().map(|mail| mail["subject"].as_str().unwrap());
    assert_eq!(count_by_order(subjects), [("afterwards".into(), 1), (DEMO_ID.into(), 1)].into());
}

#[tokio::test]
async fn a_customers_orders_come_in_pages_newest_first() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let mut position = String::new();
    for nth in 0..5 {
        position = client.order(&of_customer("ann", nth)).await.header("event-position").to_owned();
        client.order(&of_customer("bob", nth)).await;
    }

    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let from = cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = client.get(&format!("/orders?customerId=ann&limit=2&minPosition={position}{from}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|order| order["orderId"].clone()));
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    assert_eq!(seen, ["ann-4", "ann-3", "ann-2", "ann-1", "ann-0"]);

    // A cursor is good for its own query only, whoever else's path it is tried on.
    let cursor = cursor.unwrap();
    for path in [format!("/orders?customerId=bob&cursor={cursor}"), format!("/customers/bob/orders?cursor={cursor}")] {
        let refused = client.get(&path).await;
        let problem = refused.problem(422);
        assert!(problem["detail"].as_str().unwrap().contains("no cursor of this query"), "{problem}");
        assert_eq!(refused.pointers().len(), 1);
        assert!(refused.pointers()[0].ends_with("cursor"), "{problem}");
    }
    let page = client.get(&format!("/customers/ann/orders?cursor={cursor}")).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test]
async fn everything_is_mounted_under_v1_too() {
    let ordo = Ordo::up(&[]).await;
    let (client, v1) = (ordo.client(), Client::new(&format!("{}/v1", ordo.api)));
    assert_eq!(v1.order(&demo_order("demo-v1")).await.status, 201);
    settled(&v1, "demo-v1").await;
    for path in ["/orders/demo-v1", "/orders/demo-v1/events", "/orders?customerId=customer-42"] {
        let (short, long) = (client.get(path).await, v1.get(path).await);
        assert_eq!((long.status, long.body), (200, short.body), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_and_never_our_fault() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for path in ["/nowhere", "/v1", "/v2/orders", "/orders/", "/orders/no-such-order", "/orders/no-such-order/events"] {
        let problem = client.get(path).await.problem(404);
        assert_eq!((&problem["code"], &problem["instance"]), (&json!("not-found"), &json!(path)));
    }
    for (method, path) in [(Method::DELETE, "/orders"), (Method::PUT, "/orders/one"), (Method::POST, "/health/live")] {
        let refused = client.ask(method, path).await;
        assert_eq!(refused.problem(405)["code"], "method-not-allowed");
        assert!(!refused.header("allow").is_empty());
    }
    // No id can be spelled so: there is no such order, whoever decodes the path.
    for id in ["%00", "%ff", "%", "%C3%28", "a%2Fb", "%20", &"x".repeat(10_000)] {
        for path in [format!("/orders/{id}"), format!("/orders/{id}/events"), format!("/customers/{id}/orders")] {
            let answer = client.get(&path).await;
            assert!(answer.status < 500, "{path}: {}", answer.text());
        }
    }
    for query in ["limit=0", "limit=many", "limit=1&limit=2", "minPosition=-", "cursor=%00", "cursor=%ff", "colour=red"]
    {
        let answer = client.get(&format!("/orders?customerId=ann&{query}")).await;
        assert!((400..500).contains(&answer.status), "{query}: {}", answer.text());
        answer.problem(answer.status);
    }
}

fn of_customer(customer: &str, nth: usize) -> Value {
    let mut order = demo_order(&format!("{customer}-{nth}"));
    order["customerId"] = json!(customer);
    order
}

async fn mails(ordo: &Ordo) -> Vec<Value> {
    let inbox = Client::new(&ordo.inbox);
    eventually(PATIENCE, || async { inbox.get("/messages").await.json() != json!([]) }).await;
    inbox.get("/messages").await.json().as_array().unwrap().clone()
}
