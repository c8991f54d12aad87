//! Orders with several payments, and orders that were paid elsewhere, from the order to the last refund.

use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE, at_rest, run, settled};

/// One a line: a name and a body.
const ORDERS: &str = include_str!("../../../domain/golden/posted/orders-with-payments.jsonl");

fn sample(name: &str) -> Value {
    let mut orders = ORDERS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    orders.find(|order| order["name"] == name).unwrap()["body"].take()
}

async fn ask(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert!(matches!(answer.status, 200..=202), "{path}: {}", answer.text());
    answer.json()
}

/// The order, once what is asked of its view holds.
async fn shown(client: &Client, order_id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/orders/{order_id}");
    eventually(PATIENCE, || async { holds(&client.get(&path).await.json()) }).await;
    client.get(&path).await.json()
}

/// The status of each payment, what it is worth, and what was captured and refunded of it.
fn payments(order: &Value) -> Vec<[String; 4]> {
    let payments = order["payments"].as_array().unwrap_or_else(|| panic!("{order}"));
    let amount = |payment: &Value, of: &str| payment[of]["amount"].as_str().unwrap().to_owned();
    let shown = |it: &Value| {
        let status = it["status"].as_str().unwrap().to_owned();
        [status, amount(it, "amount"), amount(it, "captured"), amount(it, "refunded")]
    };
    payments.iter().map(shown).collect()
}

#[tokio::test]
async fn a_gift_card_and_a_card_pay_for_one_order_and_get_back_what_is_refunded() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    ask(&client, "/orders", sample("order-discount-and-two-payments")).await;
    let order = settled(&client, "shop-3").await;
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("confirmed"), &json!("authorized")));
    assert_eq!(payments(&order), [["authorized", "30.00", "0.00", "0.00"], ["authorized", "50.00", "0.00", "0.00"]]);
    assert_eq!((&order["payments"][0]["method"], &order["payments"][0]["token"]), (&json!("giftCard"), &Value::Null));

    // When it is sent
    ask(&client, "/orders/shop-3/ship", json!({})).await;
    // Then both are captured.
    let order = shown(&client, "shop-3", |order| order["shipments"][0]["settled"] == true).await;
    assert_eq!(payments(&order), [["captured", "30.00", "30.00", "0.00"], ["captured", "50.00", "50.00", "0.00"]]);

    // When some goes back, and then the goods come back
    ask(&client, "/orders/shop-3/refunds", json!({ "refundId": "f-1", "amount": "60.00" })).await;
    let order = shown(&client, "shop-3", |order| order["refunds"][0]["status"] == "refunded").await;
    assert_eq!(order["paymentStatus"], "partiallyRefunded");
    // Then the card gets back its 50.00 first.
    let shares = &order["refunds"][0]["payments"];
    assert_eq!((&shares[0]["amount"]["amount"], &shares[1]["amount"]["amount"]), (&json!("10.00"), &json!("50.00")));
    let line = json!([{ "lineNumber": 1, "quantity": 1 }]);
    ask(&client, "/orders/shop-3/returns", json!({ "returnId": "r-1", "lines": line })).await;
    ask(&client, "/orders/shop-3/returns/r-1/receive", json!({})).await;
    let order = shown(&client, "shop-3", |order| order["refunded"]["amount"] == "80.00").await;
    assert_eq!(payments(&order), [["refunded", "30.00", "30.00", "30.00"], ["refunded", "50.00", "50.00", "50.00"]]);
    at_rest(&ordo.database, 1, PATIENCE).await;
    let timeline = client.get("/orders/shop-3/events").await.text();
    assert!(timeline.contains(r#""paymentNumber":2"#) && !timeline.contains("tok_ok"), "{timeline}");
}

#[tokio::test]
async fn one_payment_that_is_declined_leaves_nothing_held_of_the_other() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let mut order = sample("order-discount-and-two-payments");
    order["payments"][1]["token"] = json!("tok_declined");
    ask(&client, "/orders", order).await;
    let order = shown(&client, "shop-3", |order| order["status"] == "rejected").await;
    assert_eq!(order["payments"][0]["status"], "voided");
    assert_eq!(order["payments"][1]["status"], "declined");
    at_rest(&ordo.database, 1, PATIENCE).await;
}

#[tokio::test]
async fn every_way_of_paying_ends_where_it_should_for_one_of_two_payments() {
    let ordo = Ordo::up(&[("ORDO_LOG", "warn")]).await;
    let client = ordo.client();
    let tokens = ["tok_timeout_then_ok", "tok_slow", "tok_flaky"];
    for token in tokens {
        let mut order = sample("order-discount-and-two-payments");
        (order["orderId"], order["payments"][1]["token"]) = (json!(token), json!(token));
        ask(&client, "/orders", order).await;
    }
    for token in tokens {
        shown(&client, token, |order| order["status"] == "confirmed").await;
        ask(&client, &format!("/orders/{token}/ship"), json!({})).await;
        shown(&client, token, |order| order["paymentStatus"] == "captured").await;
        ask(&client, &format!("/orders/{token}/refunds"), json!({ "amount": "1.00" })).await;
        shown(&client, token, |order| order["refunded"]["amount"] == "1.00").await;
    }
    at_rest(&ordo.database, tokens.len(), PATIENCE).await;
}

#[tokio::test]
async fn what_was_paid_elsewhere_is_given_back_by_a_person_who_says_so() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let posted = sample("guest-digital-paid-elsewhere");
    ask(&client, "/orders", posted.clone()).await;
    let order = settled(&client, "shop-4").await;
    let payment = &order["payments"][0];
    for name in ["method", "reference", "paidAt"] {
        assert_eq!(payment[name], posted["payments"][0][name], "{order}");
    }
    ask(&client, "/orders/shop-4/ship", json!({})).await;
    let order = shown(&client, "shop-4", |order| order["shipments"][0]["settled"] == true).await;
    assert_eq!(payments(&order), [["captured", "1200", "1200", "0"]]);
    at_rest(&ordo.database, 1, PATIENCE).await;

    // When some of it is refunded
    ask(&client, "/orders/shop-4/refunds", json!({ "refundId": "f-1", "amount": "200" })).await;
    // Then it waits for a person, where people look, and nothing is stuck.
    let order = shown(&client, "shop-4", |order| order["refunds"][0]["status"] == "manual").await;
    assert_eq!(order["payments"][0]["manualRefund"]["amount"], "200");
    let waiting = "/sagas?step=refund_manually&state=running";
    eventually(PATIENCE, || async { client.get(waiting).await.json()["items"].as_array().unwrap().len() == 1 }).await;
    let saga = client.get("/orders/shop-4/saga").await.json();
    assert_eq!((&saga["state"], &saga["waitsFor"]), (&json!("running"), &json!("refund_manually")));

    // When the person has sent it
    let said = ["saga", "mark-succeeded", "shop-4", "--step", "refund_manually", "--refund", "f-1"];
    let said =
        [&said[..], &["--reference", "TRANSFER-7", "--reason", "sent by bank transfer", "--actor", "ann"]].concat();
    let done = run(&said, &[("DATABASE_URL", &ordo.database)]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    // Then it is refunded.
    let order = shown(&client, "shop-4", |order| order["refunds"][0]["status"] == "refunded").await;
    assert_eq!(payments(&order), [["partiallyRefunded", "1200", "1200", "200"]]);

    // When another is cancelled, it ends, and its money is still to be given back.
    let mut other = posted;
    other["orderId"] = json!("shop-5");
    ask(&client, "/orders", other).await;
    settled(&client, "shop-5").await;
    ask(&client, "/orders/shop-5/cancel", json!({})).await;
    let order = shown(&client, "shop-5", |order| order["status"] == "cancelled").await;
    assert_eq!(order["payments"][0]["manualRefund"]["amount"], "1200");
    eventually(PATIENCE, || async { client.get(waiting).await.json()["items"].as_array().unwrap().len() == 1 }).await;
    let said = ["saga", "mark-succeeded", "shop-5", "--rest", "--reference", "TRANSFER-8", "--reason", "sent"];
    let done = run(&said, &[("DATABASE_URL", &ordo.database)]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    shown(&client, "shop-5", |order| order["paymentStatus"] == "voided").await;
    at_rest(&ordo.database, 2, PATIENCE).await;
}

#[tokio::test]
async fn payments_that_do_not_add_up_are_named_and_change_nothing() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let mut order = sample("order-discount-and-two-payments");
    order["payments"][1]["amount"] = json!("49.99");
    let refused = client.order(&order).await;
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/payments".to_owned()]), "{}", refused.text());
    assert!(refused.text().contains("79.99"), "{}", refused.text());
    client.get("/orders/shop-3").await.problem(404);
}
