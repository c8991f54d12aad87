//! Returns that come in parts, with what is put back into stock, or do not come.

use domain::order::{Order, OrderEvent};
use domain::stock::{Stock, StockEvent};
use event_store::Versioned;
use serde_json::{Value, json};

use crate::shop::{Answer, Shop};

fn units(line_number: u32, quantity: u32) -> Value {
    json!({ "lineNumber": line_number, "quantity": quantity })
}

/// The shop with a shipped order, of which two headphones will come back as return `r-1`.
async fn with_return() -> Shop {
    let shop = Shop::with_shipped_order().await;
    let body = json!({ "returnId": "r-1", "lines": [units(1, 2), units(2, 1)] });
    assert_eq!(shop.post("/orders/a/returns", body).await.status, 201);
    shop
}

async fn receive(shop: &Shop, body: Value) -> Answer {
    shop.post("/orders/a/returns/r-1/receive", body).await
}

async fn refunds(shop: &Shop) -> Vec<(String, i64)> {
    let Order::Placed(order) = shop.load("a").await.state else { panic!("no order") };
    order.refunds.iter().map(|it| (it.id.to_string(), it.amount_minor)).collect()
}

#[tokio::test]
async fn each_receipt_refunds_what_its_lines_are_worth() {
    let shop = with_return().await;
    let first = receive(&shop, json!({ "receiptId": "e-1", "lines": [units(1, 1)] })).await;
    assert_eq!(first.status, 202, "{}", first.body);
    assert_eq!((&first.body["returnId"], &first.body["receiptId"]), (&json!("r-1"), &json!("e-1")));
    let version = shop.version().await;
    let again = receive(&shop, json!({ "receiptId": "e-1", "lines": [units(1, 1)] })).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(shop.version().await, version);
    let other = receive(&shop, json!({ "receiptId": "e-1", "lines": [units(2, 1)] })).await;
    assert_eq!((other.status, &other.body["code"]), (409, &json!("id-taken")));

    // Nobody said that the next one is not another.
    let second = receive(&shop, json!({ "lines": [units(1, 1)] })).await;
    assert!(second.body["receiptId"].as_str().is_some_and(|id| id.len() == 36), "{}", second.body);
    let too_many = receive(&shop, json!({ "lines": [units(2, 1), units(1, 1)] })).await;
    assert_eq!(too_many.violation(), ("/lines/1/quantity", "too_many"));

    let rest = receive(&shop, json!({})).await;
    assert_eq!((rest.status, rest.body.get("receiptId")), (202, None), "{}", rest.body);
    let refunds = refunds(&shop).await;
    assert_eq!(refunds.iter().map(|(_, amount)| *amount).collect::<Vec<_>>(), [1_000, 1_000, 550]);
    assert_eq!(refunds[0].0, "r-1");
    assert_eq!(receive(&shop, json!({})).await.body, rest.body, "it is all here already");
    let over = receive(&shop, json!({ "lines": [units(1, 1)] })).await;
    assert_eq!((over.status, &over.body["code"]), (409, &json!("return-closed")));
    shop.store.close().await;
}

#[tokio::test]
async fn a_receipt_that_comes_again_under_its_key_is_made_once() {
    let shop = with_return().await;
    let key = [("idempotency-key", "k-1")];
    let body = json!({ "lines": [units(1, 1)] });
    let path = "/orders/a/returns/r-1/receive";
    let first = shop.post_with(path, body.clone(), &key).await;
    assert_eq!(first.status, 202, "{}", first.body);
    receive(&shop, json!({ "lines": [units(2, 1)] })).await;
    let version = shop.version().await;

    let again = shop.post_with(path, body.clone(), &key).await;

    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    assert_eq!(shop.version().await, version);
    let rest = shop.post_with(path, body, &[("idempotency-key", "k-2")]).await;
    assert_ne!(rest.body["receiptId"], first.body["receiptId"]);
    let again = shop.post_with(path, json!({ "lines": [units(1, 1)] }), &[("idempotency-key", "k-2")]).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &rest.body));
    assert_eq!(refunds(&shop).await.len(), 3);
    shop.store.close().await;
}

#[tokio::test]
async fn what_is_sellable_is_put_back_in_the_same_moment() {
    let shop = Shop::with_shipped_order().await;
    assert_eq!(shop.post("/stock/headphones/receive", json!({ "quantity": 5 })).await.status, 201);
    let body = json!({ "returnId": "r-1", "lines": [units(1, 2), units(2, 1)] });
    assert_eq!(shop.post("/orders/a/returns", body).await.status, 201);
    let line = |line: u32, condition: &str, restock: bool| json!({ "lineNumber": line, "quantity": 1, "condition": condition, "restock": restock });
    let wrong = receive(&shop, json!({ "lines": [line(1, "damaged", true)] })).await;
    assert_eq!(wrong.violation(), ("/lines/0/restock", "contradiction"));

    // The cable is not tracked: nothing counts it.
    let lines = json!([line(1, "sellable", true), line(1, "damaged", false), line(2, "sellable", true)]);
    let received = receive(&shop, json!({ "lines": lines })).await;

    assert_eq!(received.status, 202, "{}", received.body);
    let stock: Versioned<Stock> = shop.store.load("headphones").await.unwrap();
    let Stock::Tracked(tracked) = &stock.state else { panic!("not tracked") };
    assert_eq!((tracked.on_hand, stock.version), (6, 2));
    let events = shop.store.read_stream::<Stock>("headphones").await.unwrap();
    let StockEvent::StockReturned(returned) = events[1].decode::<Stock>().unwrap() else { panic!("not put back") };
    assert_eq!((returned.order_id.as_str(), returned.return_id.as_str(), returned.quantity), ("a", "r-1", 1));
    let order = shop.store.read_stream::<Order>("a").await.unwrap();
    assert_eq!(order.last().unwrap().position, events[1].position + 1, "one append");
    assert_eq!(received.body["position"], order.last().unwrap().position);
    let untracked: Versioned<Stock> = shop.store.load("cable").await.unwrap();
    assert_eq!(untracked.version, 0);
    shop.store.close().await;
}

#[tokio::test]
async fn what_is_put_back_in_another_unit_than_the_skus_is_named_with_its_line() {
    let shop = Shop::with_shipped_order().await;
    // It came to be counted after the order was sent.
    let received = json!({ "quantity": "2.5", "unit": "kg" });
    assert_eq!(shop.post("/stock/headphones/receive", received).await.status, 201);
    let body = json!({ "returnId": "r-1", "lines": [units(1, 2), units(2, 1)] });
    assert_eq!(shop.post("/orders/a/returns", body).await.status, 201);
    let line = |line: u32, restock: bool| json!({ "lineNumber": line, "quantity": 1, "restock": restock });
    let condition = |line: Value, condition: &str| {
        let mut line = line;
        line["condition"] = json!(condition);
        line
    };
    let lines = json!([line(2, true), condition(line(1, false), "damaged"), condition(line(1, true), "sellable")]);
    let version = shop.version().await;

    let refused = receive(&shop, json!({ "lines": lines })).await;

    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("other-unit")), "{}", refused.body);
    assert_eq!((&refused.body["sku"], &refused.body["pointer"]), (&json!("headphones"), &json!("/lines/2/restock")));
    assert_eq!(refused.body["detail"], "headphones: the SKU is counted in kg");
    assert_eq!(shop.version().await, version, "nothing is changed");
    shop.store.close().await;
}

#[tokio::test]
async fn what_is_put_back_where_there_are_too_many_locations_is_named_with_its_line() {
    let shop = Shop::with_shipped_order().await;
    // A SKU can be at a hundred.
    for nth in 0..100 {
        let received = json!({ "quantity": 1, "location": format!("l-{nth}") });
        let status = shop.post("/stock/headphones/receive", received).await.status;
        assert!((200..300).contains(&status), "{status}");
    }
    let body = json!({ "returnId": "r-1", "lines": [units(1, 1)] });
    assert_eq!(shop.post("/orders/a/returns", body).await.status, 201);
    let lines = json!([{ "lineNumber": 1, "quantity": 1, "restock": true }]);

    let refused = receive(&shop, json!({ "lines": lines, "location": "another" })).await;

    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("too-many")), "{}", refused.body);
    assert_eq!((&refused.body["sku"], &refused.body["pointer"]), (&json!("headphones"), &json!("/lines/0/restock")));
    shop.store.close().await;
}

#[tokio::test]
async fn what_does_not_come_can_be_announced_again() {
    let shop = with_return().await;
    receive(&shop, json!({ "lines": [units(1, 1)] })).await;
    let lines = json!({ "returnId": "r-2", "lines": [units(1, 1)] });
    assert_eq!(shop.post("/orders/a/returns", lines.clone()).await.violation(), ("/lines/0/quantity", "too_many"));

    let cancelled = shop.post("/orders/a/returns/r-1/cancel", json!({ "reason": "keeps it" })).await;

    assert_eq!((cancelled.status, &cancelled.body["returnId"]), (202, &json!("r-1")), "{}", cancelled.body);
    let OrderEvent::ReturnCancelled(event) = shop.last_event().await else { panic!("not cancelled") };
    assert_eq!(event.reason.as_deref(), Some("keeps it"));
    let again = shop.post("/orders/a/returns/r-1/cancel", json!({})).await;
    assert_eq!((again.status, &again.body), (202, &cancelled.body));
    let late = receive(&shop, json!({})).await;
    assert_eq!((late.status, &late.body["detail"]), (409, &json!("the return r-1 was cancelled")));
    assert_eq!(shop.post("/orders/a/returns", lines).await.status, 201);
    let long = shop.post("/orders/a/returns/r-2/cancel", json!({ "reason": "x".repeat(501) })).await;
    assert_eq!(long.violation(), ("/reason", "too_long"));
    shop.store.close().await;
}
