//! An order as it was: the answer that was given then, though the view is elsewhere by now, or has never been.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{NoteId, PaymentToken, RefundId, ShipmentId};
use domain::order::event::{
    MailTemplate, NoteAdded, NotificationSent, OperatorIntervened, OrderConfirmed, PaymentAuthorized, PaymentCaptured,
    PaymentRefunded, RefundRequested, StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderError, OrderEvent};
use event_store::{EventStore, Handled, Metadata, StoreSettings, Versioned};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::Database;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// The read side of a database. Whether its views follow the log is up to the test.
struct ReadSide {
    database: Database,
    store: EventStore,
    routes: Router,
}

/// What was answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl ReadSide {
    async fn new() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        Self {
            routes: testkit::called_by_shop(projections::routes(
                store.clone(),
                &*testkit::read_models(store.pool()),
                None,
                projections::SlowReads::default(),
            )),
            database,
            store,
        }
    }

    /// Puts an event into the log of order `a`, whatever the rules say to it; its position.
    async fn happens(&self, event: OrderEvent) -> i64 {
        let known: Versioned<Order> = self.store.load("a").await.unwrap();
        let decide = |_: &Order| Ok::<_, OrderError>(vec![event.clone()]);
        match self.store.execute("a", known, &Metadata::default(), decide).await.unwrap() {
            Handled::Appended(appended) => appended.position,
            Handled::Unchanged(_) | Handled::Replayed(_) => panic!("nothing happened"),
        }
    }

    async fn get(&self, uri: &str) -> Answer {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap() }
    }

    async fn recorded_at(&self, version: i64) -> DateTime<Utc> {
        let at = sqlx::query_scalar("select recorded_at from events where aggregate_id = 'a' and sequence = $1");
        at.bind(version).fetch_one(self.database.pool()).await.unwrap()
    }
}

/// Some of what happens to orders, secrets included.
fn story() -> Vec<OrderEvent> {
    let mut order = testkit::demo_order("a");
    order["paymentToken"] = json!("tok_secret");
    let token = PaymentToken::parse("tok_other").unwrap();
    let refund_id = RefundId::parse("f-1").unwrap();
    vec![
        OrderEvent::OrderCreated(PostedOrder::parse(order.to_string().as_bytes()).unwrap().content),
        OrderEvent::StockReserved(StockReserved {
            units: vec![],
            expires_at: DateTime::UNIX_EPOCH,
            backorders: vec![],
        }),
        OrderEvent::OperatorIntervened(OperatorIntervened {
            payment_number: None,
            decision: OperatorDecision::Retry { payment_token: Some(token) },
            step: SagaStep::AuthorizePayment,
            actor: "ann".into(),
            reason: "asked to".into(),
            customer_message: None,
            notification_id: None,
        }),
        OrderEvent::PaymentAuthorized(PaymentAuthorized {
            payment_number: None,
            reference: "pay-1".into(),
            amount_minor: 12_999,
        }),
        OrderEvent::OrderConfirmed(OrderConfirmed::default()),
        OrderEvent::NotificationSent(NotificationSent {
            notification_id: Uuid::from_u128(1),
            template: MailTemplate::OrderConfirmed,
            recipient: "c@example.com".into(),
            provider_message_id: "m-1".into(),
            nth: None,
        }),
        OrderEvent::PaymentCaptured(PaymentCaptured {
            payment_number: None,
            shipment_id: ShipmentId::parse("s-1").unwrap(),
            amount_minor: 12_999,
            reference: "cap-1".into(),
        }),
        OrderEvent::RefundRequested(RefundRequested {
            refund_id: refund_id.clone(),
            amount_minor: 999,
            reason: Some("goodwill".into()),
        }),
        OrderEvent::PaymentRefunded(PaymentRefunded {
            payment_number: None,
            refund_id,
            amount_minor: 999,
            reference: "ref-1".into(),
        }),
        OrderEvent::NoteAdded(NoteAdded {
            note_id: NoteId::parse("n-1").unwrap(),
            text: "called back".into(),
            author: None,
        }),
    ]
}

#[tokio::test]
async fn every_version_of_an_order_is_shown_as_it_was_shown_then() {
    let reads = ReadSide::new().await;
    let stop = CancellationToken::new();
    let running =
        tokio::spawn(projections::run(reads.store.clone(), testkit::read_models(reads.store.pool()), stop.clone()));
    let mut shown = Vec::new();
    for event in story() {
        let position = reads.happens(event).await;
        shown.push(reads.get(&format!("/orders/a?minPosition={position}")).await);
    }

    for (version, then) in (1..).zip(&shown) {
        let recorded_at = reads.recorded_at(version).await;
        let just_before_the_next = match reads.recorded_at(version.min(9) + 1).await {
            next if next > recorded_at => next - TimeDelta::microseconds(1),
            _ => recorded_at,
        };
        for moment in [version.to_string(), text(recorded_at), text(just_before_the_next)] {
            let again = reads.get(&format!("/orders/a?asOf={moment}")).await;
            assert_eq!(again.status, 200, "{moment}: {}", again.body);
            assert_eq!(again.body, then.body, "{moment}");
            assert_eq!(again.headers[header::ETAG], then.headers[header::ETAG]);
        }
    }
    let future = reads.get("/orders/a?asOf=2999-01-01T00:00:00Z").await;
    assert_eq!(future.body, shown.last().unwrap().body);
    stop.cancel();
    running.await.unwrap();
    reads.store.close().await;
}

#[tokio::test]
async fn the_past_is_told_though_no_view_has_seen_it_and_without_its_secrets() {
    let reads = ReadSide::new().await;
    for event in story() {
        reads.happens(event).await;
    }
    assert_eq!(reads.get("/orders/a").await.status, 404);
    for version in 1..=10 {
        // Nothing is waited for: it is in the log.
        let then = reads.get(&format!("/orders/a?asOf={version}&minPosition=1000")).await;
        assert_eq!((then.status, &then.body["version"]), (200, &json!(version)));
        let text = then.body.to_string();
        for secret in ["tok_secret", "tok_other", "folded"] {
            assert!(!text.contains(secret), "{version}: {text}");
        }
    }
    reads.store.close().await;
}

#[tokio::test]
async fn what_there_never_was_is_said_to_be_missing_and_what_there_was_instead() {
    let reads = ReadSide::new().await;
    for event in story().into_iter().take(2) {
        reads.happens(event).await;
    }
    let created_at = reads.recorded_at(1).await;
    let before = text(created_at - TimeDelta::microseconds(1));

    for (uri, status, says) in [
        ("/orders/a?asOf=3".to_owned(), 404, "order a has no version 3; it has 1 to 2".to_owned()),
        ("/orders/b?asOf=1".to_owned(), 404, "there is no order b".to_owned()),
        (format!("/orders/a?asOf={before}"), 404, format!("it was created at {}", text(created_at))),
        ("/orders/a?asOf=0".to_owned(), 422, "?asOf".to_owned()),
        ("/orders/a?asOf=-1".to_owned(), 422, "?asOf".to_owned()),
        ("/orders/a?asOf=".to_owned(), 422, "?asOf".to_owned()),
        ("/orders/a?asOf=99999999999999999999".to_owned(), 422, "?asOf".to_owned()),
        ("/orders/a?asOf=yesterday".to_owned(), 422, "?asOf".to_owned()),
        ("/orders/a?asOf=%00".to_owned(), 422, "?asOf".to_owned()),
        ("/orders/a?asOf=1&asOf=2".to_owned(), 422, "asOf".to_owned()),
        ("/orders/a?asOf=1&minPosition=soon".to_owned(), 422, "minPosition".to_owned()),
        ("/orders/a?as_of=1".to_owned(), 422, "as_of".to_owned()),
    ] {
        let refused = reads.get(&uri).await;
        assert_eq!(refused.status, status, "{uri}: {}", refused.body);
        assert!(refused.body.to_string().contains(&says), "{uri}: {}", refused.body);
    }
    assert_eq!(reads.get("/orders/a?asOf=3").await.body["currentVersion"], 2);
    assert_eq!(reads.get(&format!("/orders/a?asOf={before}")).await.body["createdAt"], text(created_at));
    reads.store.close().await;
}

#[tokio::test]
async fn an_event_that_this_build_does_not_know_hides_nothing_that_was_before_it() {
    let reads = ReadSide::new().await;
    for event in story().into_iter().take(2) {
        reads.happens(event).await;
    }
    let insert =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  values ('order', 'a', 3, 'OrderTeleported', '1.0', '{\"OrderTeleported\":{}}', '{}')";
    sqlx::query(insert).execute(reads.database.pool()).await.unwrap();
    assert_eq!(reads.get("/orders/a?asOf=2").await.status, 200);
    assert_eq!(reads.get("/orders/a?asOf=3").await.status, 500);
    reads.store.close().await;
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
