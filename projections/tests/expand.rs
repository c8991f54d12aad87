//! What comes with an order, or with the orders of a list, where it is asked for by `expand`.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use access_control::{Principal, Role, RoutePermission};
use axum::Router;
use axum::body::Body;
use domain::ids::NoteId;
use domain::order::event::{MailTemplate, NoteAdded, NotificationSent, OrderConfirmed, OrderCreated};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderError, OrderEvent};
use event_store::{EventStore, Handled, Metadata, StoreSettings, Versioned};
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, Request};
use http_body_util::BodyExt;
use problem::HttpSemantics;
use serde_json::{Value, json};
use testkit::Database;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;
use uuid::Uuid;

/// The read side of a database.
struct ReadSide {
    _database: Database,
    _stop: DropGuard,
    store: EventStore,
    routes: Router,
}

impl ReadSide {
    async fn new() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stop = CancellationToken::new();
        tokio::spawn(projections::run(store.clone(), testkit::read_models(store.pool()), stop.clone()));
        let routes = projections::routes(
            store.clone(),
            &*testkit::read_models(store.pool()),
            None,
            projections::SlowReads::default(),
        );
        let routes = Router::from(routes).layer(HttpSemantics::new(&[]));
        Self { _database: database, _stop: stop.drop_guard(), store, routes }
    }

    /// An order that has happened, with what follows, and the position of the last of it.
    async fn order(&self, order_id: &str, title: &str, more: &[OrderEvent]) -> i64 {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        let mut content = OrderCreated { notes: Some("leave it at the door".to_owned()), ..content };
        title.clone_into(&mut content.lines[0].title);
        let events = [&[OrderEvent::OrderCreated(content)], more].concat();
        let decide = |_: &Order| Ok::<_, OrderError>(events.clone());
        let executed = self.store.execute(order_id, Versioned::default(), &Metadata::default(), decide).await.unwrap();
        let Handled::Appended(appended) = executed else { panic!("nothing happened") };
        appended.position
    }

    async fn ask(&self, uri: &str, header: Option<(HeaderName, &str)>) -> (u16, HeaderMap, Value) {
        let mut request = Request::get(uri);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let routes = testkit::called_by_shop(self.routes.clone());
        Self::answer(routes, request.body(Body::empty()).unwrap()).await
    }

    async fn answer(routes: Router, request: Request<Body>) -> (u16, HeaderMap, Value) {
        let (head, body) = routes.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, uri: &str) -> Value {
        let (status, _, answer) = self.ask(uri, None).await;
        assert_eq!(status, 200, "{uri}: {answer}");
        answer
    }
}

fn note(nth: usize) -> OrderEvent {
    let note_id = NoteId::parse(format!("n-{nth:03}")).unwrap();
    OrderEvent::NoteAdded(NoteAdded { note_id, text: "a note".to_owned(), author: None })
}

fn confirmed() -> OrderEvent {
    OrderEvent::OrderConfirmed(OrderConfirmed::default())
}

fn mail() -> OrderEvent {
    let (notification_id, template) = (Uuid::from_u128(1), MailTemplate::OrderConfirmed);
    let (recipient, provider_message_id) = ("c@example.com".into(), "m-1".into());
    OrderEvent::NotificationSent(NotificationSent {
        notification_id,
        template,
        recipient,
        provider_message_id,
        nth: None,
    })
}

#[tokio::test]
async fn an_order_has_the_first_page_of_its_timeline_with_it() {
    let reads = ReadSide::new().await;
    let notes: Vec<_> = (0..250).map(note).collect();
    let position = reads.order("a", "title", &notes).await;
    let alone = reads.get(&format!("/orders/a?minPosition={position}")).await;
    assert!(alone.get("events").is_none() && alone.get("saga").is_none(), "{alone}");
    let mut expanded = reads.get("/orders/a?expand=events").await;
    let events = expanded.as_object_mut().unwrap().remove("events").unwrap();
    assert_eq!(expanded, alone);
    assert_eq!(events, reads.get("/orders/a/events").await);
    assert_eq!(events["items"].as_array().unwrap().len(), 200);
    let cursor = events["cursor"].as_str().unwrap();
    assert_eq!(reads.get(&format!("/orders/a/events?cursor={cursor}")).await["items"].as_array().unwrap().len(), 51);
}

#[tokio::test]
async fn the_etag_of_an_expanded_order_is_of_all_of_it() {
    let reads = ReadSide::new().await;
    let position = reads.order("a", "title", &[confirmed()]).await;
    let (_, headers, _) = reads.ask(&format!("/orders/a?minPosition={position}"), None).await;
    assert_eq!(headers[ETAG], "\"2\"");
    let (_, headers, _) = reads.ask("/orders/a?expand=events", None).await;
    let etag = headers[ETAG].to_str().unwrap().to_owned();
    assert!(etag.starts_with("\"2."), "{etag}");
    for (header, value, status) in [
        (IF_NONE_MATCH, etag.as_str(), 304),
        (IF_NONE_MATCH, "\"2\"", 200),
        (IF_MATCH, etag.as_str(), 200),
        (IF_MATCH, "\"2\"", 200),
        (IF_MATCH, "\"1\"", 412),
    ] {
        let (found, _, _) = reads.ask("/orders/a?expand=events", Some((header.clone(), value))).await;
        assert_eq!(found, status, "{header}: {value}");
    }
    assert_eq!(reads.ask("/orders/a", Some((IF_NONE_MATCH, &etag))).await.0, 200);
}

#[tokio::test]
async fn orders_in_a_list_have_the_parts_that_are_asked_for() {
    let reads = ReadSide::new().await;
    let notes: Vec<_> = (0..101).map(note).collect();
    reads.order("a", "title", &[&[confirmed(), mail()], &notes[..]].concat()).await;
    let position = reads.order("b", "title", &[]).await;
    let alone = reads.get(&format!("/orders?minPosition={position}")).await;
    let names = "lines,shipments,cancellations,returns,refunds,addedNotes,mails";
    let expanded = reads.get(&format!("/customers/customer-42/orders?expand={names}")).await;
    assert_eq!(expanded["cursor"], Value::Null);
    for (alone, expanded) in alone["items"].as_array().unwrap().iter().zip(expanded["items"].as_array().unwrap()) {
        let whole = reads.get(&format!("/orders/{}", alone["orderId"].as_str().unwrap())).await;
        for name in names.split(',') {
            assert!(alone.get(name).is_none(), "{alone}");
            // An order leaves out that there are no cancellations.
            let of_order = whole.get(name).cloned().unwrap_or_else(|| json!([]));
            if name == "addedNotes" && alone["orderId"] == "a" {
                let first = reads.get("/orders/a/notes?limit=100").await;
                assert_eq!(expanded[name], first["items"]);
            } else {
                assert_eq!(expanded[name], of_order, "{name}");
            }
        }
        let more = if alone["orderId"] == "a" { json!(["addedNotes"]) } else { Value::Null };
        assert_eq!(expanded["more"], more);
        assert_eq!(expanded["notes"], "leave it at the door");
    }
    let lines = reads.get("/orders?sku=sku-123&expand=lines").await;
    assert_eq!(lines["items"][0]["lines"][0]["sku"], "sku-123");
    assert!(lines["items"][0].get("mails").is_none() && lines["items"][0].get("more").is_none());
}

#[tokio::test]
async fn a_page_of_expanded_orders_is_bounded_by_bytes_and_goes_on() {
    let reads = ReadSide::new().await;
    let mut position = 0;
    for nth in 0..20 {
        position = reads.order(&format!("o-{nth:02}"), &"t".repeat(500_000), &[]).await;
    }
    let (mut uri, mut met, mut pages) =
        (format!("/orders?expand=lines&minPosition={position}"), Vec::new(), Vec::new());
    loop {
        let page = reads.get(&uri).await;
        let items = page["items"].as_array().unwrap();
        pages.push(items.len());
        met.extend(items.iter().map(|order| {
            assert_eq!(order["lines"][0]["title"].as_str().unwrap().len(), 500_000);
            order["orderId"].as_str().unwrap().to_owned()
        }));
        let Some(cursor) = page["cursor"].as_str() else { break };
        uri = format!("/orders?expand=lines&cursor={cursor}");
    }
    assert_eq!(met, (0..20).rev().map(|nth| format!("o-{nth:02}")).collect::<Vec<_>>());
    assert_eq!(pages, [9, 9, 2], "4 MiB a page");
}

#[tokio::test]
async fn what_is_not_known_is_named_with_what_is() {
    let reads = ReadSide::new().await;
    let position = reads.order("a", "title", &[]).await;
    reads.get(&format!("/orders/a?minPosition={position}")).await;
    let of_lists = "lines, shipments, cancellations, returns, refunds, addedNotes, mails";
    for (uri, known) in [
        ("/orders/a?expand=", "events"),
        // Nobody answers that here.
        ("/orders/a?expand=saga", "events"),
        ("/orders/a?expand=events,,events", "events"),
        ("/orders/a?expand=lines", "events"),
        ("/orders?expand=everything", of_lists),
        ("/customers/x/orders?expand=notes", of_lists),
        ("/customers/$/orders?expand=notes", of_lists),
    ] {
        let (status, _, problem) = reads.ask(uri, None).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("?expand")), "{uri}: {problem}");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert_eq!(message, format!("must be one of {known}, or several with commas between them"), "{uri}");
    }
    for uri in ["/orders/a?expand=events&expand=events", "/orders/a?asOf=1&expand=events"] {
        let (status, _, problem) = reads.ask(uri, None).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("?expand")), "{uri}: {problem}");
    }
}

#[tokio::test]
async fn who_may_not_ask_for_a_part_on_its_own_does_not_get_it_with_orders() {
    let reads = ReadSide::new().await;
    let warehouse = Principal::new(Role::Warehouse, "test", None);
    let customer = Principal::customer("test", "customer-42", None);
    for (caller, grant, uri, status) in [
        (&warehouse, RoutePermission::WithoutPaymentDetails, "/orders?expand=refunds", 403),
        (&warehouse, RoutePermission::WithoutPaymentDetails, "/customers/$/orders?expand=lines,refunds", 403),
        (&warehouse, RoutePermission::WithoutPaymentDetails, "/orders?expand=lines,mails", 200),
        (&customer, RoutePermission::Own, "/orders?expand=refunds", 200),
        (&customer, RoutePermission::Own, "/customers/customer-43/orders?expand=refunds", 200),
        (&customer, RoutePermission::Own, "/orders/missing?expand=events", 404),
    ] {
        let routes = testkit::called_by(reads.routes.clone(), caller.clone(), grant);
        let (found, _, answer) = ReadSide::answer(routes, Request::get(uri).body(Body::empty()).unwrap()).await;
        assert_eq!(found, status, "{uri}: {answer}");
        if status == 403 {
            assert_eq!(answer["detail"], "the role warehouse may not GET /orders/{order_id}/refunds");
        }
    }
}
