//! A process that serves the live stream, and a client that reads it as a browser does.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use event_store::{EventStore, StoreSettings};
use http::Request;
use http_body_util::BodyExt;
use projections::{LiveStreamSettings, SlowReads, live_routes};
use serde_json::Value;
use testkit::Database;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Far longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process that serves the live stream of a database.
pub(crate) struct Server {
    pub(crate) store: EventStore,
    pub(crate) routes: Router,
    pub(crate) stop: CancellationToken,
}

/// A client of the stream.
pub(crate) struct Client {
    pub(crate) body: Body,
    pub(crate) text: String,
    pub(crate) largest_piece: usize,
    pub(crate) blocks: VecDeque<Block>,
}

/// What stands between two empty lines.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) id: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) data: Option<Value>,
}

impl Server {
    pub(crate) fn on(database: &Database) -> Self {
        Self::with_heartbeat(database, LiveStreamSettings::default().heartbeat)
    }

    pub(crate) fn with_heartbeat(database: &Database, heartbeat: Duration) -> Self {
        Self::with(database, LiveStreamSettings { heartbeat, ..LiveStreamSettings::default() })
    }

    pub(crate) fn with(database: &Database, settings: LiveStreamSettings) -> Self {
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stop = CancellationToken::new();
        Self { routes: live_routes(store.clone(), SlowReads::default(), settings, stop.clone()).into(), store, stop }
    }

    pub(crate) async fn follow(&self, query: &str, last_event_id: Option<i64>) -> Client {
        let mut request = Request::get(format!("/events/stream{query}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id.to_string());
        }
        let answer = self.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Client { body: answer.into_body(), text: String::new(), largest_piece: 0, blocks: VecDeque::new() }
    }

    pub(crate) async fn refusal(&self, query: &str, last_event_id: &str) -> (u16, Value) {
        let request = Request::get(format!("/events/stream{query}")).header("last-event-id", last_event_id);
        let answer = self.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        assert_ne!(status, 200, "{query} {last_event_id}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.store.close().await;
    }
}

impl Client {
    /// The next block; `None`: the stream has ended.
    pub(crate) async fn block(&mut self) -> Option<Block> {
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
    pub(crate) async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await.unwrap();
            if block.data.is_some() {
                return block;
            }
        }
    }

    pub(crate) async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            ids.push(self.event().await.id.unwrap());
        }
        ids
    }
}

/// As a browser does it.
pub(crate) fn parse(text: &str) -> Block {
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
pub(crate) async fn append(database: &Database, stream: (&str, &str), name: &str, payload: &str) -> i64 {
    let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values ($1, $2, 1 + (select count(*) from events where aggregate_type = $1 and aggregate_id = $2), $3, '1.0', $4::json, '{}')
        returning global_position";
    let query = sqlx::query_scalar(insert).bind(stream.0).bind(stream.1).bind(name).bind(payload);
    query.fetch_one(database.pool()).await.unwrap()
}

pub(crate) async fn confirmed(database: &Database, order: &str) -> i64 {
    append(database, ("order", order), "OrderConfirmed", r#"{"OrderConfirmed":{}}"#).await
}

pub(crate) async fn positions(database: &Database) -> Vec<i64> {
    let all = sqlx::query_scalar("select global_position from events order by 1");
    all.fetch_all(database.pool()).await.unwrap()
}
