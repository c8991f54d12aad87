//! Every event comes once and in order, whoever disconnects and reconnects.

use std::time::Duration;

use serde_json::json;

use crate::client::{Block, Server, append, confirmed, positions};

#[tokio::test]
async fn however_large_events_are_little_is_handed_out_at_once_and_all_of_it_arrives() {
    let database = testkit::database().await;
    let server = Server::on(&database);
    let mut at_the_end = server.follow("", None).await;
    let note = |nth: usize, length: usize| {
        let text = nth.to_string().repeat(length);
        format!(r#"{{"NoteAdded":{{"noteId":"n-{nth}","text":"{text}"}}}}"#)
    };
    let mut expected = Vec::new();
    for (nth, length) in [(1, 10), (2, 250_000), (3, 10), (4, 20_000), (5, 20_000), (6, 32 * 1024), (7, 10)] {
        expected.push((append(&database, ("order", "a"), "NoteAdded", &note(nth, length)).await, length));
    }
    let mut behind = server.follow("?after=0", None).await;
    for client in [&mut at_the_end, &mut behind] {
        for (position, length) in &expected {
            let event = client.event().await;
            assert_eq!(event.id, Some(*position));
            assert_eq!(event.data.unwrap()["data"]["text"].as_str().unwrap().len(), *length);
        }
        assert!(client.largest_piece <= 33 * 1024, "{}", client.largest_piece);
    }
    server.end().await;
}

#[tokio::test]
async fn a_stream_from_the_end_sends_events_as_they_are_stored() {
    let database = testkit::database().await;
    let before = confirmed(&database, "before").await;
    let server = Server::on(&database);
    let mut clients = [server.follow("", None).await, server.follow("?after=end", None).await];
    let received = r#"{"StockReceived":{"quantity":3}}"#;
    let position = append(&database, ("stock", "sku-1"), "StockReceived", received).await;

    for client in &mut clients {
        assert_eq!(client.block().await.unwrap(), Block { id: Some(before), ..Block::default() });
        let event = client.event().await;
        assert_eq!((event.id, event.name.as_deref()), (Some(position), Some("StockReceived")));
        let data = event.data.unwrap();
        for (field, value) in [
            ("streamType", json!("stock")),
            ("streamId", json!("sku-1")),
            ("version", json!(1)),
            ("position", json!(position)),
            ("type", json!("StockReceived")),
            ("metadata", json!({})),
            ("data", json!({ "quantity": 3 })),
        ] {
            assert_eq!(data[field], value, "{data}");
        }
        assert!(data["eventId"].is_string() && data["recordedAt"].is_string(), "{data}");
    }
    server.end().await;
}

#[tokio::test]
async fn whoever_breaks_off_and_comes_back_misses_nothing_and_sees_nothing_twice() {
    let database = testkit::database().await;
    let writing = tokio::spawn({
        let database = database.clone();
        async move {
            for nth in 0..400 {
                confirmed(&database, &format!("o-{}", nth % 7)).await;
            }
        }
    });

    // Each time at another server, in the middle of things.
    let (mut seen, mut last) = (Vec::new(), 0);
    while seen.len() < 400 {
        let server = Server::on(&database);
        let mut client = server.follow("?after=0", (last > 0).then_some(last)).await;
        for _ in 0..(seen.len() % 17 + 1).min(400 - seen.len()) {
            last = client.event().await.id.unwrap();
            seen.push(last);
        }
        drop(client);
        server.end().await;
    }
    writing.await.unwrap();
    assert_eq!(seen, positions(&database).await);
}

#[tokio::test]
async fn a_client_far_behind_gets_every_event_while_others_follow_the_end() {
    let database = testkit::database().await;
    let many =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        select 'order', 'o-' || n % 100, 1 + n / 100, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}'
          from generate_series(0, 2999) as n";
    let server = Server::on(&database);
    let mut early = server.follow("", None).await;
    sqlx::query(many).execute(database.pool()).await.unwrap();
    let mut far_behind = server.follow("?after=0", None).await;
    let mut at_the_end = server.follow("", None).await;
    let mut picky = server.follow("?after=0&streamId=o-99", None).await;
    let last = confirmed(&database, "last").await;

    assert_eq!(at_the_end.ids(1).await, [last]);
    let all = positions(&database).await;
    assert_eq!(far_behind.ids(all.len()).await, all);
    assert_eq!(early.ids(all.len()).await, all);
    assert_eq!(picky.ids(30).await, all.iter().copied().skip(99).step_by(100).take(30).collect::<Vec<_>>());
    server.end().await;
}

#[tokio::test]
async fn a_heartbeat_says_how_far_the_log_was_looked_through() {
    let database = testkit::database().await;
    let server = Server::with_heartbeat(&database, Duration::from_millis(20));
    let mut client = server.follow("?type=StockAdjusted", None).await;
    assert_eq!(client.block().await.unwrap().id, Some(0));
    let position = confirmed(&database, "a").await;
    // It is not asked for, and yet need not be looked at again by a client that comes back.
    loop {
        let block = client.block().await.unwrap();
        assert_eq!(block.data, None);
        if block.id == Some(position) {
            break;
        }
    }
    server.end().await;
}

#[tokio::test]
async fn streams_end_when_the_process_stops() {
    let database = testkit::database().await;
    for nth in 0..10 {
        confirmed(&database, &format!("o-{nth}")).await;
    }
    let server = Server::on(&database);
    let mut waiting = server.follow("", None).await;
    let mut in_the_middle = server.follow("?after=0", None).await;
    waiting.block().await.unwrap();
    in_the_middle.event().await;
    server.stop.cancel();
    assert_eq!(waiting.block().await, None);
    while in_the_middle.block().await.is_some() {}
    server.end().await;
}
