//! SKUs of any text that can be printed: each is one SKU wherever it goes.

use futures_util::TryStreamExt;
use ordo_client::{Client, NewOrder, NewOrderItem, NewShipment};
use serde_json::Value;

use crate::support::{Ordo, PATIENCE, Setting, at_rest_with, run, settled};

/// What separates, quotes or begins something somewhere; the last is the longest there is.
fn skus() -> Vec<String> {
    let printed =
        ["TSHIRT/RED L", "BÜCHER 7", "STOCK#0", "50%25+?&=#", r#""quoted" \ 'it' <b>"#, "order/o-1", "ケース 3"];
    printed.into_iter().map(str::to_owned).chain(["🧦".repeat(128)]).collect()
}

fn order(order_id: &str, skus: &[String]) -> NewOrder {
    let items = skus.iter().map(|sku| NewOrderItem::new(sku, 2, "1.50"));
    NewOrder::new(order_id, "customer-42", format!("{}.00", 3 * skus.len()), "EUR", items)
}

/// Has units of each come in and be ordered and sent, and looks at them in every way that there is.
async fn they_are_stocked_ordered_and_sent(settings: &[Setting<'_>]) {
    // Given
    let ordo = Ordo::up(settings).await;
    let client = Client::new(&ordo.api).unwrap();
    let skus = skus();
    for sku in &skus {
        assert_eq!(client.receive_stock(sku, 5).await.unwrap().sku.as_ref(), Some(sku));
    }
    let answer = ordo.client().try_post("/stock/TSHIRT%2FRED%20L/adjust", &counted()).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (200, "/stock/TSHIRT%2FRED%20L"), "{}", answer.text());

    // When
    client.place_order(&order("o-1", &skus)).await.unwrap();
    let confirmed = settled(&ordo.client(), "o-1").await;
    assert_eq!(confirmed["status"], "confirmed", "{confirmed}");
    client.ship_order("o-1", &NewShipment::default()).await.unwrap();
    client.deliver_order("o-1").await.unwrap();
    let in_database = [settings, &[("DATABASE_URL", ordo.database.as_str())]].concat();
    at_rest_with(&in_database, 1, PATIENCE).await;

    // Then
    they_are_found(&client, &skus).await;
    let last = client.timeline("o-1").stream().try_collect::<Vec<_>>().await.unwrap().pop().unwrap().position;
    let order = client.order("o-1").min_position(last).await.unwrap();
    assert_eq!(order.lines.iter().map(|line| &line.sku).collect::<Vec<_>>(), skus.iter().collect::<Vec<_>>());
    let day = order.created_at.date_naive();
    let sales = client.sales(&day.to_string(), &day.succ_opt().unwrap().to_string()).await.unwrap();
    assert_eq!((sales.totals[0].orders, sales.totals[0].total.amount.as_str()), (1, "24.00"));
    for sku in &skus {
        // A stream's name ends with its id, whatever is in it.
        let stream = format!("stock/{sku}");
        let exported = run(&["events", "export", "--stream", &stream], &[("DATABASE_URL", &ordo.database)]).await;
        let mut streams = exported.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert!(streams.all(|event| event["streamId"] == **sku), "{}", exported.out);
    }
    let tail = ["tail", "--api", &ordo.api, "--after", "0", "--limit", "1", "--stream", "stock/TSHIRT/RED L"];
    let told = run(&tail, &[]).await;
    assert!(told.out.contains("  stock/TSHIRT/RED L  1 StockReceived  "), "{told:?}");
    let inbox = crate::support::Client::new(&ordo.inbox).get("/messages").await.text();
    assert!(inbox.contains("TSHIRT/RED L") && inbox.contains("BÜCHER 7"), "{inbox}");

    // What the read models say is what the events say, before and after they are built anew.
    for replay in [&["replay", "--all", "--compare"][..], &["replay", "--all"]] {
        let replayed = run(replay, &in_database).await;
        assert_eq!(replayed.code, 0, "{replayed:?}");
    }
    they_are_found(&client, &skus).await;
}

async fn they_are_found(client: &Client, skus: &[String]) {
    for sku in skus {
        let level = client.stock_level(sku).await.unwrap();
        let on_hand = if sku == "TSHIRT/RED L" { 2 } else { 3 };
        assert_eq!((&level.sku, level.on_hand, level.reserved, level.sold), (sku, on_hand.into(), 0.into(), 2.into()));
        let orders: Vec<_> = client.orders().sku(sku).stream().try_collect().await.unwrap();
        assert_eq!(orders.iter().map(|order| order.order_id.as_str()).collect::<Vec<_>>(), ["o-1"], "{sku}");
    }
    let listed: Vec<String> =
        client.stock_levels().limit(3).stream().map_ok(|level| level.sku).try_collect().await.unwrap();
    let mut sorted = skus.to_vec();
    sorted.sort();
    assert_eq!(listed, sorted);
}

fn counted() -> Value {
    serde_json::json!({ "delta": -1, "reason": "counted" })
}

#[tokio::test]
async fn each_is_one_sku_from_the_receipt_to_the_rebuilt_read_model() {
    they_are_stocked_ordered_and_sent(&[]).await;
}

#[cfg(feature = "dynamodb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_one_sku_in_dynamodb() {
    let dynamodb = testkit::dynamodb().await;
    let url = dynamodb.url();
    they_are_stocked_ordered_and_sent(&[("ORDO_READ_MODELS", "dynamodb"), ("AWS_ENDPOINT_URL_DYNAMODB", &url)]).await;
}
