//! Logs as earlier builds wrote them, `data/log-*.ndjson`, one event a line: this build folds them to what they mean.
//! What that is is in the file beside each, which `UPDATE_GOLDEN=1` writes; a log itself never changes.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::Order;
use domain::stock::Stock;
use event_store::{EventStore, StoreSettings};
use http::Request;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// An event as `ordo events export` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    position: i64,
    stream_type: String,
    stream_id: String,
    version: i64,
    #[serde(rename = "type")]
    event_type: String,
    event_version: String,
    event_id: Uuid,
    recorded_at: DateTime<Utc>,
    metadata: Box<RawValue>,
    payload: Box<RawValue>,
}

#[tokio::test]
async fn every_log_that_an_earlier_build_wrote_means_what_it_meant() {
    let logs = logs();
    assert!(!logs.is_empty());
    for path in logs {
        let log = lines(&path);
        let database = testkit::database().await;
        insert(database.pool(), &log).await;

        let found = folded_and_shown(database.pool(), &log).await;

        let golden = path.with_extension("json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        let expected: Value = serde_json::from_str(&std::fs::read_to_string(&golden).unwrap()).unwrap();
        for (stream, found) in found.as_object().unwrap() {
            assert_eq!(*found, expected[stream], "{stream} of {}", path.display());
        }
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[tokio::test]
async fn a_timeline_has_events_of_earlier_versions_as_they_are_today() {
    let (database, log) = (testkit::database().await, lines(&data().join("log-0.1.ndjson")));
    insert(database.pool(), &log).await;
    let store = EventStore::start(database.pool().clone(), StoreSettings::default());

    let routes = testkit::called_by_shop(projections::routes(
        store.clone(),
        &*testkit::read_models(database.pool()),
        None,
        projections::SlowReads::default(),
    ));
    let timeline = get(&routes, "/orders/sent-and-returned/events").await;

    let entries = timeline["items"].as_array().unwrap().iter();
    let shipments: Vec<_> =
        entries.filter(|entry| entry["type"] == "OrderShipped").map(|entry| &entry["data"]).collect();
    let parcels: Vec<_> = shipments.iter().map(|shipment| &shipment["parcels"]).collect();
    assert_eq!(parcels, [&json!([{ "carrier": "DHL", "tracking": "JD0146" }]), &json!([{ "carrier": "UPS" }])]);
    assert!(shipments.iter().all(|shipment| shipment.get("carrier").is_none()), "{timeline}");
    store.close().await;
}

/// Every stream as the rules fold it, and as it is answered.
async fn folded_and_shown(pool: &PgPool, log: &[Line]) -> Value {
    let read_models = testkit::read_models(pool);
    projections::create_tables(&*read_models, &[]).await.unwrap();
    let store = EventStore::start(pool.clone(), StoreSettings::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(projections::run(store.clone(), read_models.clone(), stop.clone()));
    let routes = testkit::called_by_shop(projections::routes(
        store.clone(),
        &*read_models,
        None,
        projections::SlowReads::default(),
    ));

    let last = log.last().unwrap().position;
    let streams: BTreeSet<_> = log.iter().map(|line| (line.stream_type.as_str(), line.stream_id.as_str())).collect();
    let mut found = BTreeMap::new();
    for (kind, id) in streams {
        let stream = if kind == Order::TYPE {
            json!({
                "folded": store.load::<Order>(id).await.unwrap().state,
                "view": get(&routes, &format!("/orders/{id}?minPosition={last}")).await,
            })
        } else {
            assert_eq!(kind, Stock::TYPE);
            json!({
                "folded": store.load::<Stock>(id).await.unwrap().state,
                "view": get(&routes, &format!("/stock/{id}?minPosition={last}")).await,
            })
        };
        found.insert(format!("{kind} {id}"), stream);
    }
    stop.cancel();
    running.await.unwrap();
    store.close().await;
    json!(found)
}

async fn get(routes: &Router, path: &str) -> Value {
    let answer = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body:?}"))
}

/// Puts them where they were.
async fn insert(pool: &PgPool, log: &[Line]) {
    let mut transaction = pool.begin().await.unwrap();
    for line in log {
        sqlx::query(
            "insert into events (global_position, aggregate_type, aggregate_id, sequence, event_type, event_version,
                                 event_id, recorded_at, metadata, payload)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9::json, $10::json)",
        )
        .bind(line.position)
        .bind(&line.stream_type)
        .bind(&line.stream_id)
        .bind(line.version)
        .bind(&line.event_type)
        .bind(&line.event_version)
        .bind(line.event_id)
        .bind(line.recorded_at)
        .bind(line.metadata.get())
        .bind(line.payload.get())
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    transaction.commit().await.unwrap();
}

fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn logs() -> Vec<PathBuf> {
    let files = std::fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")).collect()
}

fn data() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data"].iter().collect()
}
