//! The live stream: every event, once, in order, whoever breaks off and comes back.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use event_store::{EventStore, StoreSettings};
use http::Request;
use http_body_util::BodyExt;
use problem::Peer;
use projections::{LiveSettings, live_routes};
use serde_json::{Value, json};
use testkit::Database;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that serves the live stream of a database.
struct Server {
    store: EventStore,
    routes: Router,
    stop: CancellationToken,
}

/// A client of the stream.
struct Client {
    body: Body,
    text: String,
    largest_piece: usize,
    blocks: VecDeque<Block>,
}

/// What stands between two empty lines.
#[derive(Debug, Default, PartialEq)]
struct Block {
    id: Option<i64>,
    name: Option<String>,
    data: Option<Value>,
}

impl Server {
    fn on(database: &Database) -> Self {
        Self::with_heartbeat(database, LiveSettings::default().heartbeat)
    }

    fn with_heartbeat(database: &Database, heartbeat: Duration) -> Self {
        Self::with(database, LiveSettings { heartbeat, ..LiveSettings::default() })
    }

    fn with(database: &Database, settings: LiveSettings) -> Self {
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stop = CancellationToken::new();
        Self { routes: live_routes(store.clone(), settings, stop.clone()), store, stop }
    }

    async fn follow(&self, query: &str, last_event_id: Option<i64>) -> Client {
        let mut request = Request::get(format!("/events/stream{query}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id.to_string());
        }
        let answer = self.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Client { body: answer.into_body(), text: String::new(), largest_piece: 0, blocks: VecDeque::new() }
    }

    async fn refusal(&self, query: &str, last_event_id: &str) -> (u16, Value) {
        let request = Request::get(format!("/events/stream{query}")).header("last-event-id", last_event_id);
        let answer = self.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        assert_ne!(status, 200, "{query} {last_event_id}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn end(self) {
        self.stop.cancel();
        self.store.close().await;
    }
}

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

impl Client {
    /// The next block; `None`: the stream has ended.
    async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = self.blocks.pop_front() {
                return Some(block);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.unwrap()?;
            let piece = frame.unwrap().into_data().unwrap();
            self.largest_piece = self.largest_piece.max(piece.len());
            self.text += std::str::from_utf8(&piece).unwrap();
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.blocks.push_back(parse(block));
                self.text = rest.to_owned();
            }
        }
    }

    /// The next event.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await.unwrap();
            if block.data.is_some() {
                return block;
            }
        }
    }

    async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            ids.push(self.event().await.id.unwrap());
        }
        ids
    }
}

/// As a browser does it.
fn parse(text: &str) -> Block {
    let (mut block, mut data) = (Block::default(), Vec::new());
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => block.id = Some(id.parse().unwrap()),
            Some(("event", name)) => block.name = Some(name.to_owned()),
            Some(("data", line)) => data.push(line),
            Some(("retry", _)) | None => {}
            Some((other, _)) => panic!("{other}: {text}"),
        }
    }
    block.data = (!data.is_empty()).then(|| serde_json::from_str(&data.join("\n")).unwrap());
    block
}

/// Appends an event to a stream, as another process would.
async fn append(database: &Database, stream: (&str, &str), name: &str, payload: &str) -> i64 {
    let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values ($1, $2, 1 + (select count(*) from events where aggregate_type = $1 and aggregate_id = $2), $3, '1.0', $4::json, '{}')
        returning global_position";
    let query = sqlx::query_scalar(insert).bind(stream.0).bind(stream.1).bind(name).bind(payload);
    query.fetch_one(database.pool()).await.unwrap()
}

async fn confirmed(database: &Database, order: &str) -> i64 {
    append(database, ("order", order), "OrderConfirmed", r#"{"OrderConfirmed":{}}"#).await
}

async fn positions(database: &Database) -> Vec<i64> {
    let all = sqlx::query_scalar("select global_position from events order by 1");
    all.fetch_all(database.pool()).await.unwrap()
}

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
async fn one_address_does_not_take_every_place() {
    let database = testkit::database().await;
    let server = Server::with(&database, LiveSettings { per_address: 2, ..LiveSettings::default() });
    let ask = async |address: &str| {
        let mut request = Request::get("/events/stream").body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer::of(address.parse().unwrap()));
        server.routes.clone().oneshot(request).await.unwrap()
    };
    let (first, second) = (ask("192.0.2.1").await, ask("192.0.2.1").await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let third = ask("192.0.2.1").await;
    assert_eq!(third.status().as_u16(), 503);
    let problem = third.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&problem).unwrap()["code"], "too-many-streams");
    assert_eq!(ask("192.0.2.2").await.status().as_u16(), 200);
    // Whoever leaves makes room.
    drop(first);
    assert_eq!(ask("192.0.2.1").await.status().as_u16(), 200);
    server.end().await;
}

#[tokio::test]
async fn what_happens_from_now_on_comes_as_it_happens() {
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
async fn only_what_is_asked_for_comes() {
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
async fn whoever_is_far_behind_gets_all_of_it_while_others_are_at_the_end() {
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

#[tokio::test]
async fn what_is_no_place_in_the_log_is_refused() {
    let database = testkit::database().await;
    let position = confirmed(&database, "a").await;
    let server = Server::on(&database);
    for (query, last_event_id, status, says) in [
        ("", "soon", 400, "Last-Event-ID"),
        ("", "-1", 400, "Last-Event-ID"),
        ("", "99999999999999999999", 400, "Last-Event-ID"),
        ("", "7", 400, "beyond the end of the log, which is at 1"),
        ("?after=7", "", 400, "beyond the end of the log, which is at 1"),
        ("?after=soon", "", 422, "?after"),
        ("?after=-1", "", 422, "?after"),
        ("?after=", "", 422, "?after"),
        ("?type=", "", 422, "?type"),
        ("?type=NoteAdded,,OrderCreated", "", 422, "?type"),
        ("?type=OrderCraeted", "", 422, "there is no event"),
        ("?streamType=basket", "", 422, "there are order and stock"),
        ("?streamId=", "", 422, "?streamId"),
        ("?streamType=", "", 422, "?streamType"),
        ("?type=A&type=B", "", 422, "?type"),
        ("?colour=red", "", 422, "?colour"),
    ] {
        let (answered, problem) = server.refusal(query, last_event_id).await;
        assert_eq!(answered, status, "{query} {last_event_id}: {problem}");
        assert!(problem.to_string().contains(says), "{query} {last_event_id}: {problem}");
    }
    // The header counts for more: it is how far a client came that began there.
    let mut client = server.follow("?after=0", Some(position)).await;
    assert_eq!(client.block().await.unwrap().id, Some(position));
    let next = confirmed(&database, "a").await;
    assert_eq!(client.ids(1).await, [next]);
    server.end().await;
}

#[tokio::test]
async fn without_its_database_a_stream_is_told_to_come_back() {
    let database = testkit::database().await;
    let server = Server::on(&database);
    database.pool().close().await;
    let (status, problem) = server.refusal("", "").await;
    assert_eq!((status, &problem["code"]), (503, &json!("database-unavailable")));
    server.end().await;
}
