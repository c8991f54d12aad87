//! An order on which much hangs is read page by page; one on which little hangs is read as ever.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use domain::ids::NoteId;
use domain::order::event::NoteAdded;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderError, OrderEvent};
use event_store::{EventStore, Handled, Metadata, StoreSettings, Versioned};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::Database;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

const NOTES: usize = 250;

struct ReadSide {
    _database: Database,
    _stop: DropGuard,
    routes: Router,
    position: i64,
}

impl ReadSide {
    /// An order with many notes, and its read side.
    async fn of_many_notes(text: &str) -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stop = CancellationToken::new();
        tokio::spawn(projections::run(store.clone(), testkit::read_models(store.pool()), stop.clone()));
        let content = PostedOrder::parse(include_bytes!("../../domain/golden/posted/demo-order.json")).unwrap().content;
        let note = |nth: usize| {
            let note_id = NoteId::parse(format!("n-{nth:03}")).unwrap();
            OrderEvent::NoteAdded(NoteAdded { note_id, text: text.to_owned(), author: None })
        };
        let events: Vec<_> = [OrderEvent::OrderCreated(content)].into_iter().chain((0..NOTES).map(note)).collect();
        let decide = |_: &Order| Ok::<_, OrderError>(events.clone());
        let executed = store.execute("a", Versioned::default(), &Metadata::default(), decide).await.unwrap();
        let Handled::Appended(appended) = executed else { panic!("nothing happened") };
        let routes = testkit::called_by_shop(projections::routes(
            store.clone(),
            &*testkit::read_models(store.pool()),
            None,
            projections::SlowReads::default(),
        ));
        Self { _database: database, _stop: stop.drop_guard(), routes, position: appended.position }
    }

    async fn get(&self, uri: &str) -> (u16, Value) {
        let answer = self.routes.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The items of all pages, and how many each had.
    async fn walk(&self, uri: &str) -> (Vec<Value>, Vec<usize>) {
        let (mut items, mut pages, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let (status, page) = self.get(&format!("{uri}{cursor}")).await;
            assert_eq!((status, &page["orderId"]), (200, &json!("a")), "{page}");
            let found = page["items"].as_array().unwrap();
            pages.push(found.len());
            items.extend(found.iter().cloned());
            let Some(next) = page["cursor"].as_str() else { return (items, pages) };
            cursor = format!("&cursor={next}");
        }
    }
}

#[tokio::test]
async fn its_timeline_is_read_page_by_page() {
    let reads = ReadSide::of_many_notes("x").await;
    let (events, pages) = reads.walk("/orders/a/events?limit=100").await;
    assert_eq!(pages, [100, 100, 51]);
    let versions: Vec<_> = events.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=251).collect::<Vec<_>>());
    let (_, pages) = reads.walk("/orders/a/events?").await;
    assert_eq!(pages, [200, 51]);

    assert_eq!(reads.get("/orders/nobody/events?cursor=7").await.0, 404);
    for wrong in ["cursor=x", "cursor=0", "limit=0", "limit=201"] {
        assert_eq!(reads.get(&format!("/orders/a/events?{wrong}")).await.0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_page_of_its_timeline_is_bounded_by_bytes_as_well() {
    let reads = ReadSide::of_many_notes(&"x".repeat(10_000)).await;
    let (events, pages) = reads.walk("/orders/a/events?").await;
    assert_eq!(events.len(), 1 + NOTES);
    assert!(pages.len() == 3 && pages[0] < 110, "{pages:?}");
}

#[tokio::test]
async fn what_hangs_on_it_is_read_page_by_page_and_the_latest_comes_with_it() {
    let reads = ReadSide::of_many_notes("x").await;
    let (_, order) = reads.get(&format!("/orders/a?minPosition={}", reads.position)).await;
    let shown = order["addedNotes"].as_array().unwrap();
    let ends = [shown[0]["noteId"].as_str().unwrap(), shown[99]["noteId"].as_str().unwrap()];
    assert_eq!((shown.len(), ends), (100, ["n-150", "n-249"]));
    assert_eq!(order["more"], json!(["addedNotes"]));

    let (notes, pages) = reads.walk("/orders/a/notes?limit=100").await;
    assert_eq!(pages, [100, 100, 50]);
    assert_eq!(notes[0], json!({ "noteId": "n-000", "text": "x", "at": notes[0]["at"] }));
    for nothing in ["shipments", "cancellations", "returns", "refunds", "mails"] {
        assert_eq!(reads.walk(&format!("/orders/a/{nothing}?")).await.1, [0], "{nothing}");
    }
    assert_eq!(reads.get("/orders/nobody/notes").await.0, 404);
    assert_eq!(reads.get("/orders/a/notes?limit=0").await.0, 422);
}
