//! Which events a client gets, and which fields of them.

use serde_json::{Value, json};

use crate::client::{Server, append};

#[tokio::test]
async fn foreign_streams_are_passed_over() {
    let database = testkit::database().await;
    let server = Server::on(&database);
    // One client reads the log, another follows its end.
    let insert = |kind: &'static str, id: &'static str, version: i64| {
        let insert =
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      values ($1, $2, $3, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}')";
        sqlx::query(insert).bind(kind).bind(id).bind(version).execute(database.pool())
    };
    let mut end = server.follow("", None).await;
    for (kind, id, version) in [("account", "a", 1), ("order", "a", 1), ("account", "a", 2), ("order", "b", 1)] {
        insert(kind, id, version).await.unwrap();
    }
    let mut all = server.follow("?after=0", None).await;
    assert_eq!(all.ids(2).await, [2, 4]);
    assert_eq!(end.ids(2).await, [2, 4]);
    let mut named = server.follow("?after=0&type=OrderConfirmed&streamId=a", None).await;
    assert_eq!(named.ids(1).await, [2]);
    assert_eq!(server.refusal("?streamType=account", "").await.0, 422);
    server.end().await;
}

#[tokio::test]
async fn what_pays_for_an_order_is_shown_to_nobody_not_even_by_a_build_that_does_not_know_the_event() {
    let database = testkit::database().await;
    let mut order = testkit::demo_order("a");
    order["paymentToken"] = json!("tok_secret");
    let content = domain::order::parse::PostedOrder::parse(order.to_string().as_bytes()).unwrap().content;
    let known = serde_json::to_string(&domain::order::OrderEvent::OrderCreated(content)).unwrap();
    append(&database, ("order", "a"), "OrderCreated", &known).await;
    let unknown = r#"{"OrderPrepaid":{"by":[{"paymentToken":"tok_secret","amount":1}]}}"#;
    append(&database, ("order", "a"), "OrderPrepaid", unknown).await;
    append(&database, ("order", "a"), "OrderPrepaid", r#"["tok_secret \ud800"]"#).await;

    let server = Server::on(&database);
    let mut client = server.follow("?after=0", None).await;
    let created = client.event().await.data.unwrap();
    assert_eq!(created["data"]["totalMinor"], 12_999);
    assert!(!created.to_string().contains("tok_secret"), "{created}");
    assert_eq!(client.event().await.data.unwrap()["data"], json!({ "by": [{ "amount": 1 }] }));
    assert_eq!(client.event().await.data.unwrap()["data"], Value::Null);
    server.end().await;
}

#[tokio::test]
async fn a_stream_with_filters_sends_matching_events_only() {
    let database = testkit::database().await;
    let server = Server::on(&database);
    let queries = [
        "?type=OrderConfirmed,OrderDelivered",
        "?streamType=stock",
        "?streamId=a",
        "?streamType=order&streamId=a&type=OrderDelivered",
        "",
    ];
    let mut following = Vec::new();
    for query in queries {
        following.push(server.follow(query, None).await);
    }
    let mut log = Vec::new();
    for (stream, name) in [
        (("order", "a"), "OrderConfirmed"),
        (("order", "b"), "OrderConfirmed"),
        (("stock", "a"), "OrderDelivered"),
        (("order", "a"), "NoteAdded"),
        (("order", "a"), "OrderDelivered"),
        (("stock", "b"), "NoteAdded"),
    ] {
        log.push(append(&database, stream, name, "{\n\"n\":\r\n1}").await);
    }
    let expected: [&[usize]; 5] = [&[0, 1, 2, 4], &[2, 5], &[0, 2, 3, 4], &[4], &[0, 1, 2, 3, 4, 5]];
    for ((query, live), expected) in queries.iter().zip(&mut following).zip(expected) {
        let expected: Vec<_> = expected.iter().map(|index| log[*index]).collect();
        assert_eq!(live.ids(expected.len()).await, expected, "{query}");
        // The same for whoever comes later.
        let separator = if query.is_empty() { "?" } else { "&" };
        let mut later = server.follow(&format!("{query}{separator}after=0"), None).await;
        assert_eq!(later.ids(expected.len()).await, expected, "{query}");
    }
    server.end().await;
}
