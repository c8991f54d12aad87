//! The stock read model: what GETs answer, and that it is what the events add up to.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use chrono::DateTime;
use cqrs_es::Aggregate;
use domain::ids::{LocationId, OrderId};
use domain::stock::{
    BackorderLimitSet, LowStockThresholdSet, ReservationMade, Stock, StockAdjusted, StockCommand, StockReceived,
    decide, evolve,
};
use event_store::{AppendQueueSettings, EventStore, Metadata, NewEvent, StreamAppend, Versioned};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use projections::{ReplayError, ReplayOperations, ReplayOptions, ReplaySummary, SlowReads};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

struct Fixture {
    database: testkit::Database,
    store: EventStore,
    routes: Router,
    stop: CancellationToken,
}

impl Fixture {
    async fn new() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let routes = testkit::called_by_shop(projections::routes(
            store.clone(),
            &*testkit::read_models(store.pool()),
            None,
            SlowReads::default(),
        ));
        Self { database, store, routes, stop: CancellationToken::new() }
    }

    async fn running() -> Self {
        let fixture = Self::new().await;
        tokio::spawn(projections::run(
            fixture.store.clone(),
            testkit::read_models(fixture.store.pool()),
            fixture.stop.clone(),
        ));
        fixture
    }

    /// Has all of it happen in one append, and says at which position it ends.
    async fn does(&self, sku: &str, commands: Vec<StockCommand>) -> i64 {
        let mut stream: Versioned<Stock> = self.store.load(sku).await.unwrap();
        let mut events = Vec::new();
        for command in commands {
            for event in decide(&stream.state, command).unwrap() {
                events.push(NewEvent::new(&event, &Metadata::default()).unwrap());
                evolve(&mut stream.state, event);
            }
        }
        let (stream_id, expected_version) = (sku.to_owned(), stream.version);
        let append = StreamAppend { stream_type: Stock::TYPE, stream_id, expected_version, events };
        self.store.append(vec![append]).await.unwrap().position
    }

    async fn get(&self, uri: &str) -> (StatusCode, HeaderMap, Value) {
        self.get_preferring(uri, "").await
    }

    async fn get_preferring(&self, uri: &str, prefer: &str) -> (StatusCode, HeaderMap, Value) {
        let request = Request::get(uri).header("prefer", prefer).body(Body::empty()).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        (head.status, head.headers, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
    }

    /// The SKU once its view has passed a position, without the time of its last change.
    async fn shown(&self, sku: &str, position: i64) -> Value {
        let (status, headers, mut shown) = self.get(&format!("/stock/{sku}?minPosition={position}")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["etag"], format!("\"{}\"", shown["version"]));
        assert!(shown.as_object_mut().unwrap().remove("updatedAt").unwrap().is_string());
        shown
    }
}

fn order(n: usize) -> OrderId {
    OrderId::parse(format!("order-{n}")).unwrap()
}

fn receive(quantity: u32) -> StockCommand {
    StockCommand::Receive(StockReceived { unit: None, quantity, location: LocationId::default() })
}

fn reserve(n: usize, quantity: u32) -> StockCommand {
    let (expires_at, location) = (DateTime::UNIX_EPOCH, LocationId::default());
    StockCommand::Reserve(ReservationMade { unit: None, order_id: order(n), quantity, expires_at, location })
}

#[tokio::test]
async fn a_sku_that_nobody_registered_is_not_tracked() {
    let fixture = Fixture::running().await;
    let (status, headers, body) = fixture.get("/stock/sku-1").await;
    assert_eq!((status, headers["etag"].to_str().unwrap()), (StatusCode::OK, "\"0\""));
    assert_eq!(body, json!({ "sku": "sku-1", "tracked": false }));
    for path in ["/stock/%20b", "/stock/a%E2%80%8Bb", "/stock/U%CC%88", "/stock/%00", "/stock/%ff"] {
        assert_eq!(fixture.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    fixture.stop.cancel();
}

#[tokio::test]
async fn a_sku_is_shown_as_its_events_add_up() {
    let fixture = Fixture::running().await;
    fixture.does("sku-2", vec![receive(7)]).await;
    let mut commands = vec![receive(10), reserve(1, 4), reserve(2, 3)];
    let counted = StockAdjusted { unit: None, delta: -1, reason: "counted".into(), location: LocationId::default() };
    commands.push(StockCommand::Adjust(counted));
    let position = fixture.does("sku-1", commands).await;
    assert_eq!(
        fixture.shown("sku-1", position).await,
        json!({ "sku": "sku-1", "tracked": true, "onHand": 9, "reserved": 7, "available": 2, "sold": 0, "version": 4 })
    );

    let shipped = StockCommand::Commit { order_id: order(1), location: LocationId::default(), shipped: 3 };
    let position = fixture.does("sku-1", vec![shipped, StockCommand::Release { order_id: order(2) }]).await;
    assert_eq!(
        fixture.shown("sku-1", position).await,
        json!({ "sku": "sku-1", "tracked": true, "onHand": 6, "reserved": 1, "available": 5, "sold": 3, "version": 6 })
    );
    assert_eq!(fixture.shown("sku-2", position).await["onHand"], 7);
    fixture.stop.cancel();
}

#[tokio::test]
async fn units_at_named_locations_are_shown_where_they_are() {
    let fixture = Fixture::running().await;
    let berlin = || LocationId::parse("berlin").unwrap();
    let received = StockCommand::Receive(StockReceived { unit: None, quantity: 4, location: berlin() });
    let made = ReservationMade {
        unit: None,
        order_id: order(1),
        quantity: 3,
        expires_at: DateTime::UNIX_EPOCH,
        location: berlin(),
    };
    let position = fixture.does("sku-1", vec![receive(2), received, StockCommand::Reserve(made), reserve(1, 1)]).await;
    let at = |location: &str, on_hand: i64, reserved: i64| {
        let available = on_hand - reserved;
        json!({ "location": location, "onHand": on_hand, "reserved": reserved, "available": available })
    };
    let shown = fixture.shown("sku-1", position).await;
    assert_eq!((&shown["onHand"], &shown["reserved"], &shown["available"]), (&json!(6), &json!(4), &json!(2)));
    assert_eq!(shown["locations"], json!([at("default", 2, 1), at("berlin", 4, 3)]));

    // All of it leaves Berlin, which is forgotten.
    let shipped = StockCommand::Commit { order_id: order(1), location: berlin(), shipped: 3 };
    let counted = StockAdjusted { unit: None, delta: -1, reason: "counted".into(), location: berlin() };
    let position = fixture.does("sku-1", vec![shipped, StockCommand::Adjust(counted)]).await;
    let shown = fixture.shown("sku-1", position).await;
    assert_eq!((&shown["onHand"], &shown["sold"], shown.get("locations")), (&json!(2), &json!(3), None));
    fixture.stop.cancel();
}

#[tokio::test]
async fn all_skus_are_listed_by_name_page_by_page() {
    let fixture = Fixture::running().await;
    let mut position = 0;
    // Two that differ only beyond what they are sorted by, and ones that look like keys.
    let long = ["🧦".repeat(127) + "1", "🧦".repeat(127) + "2"];
    for sku in ["e", "b", &long[1], "d/e", "STOCK#1", "a b", &long[0], "Ü", "c", "B"] {
        position = fixture.does(sku, vec![receive(3), reserve(1, 1)]).await;
    }
    let (mut skus, mut uri) = (Vec::new(), format!("/stock?limit=4&minPosition={position}"));
    loop {
        let (status, _, page) = fixture.get(&uri).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        for item in page["items"].as_array().unwrap() {
            assert_eq!((&item["onHand"], &item["available"], &item["tracked"]), (&3.into(), &2.into(), &true.into()));
            skus.push(item["sku"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["cursor"].as_str() else { break };
        uri = format!("/stock?limit=4&cursor={cursor}");
    }
    // By their bytes.
    assert_eq!(skus, ["B", "STOCK#1", "a b", "b", "c", "d/e", "e", "Ü", &long[0], &long[1]]);
    fixture.stop.cancel();
}

#[tokio::test]
async fn skus_that_are_low_are_listed_as_long_as_they_are() {
    let fixture = Fixture::running().await;
    let at_most = |threshold| StockCommand::SetLowStockThreshold(LowStockThresholdSet { threshold, unit: None });
    fixture.does("plenty", vec![receive(9), at_most(5)]).await;
    fixture.does("untold", vec![receive(1)]).await;
    fixture.does("a", vec![receive(5), at_most(5), reserve(1, 2)]).await;
    let position = fixture.does("b", vec![receive(5), reserve(1, 2), at_most(4)]).await;
    let shown = fixture.shown("a", position).await;
    assert_eq!((&shown["available"], &shown["lowStock"]), (&json!(3), &json!({ "threshold": 5, "low": true })));
    assert_eq!(fixture.shown("plenty", position).await["lowStock"], json!({ "threshold": 5, "low": false }));
    assert_eq!(fixture.shown("untold", position).await.get("lowStock"), None);

    let low = async |position: i64| {
        let (mut skus, mut uri) = (Vec::new(), format!("/stock?low=true&limit=1&minPosition={position}"));
        loop {
            let (status, _, page) = fixture.get(&uri).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            skus.extend(page["items"].as_array().unwrap().iter().map(|it| it["sku"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["cursor"].as_str() else { return skus };
            uri = format!("/stock?low=true&limit=1&cursor={cursor}");
        }
    };
    assert_eq!(low(position).await, ["a", "b"]);
    let position = fixture.does("a", vec![StockCommand::Release { order_id: order(1) }]).await;
    assert_eq!(low(position).await, ["b"]);
    let position = fixture.does("b", vec![at_most(0)]).await;
    assert!(low(position).await.is_empty());
    assert_eq!(fixture.shown("b", position).await.get("lowStock"), None);

    for uri in ["/stock?low=false", "/stock?low="] {
        let (status, _, problem) = fixture.get(uri).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("?low")), "{uri}");
    }
    // A page of all is none of those that are low.
    let (_, _, page) = fixture.get("/stock?limit=1").await;
    let uri = format!("/stock?low=true&cursor={}", page["cursor"].as_str().unwrap());
    assert_eq!(fixture.get(&uri).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    fixture.stop.cancel();
}

#[tokio::test]
async fn who_has_units_and_who_waits_is_listed_in_the_order_in_which_they_are_served() {
    let fixture = Fixture::new().await;
    let at = |location: &str| LocationId::parse(location).unwrap();
    let limit = BackorderLimitSet { limit: 90, available_at: None, location: at("default"), unit: None };
    let at_berlin = |n, quantity| {
        let StockCommand::Reserve(made) = reserve(n, quantity) else { panic!("it is one") };
        StockCommand::Reserve(ReservationMade { location: at("berlin"), ..made })
    };
    let there = StockCommand::Receive(StockReceived { unit: None, quantity: 4, location: at("berlin") });
    let limit = StockCommand::SetBackorderLimit(limit);
    let mut commands = vec![receive(5), there, limit, at_berlin(1, 3), reserve(9, 3), reserve(8, 3), reserve(7, 2)];
    commands.push(StockCommand::Commit { order_id: order(9), location: at("default"), shipped: 1 });
    fixture.does("sku/1", commands).await;

    let (mut listed, mut uri) = (Vec::new(), "/stock/sku%2F1/reservations?limit=1".to_owned());
    loop {
        let (status, _, page) = fixture.get(&uri).await;
        assert_eq!((status, &page["version"]), (StatusCode::OK, &json!(8)), "{page}");
        listed.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["cursor"].as_str() else { break };
        uri = format!("/stock/sku%2F1/reservations?limit=1&cursor={cursor}");
    }
    let item = |n, location, [quantity, on_hand, shipped]: [i64; 3]| {
        json!({
            "orderId": order(n), "location": location, "quantity": quantity, "onHand": on_hand, "waiting": quantity - on_hand,
            "shipped": shipped, "expiresAt": "1970-01-01T00:00:00Z",
        })
    };
    let placed = |mut item: Value, place: u64| {
        item["place"] = json!(place);
        item
    };
    let waiting = [placed(item(8, "default", [3, 2, 0]), 1), placed(item(7, "default", [2, 0, 0]), 2)];
    let served = [item(9, "default", [2, 2, 1]), item(1, "berlin", [3, 3, 0])];
    assert_eq!(listed, [&served[..1], &waiting, &served[1..]].concat());
    let (_, _, page) = fixture.get("/stock/sku%2F1/reservations?waiting=true").await;
    assert_eq!((&page["items"], &page["cursor"]), (&json!(waiting), &json!(null)));
    // What comes in serves the first. Nothing of that is stored about the order.
    fixture.does("sku/1", vec![receive(1)]).await;
    let (_, _, page) = fixture.get("/stock/sku%2F1/reservations?waiting=true").await;
    assert_eq!(page["items"], json!([waiting[1]]));
    fixture.stop.cancel();
}

#[tokio::test]
async fn a_question_about_reservations_that_is_wrong_names_what_is() {
    let fixture = Fixture::new().await;
    let (status, _, page) = fixture.get("/stock/none/reservations").await;
    assert_eq!((status, page), (StatusCode::OK, json!({ "sku": "none", "version": 0, "items": [], "cursor": null })));
    assert_eq!(fixture.get("/stock/%00/reservations").await.0, StatusCode::NOT_FOUND);
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("waiting=false", "?waiting"),
        ("cursor=x", "?cursor"),
        ("cursor=default~x~o", "?cursor"),
        ("cursor=a~1~b~c", "?cursor"),
    ] {
        let (status, _, problem) = fixture.get(&format!("/stock/sku-1/reservations?{query}")).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{query}");
    }
    assert_eq!(fixture.get("/stock/sku-1/reservations?minPosition=9").await.0, StatusCode::BAD_REQUEST);
    fixture.stop.cancel();
}

#[tokio::test]
async fn a_rebuild_comes_to_the_same_and_hundreds_of_events_of_a_sku_write_it_once() {
    let fixture = Fixture::new().await;
    let mut commands = vec![receive(500)];
    commands.extend((0..500).map(|n| reserve(n, 1)));
    fixture.does("sku-1", commands).await;
    // Every write of an item leaves its mark here, those that are overwritten in the same transaction too.
    sqlx::raw_sql(
        "create table written (sku text);
         create function note() returns trigger language plpgsql as $$
            begin insert into written values (new.pk); return new; end $$;
         create trigger note before insert or update on read_model_stock for each row execute function note();",
    )
    .execute(fixture.database.pool())
    .await
    .unwrap();
    tokio::spawn(projections::run(
        fixture.store.clone(),
        testkit::read_models(fixture.store.pool()),
        fixture.stop.clone(),
    ));
    let live = fixture.shown("sku-1", 501).await;
    assert_eq!((&live["reserved"], &live["available"]), (&json!(500), &json!(0)));
    let written: i64 =
        sqlx::query_scalar("select count(*) from written").fetch_one(fixture.database.pool()).await.unwrap();
    // A batch may end in between.
    assert!(written <= 3, "{written}");

    replay(fixture.database.pool(), "stock").await.unwrap();
    assert_eq!(fixture.shown("sku-1", 501).await, live);
    fixture.stop.cancel();
}

/// A whole replay of one projection.
async fn replay(pool: &PgPool, projection: &str) -> Result<ReplaySummary, ReplayError> {
    let replays = ReplayOperations::new(pool.clone(), testkit::read_models(pool));
    let replay = replays.open(&ReplayOptions { projections: vec![projection.to_owned()], compare: false }).await?;
    replay.run(&CancellationToken::new(), |_| ()).await
}

#[tokio::test]
async fn a_read_waits_for_as_long_as_its_client_prefers() {
    let fixture = Fixture::new().await;
    let applied =
        |headers: &HeaderMap| headers.get("preference-applied").map(|value| value.to_str().unwrap().to_owned());
    let position = fixture.does("mug", vec![receive(1)]).await;
    let uri = format!("/stock/mug?minPosition={position}");

    let (status, headers, problem) = fixture.get_preferring(&uri, "respond-async, wait=0").await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("projection-lagging")));
    assert_eq!(applied(&headers).as_deref(), Some("wait=0"));

    let models = testkit::read_models(fixture.store.pool());
    let running = tokio::spawn(projections::run(fixture.store.clone(), models, fixture.stop.clone()));
    let (status, headers, _) = fixture.get_preferring(&uri, "wait=1000").await;
    assert_eq!((status, applied(&headers).as_deref()), (StatusCode::OK, Some("wait=30")), "no longer than it may");

    // There is nothing to wait for, or no preference.
    for (uri, prefer) in [("/stock/mug", "wait=1"), (&*uri, "return=minimal"), (&*uri, "wait=soon")] {
        let (status, headers, _) = fixture.get_preferring(uri, prefer).await;
        assert_eq!((status, applied(&headers)), (StatusCode::OK, None), "{uri} {prefer}");
    }
    fixture.stop.cancel();
    running.await.unwrap();
    fixture.store.close().await;
}
