//! The orders read model over the whole life of an order: given events, the view.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use chrono::DateTime;
use domain::ids::{CancellationId, NoteId, PaymentToken, RefundId, ReturnId, ShipmentId, Sku};
use domain::order::event::{
    CancellationRequested, LineQuantity, LinesCancelled, NoteAdded, OperatorIntervened, OrderCancelled, OrderConfirmed,
    OrderDelivered, OrderRejected, OrderShipped, Parcel, PaymentAuthorized, PaymentCaptured, PaymentDeclined,
    PaymentOutcomeUnknown, PaymentRefunded, PaymentVoided, RefundRequested, RejectionReason, ReservedUnits,
    ReturnReceived, ReturnRequested, Shortage, StockReleased, StockReservationFailed, StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderError, OrderEvent};
use event_store::{EventStore, Handled, Metadata, StoreSettings, Versioned};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use projections::{ReplayError, Replayed, Replays, Wanted};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The read side of a database, kept up to date.
struct Reads {
    database: Database,
    store: EventStore,
    routes: Router,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Reads {
    async fn running() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool())).await.unwrap();
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stop = CancellationToken::new();
        let running = tokio::spawn(projections::run(store.clone(), testkit::read_models(store.pool()), stop.clone()));
        Self {
            routes: projections::routes(store.clone(), &*testkit::read_models(store.pool())),
            database,
            store,
            stop,
            running,
        }
    }

    /// Puts an event into the log of order `a`, whatever the rules say to it, and returns the view of it.
    async fn after(&self, event: OrderEvent) -> Value {
        let known: Versioned<Order> = self.store.load("a").await.unwrap();
        let decide = |_: &Order| Ok::<_, OrderError>(vec![event.clone()]);
        let executed = self.store.execute("a", known, &Metadata::default(), decide).await.unwrap();
        let Handled::Appended(appended) = executed else { panic!("nothing happened") };
        self.get(&format!("/orders/a?minPosition={}", appended.position)).await
    }

    async fn after_all(&self, events: impl IntoIterator<Item = OrderEvent>) -> Value {
        let mut view = Value::Null;
        for event in events {
            view = self.after(event).await;
        }
        view
    }

    async fn get(&self, uri: &str) -> Value {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::OK, "{uri}: {body:?}");
        serde_json::from_slice(&body).unwrap()
    }

    async fn rows(&self) -> Vec<String> {
        let rows = sqlx::query_scalar("select row_to_json(t)::text from read_model_orders t order by pk, sk");
        rows.fetch_all(self.database.pool()).await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.store.close().await;
    }
}

/// Two headphones at 10.00, and a cable at 5.50.
fn created() -> OrderEvent {
    let body = json!({
        "customerId": "customer-42", "currency": "USD", "totalAmount": "25.50", "paymentToken": "tok_secret",
        "items": [{ "sku": "headphones", "title": "Headphones", "quantity": 2, "unitPrice": 10 },
                  { "sku": "cable", "title": "Cable", "quantity": 1, "unitPrice": "5.50" }]
    });
    OrderEvent::OrderCreated(PostedOrder::parse(body.to_string().as_bytes()).unwrap().content)
}

fn reserved() -> OrderEvent {
    let units = vec![ReservedUnits { sku: Sku::parse("cable").unwrap(), quantity: 1 }];
    let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    OrderEvent::StockReserved(StockReserved { units, expires_at })
}

fn authorized() -> OrderEvent {
    OrderEvent::PaymentAuthorized(PaymentAuthorized { reference: "pay-1".into(), amount_minor: 2_550 })
}

fn confirmed() -> OrderEvent {
    OrderEvent::OrderConfirmed(OrderConfirmed {})
}

fn lines(lines: &[(u32, u32)]) -> Vec<LineQuantity> {
    lines.iter().map(|&(line_number, quantity)| LineQuantity { line_number, quantity }).collect()
}

fn shipped(id: &str, sent: &[(u32, u32)]) -> OrderEvent {
    OrderEvent::OrderShipped(OrderShipped {
        shipment_id: ShipmentId::parse(id).unwrap(),
        lines: lines(sent),
        parcels: vec![
            Parcel { carrier: Some("DHL".into()), tracking: Some(format!("J-{id}")) },
            Parcel { carrier: None, tracking: Some(format!("K-{id}")) },
        ],
    })
}

fn captured(id: &str, amount_minor: i64) -> OrderEvent {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderEvent::PaymentCaptured(PaymentCaptured { shipment_id, amount_minor, reference: "cap".into() })
}

fn return_id() -> ReturnId {
    ReturnId::parse("r-1").unwrap()
}

fn refund_requested(id: &str, amount_minor: i64) -> OrderEvent {
    let refund_id = RefundId::parse(id).unwrap();
    OrderEvent::RefundRequested(RefundRequested { refund_id, amount_minor, reason: Some("goodwill".into()) })
}

fn intervened(step: SagaStep, verb: OperatorDecision) -> OrderEvent {
    OrderEvent::OperatorIntervened(OperatorIntervened {
        decision: verb,
        step,
        actor: "ann".into(),
        reason: "asked to".into(),
        customer_message: None,
        notification_id: None,
    })
}

fn usd(amount: &str) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

/// How far the order is: itself, its payment, its goods, its returns.
fn statuses(view: &Value) -> [&str; 4] {
    ["status", "paymentStatus", "fulfilmentStatus", "returnsStatus"].map(|name| view[name].as_str().unwrap())
}

/// Everything that can become of an order that goes well.
fn good_life() -> Vec<OrderEvent> {
    vec![
        created(),
        reserved(),
        OrderEvent::PaymentOutcomeUnknown(PaymentOutcomeUnknown { reason: "no answer".into() }),
        authorized(),
        confirmed(),
        shipped("s-1", &[(1, 1)]),
        captured("s-1", 1_000),
        shipped("s-2", &[(1, 1), (2, 1)]),
        captured("s-2", 1_550),
        OrderEvent::OrderDelivered(OrderDelivered {}),
        OrderEvent::ReturnRequested(ReturnRequested {
            return_id: return_id(),
            lines: lines(&[(1, 1)]),
            reason: Some("too loud".into()),
        }),
        OrderEvent::ReturnReceived(ReturnReceived { return_id: return_id(), refund_minor: 1_000 }),
        OrderEvent::PaymentRefunded(PaymentRefunded {
            refund_id: RefundId::of_return(&return_id()),
            amount_minor: 1_000,
            reference: "ref-1".into(),
        }),
    ]
}

#[tokio::test]
async fn who_has_a_version_already_is_not_sent_it_again() {
    let reads = Reads::running().await;
    let created = PostedOrder::parse(
        json!({ "customerId": "c", "currency": "USD", "totalAmount": 1,
                "items": [{ "sku": "s", "title": "S", "quantity": 1, "unitPrice": 1 }] })
        .to_string()
        .as_bytes(),
    );
    reads.after(OrderEvent::OrderCreated(created.unwrap().content)).await;
    let ask = async |uri: &str, name: &str, value: &str| {
        let request = Request::get(uri).header(name, value).body(Body::empty()).unwrap();
        let answer = reads.routes.clone().oneshot(request).await.unwrap();
        let (status, etag) = (answer.status().as_u16(), answer.headers().get("etag").cloned());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status == 304, body.is_empty(), "{uri} {name}: {value}");
        (status, etag.map(|etag| etag.to_str().unwrap().to_owned()))
    };
    for uri in ["/orders/a", "/orders/a?asOf=1"] {
        let etag = Some("\"1\"".to_owned());
        for known in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
            assert_eq!(ask(uri, "if-none-match", known).await, (304, etag.clone()), "{uri} {known}");
        }
        assert_eq!(ask(uri, "if-none-match", "\"2\"").await, (200, etag.clone()), "{uri}");
        assert_eq!(ask(uri, "if-match", "\"1\"").await, (200, etag.clone()), "{uri}");
        assert_eq!(ask(uri, "if-match", "\"2\"").await.0, 412, "{uri}");
        assert_eq!(ask(uri, "if-none-match", "1").await.0, 400, "{uri}");
    }
    assert_eq!(ask("/orders/none", "if-none-match", "*").await.0, 404);
    assert_eq!(ask("/stock/none", "if-none-match", "\"0\"").await, (304, Some("\"0\"".to_owned())));
    assert_eq!(ask("/stock/none", "if-match", "*").await.0, 412);
    reads.end().await;
}

#[tokio::test]
async fn what_was_cancelled_of_an_order_is_shown_with_its_lines() {
    let reads = Reads::running().await;
    let before = reads
        .after_all([
            created(),
            reserved(),
            authorized(),
            confirmed(),
            shipped("s-1", &[(1, 1)]),
            captured("s-1", 1_000),
        ])
        .await;
    assert!(before.get("cancelled").is_none() && before.get("cancellations").is_none(), "{before}");
    let cancelled = OrderEvent::LinesCancelled(LinesCancelled {
        cancellation_id: CancellationId::parse("c-1").unwrap(),
        lines: lines(&[(1, 1), (2, 1)]),
        reason: Some("sold out".into()),
    });

    let view = reads.after(cancelled).await;

    assert_eq!(statuses(&view), ["confirmed", "captured", "shipped", "none"]);
    assert_eq!(view["cancelled"], json!({ "amount": "15.50", "currency": "USD" }));
    let counted = |line: &Value| [&line["shipped"], &line["cancelled"]].map(Value::as_u64);
    let counted: Vec<_> = view["lines"].as_array().unwrap().iter().map(counted).collect();
    assert_eq!(counted, [[Some(1), Some(1)], [Some(0), Some(1)]]);
    let [cancellation] = view["cancellations"].as_array().unwrap().as_slice() else { panic!("{view}") };
    assert_eq!((&cancellation["cancellationId"], &cancellation["reason"]), (&json!("c-1"), &json!("sold out")));
    let view = reads.after(OrderEvent::PaymentVoided(PaymentVoided {})).await;
    assert_eq!(statuses(&view), ["confirmed", "captured", "shipped", "none"]);
}

#[tokio::test]
async fn how_far_an_order_is_is_shown_after_every_event() {
    let reads = Reads::running().await;
    let expected = [
        ["pending", "none", "none", "none"],
        ["pending", "none", "reserved", "none"],
        ["pending", "unknown", "reserved", "none"],
        ["pending", "authorized", "reserved", "none"],
        ["confirmed", "authorized", "reserved", "none"],
        ["confirmed", "authorized", "partiallyShipped", "none"],
        ["confirmed", "partiallyCaptured", "partiallyShipped", "none"],
        ["confirmed", "partiallyCaptured", "shipped", "none"],
        ["confirmed", "captured", "shipped", "none"],
        ["completed", "captured", "delivered", "none"],
        ["completed", "captured", "delivered", "requested"],
        ["completed", "captured", "delivered", "partiallyReturned"],
        ["completed", "partiallyRefunded", "delivered", "partiallyReturned"],
    ];
    let life = good_life();
    assert_eq!(life.len(), expected.len());
    for (version, (event, expected)) in (1..).zip(life.into_iter().zip(expected)) {
        let name = event.name();
        let view = reads.after(event).await;
        assert_eq!(statuses(&view), expected, "{name}");
        assert_eq!(view["version"], version, "{name}");
    }
    reads.end().await;
}

#[tokio::test]
async fn what_was_sent_came_back_and_was_paid_is_listed() {
    let reads = Reads::running().await;
    let mut life = good_life();
    let (paid, received) = (life.pop().unwrap(), life.pop().unwrap());

    let view = reads.after_all(life).await;
    assert_eq!((&view["captured"], &view["refunded"]), (&usd("25.50"), &usd("0.00")));
    let quantities = |view: &Value| {
        let lines = view["lines"].as_array().unwrap().iter();
        lines
            .map(|line| [&line["quantity"], &line["shipped"], &line["returned"]].map(|n| n.as_u64().unwrap()))
            .collect()
    };
    let before: Vec<_> = quantities(&view);
    assert_eq!(before, [[2, 2, 0], [1, 1, 0]]);
    let [first, second] = view["shipments"].as_array().unwrap().as_slice() else { panic!("{view}") };
    assert_eq!(first["shipmentId"], "s-1");
    assert_eq!(second["lines"], json!([{ "lineNumber": 1, "quantity": 1 }, { "lineNumber": 2, "quantity": 1 }]));
    assert_eq!((&second["carrier"], &second["tracking"]), (&json!("DHL"), &json!("J-s-2")));
    assert_eq!(second["parcels"], json!([{ "carrier": "DHL", "tracking": "J-s-2" }, { "tracking": "K-s-2" }]));
    assert!(first["settled"] == true && second["settled"] == true);
    assert_eq!(view["returns"][0]["reason"], "too loud");
    assert!(view["returns"][0]["requestedAt"].is_string() && view["returns"][0]["receivedAt"].is_null());
    assert_eq!(view["refunds"], json!([]));

    let view = reads.after(received).await;
    let after: Vec<_> = quantities(&view);
    assert_eq!(after, [[2, 2, 1], [1, 1, 0]]);
    assert!(view["returns"][0]["receivedAt"].is_string());
    assert_eq!(view["refunds"][0]["status"], "requested");

    let view = reads.after(paid).await;
    let refund = &view["refunds"][0];
    assert_eq!(
        (&refund["refundId"], &refund["amount"], &refund["status"]),
        (&json!("r-1"), &usd("10.00"), &json!("refunded"))
    );
    assert!(refund["refundedAt"].is_string());
    assert_eq!(view["refunded"], usd("10.00"));
    reads.end().await;
}

#[tokio::test]
async fn an_order_that_could_not_be_promised_says_why() {
    let reads = Reads::running().await;
    let shortages = vec![Shortage { sku: Sku::parse("headphones").unwrap(), requested: 2, available: 1 }];
    let failed = StockReservationFailed { shortages: shortages.clone() };
    let undone = reads.after_all([created(), OrderEvent::StockReservationFailed(failed)]).await;
    let words = "not enough in stock: headphones (2 ordered, 1 left)";
    assert_eq!((&undone["status"], &undone["reason"]), (&json!("pending"), &json!(words)));

    let reason = RejectionReason::OutOfStock { shortages };
    let rejected = reads.after(OrderEvent::OrderRejected(OrderRejected { reason })).await;
    assert_eq!((&rejected["status"], &rejected["reason"]), (&json!("rejected"), &json!(words)));
    reads.end().await;
}

#[tokio::test]
async fn a_declined_order_holds_neither_units_nor_money() {
    let reads = Reads::running().await;
    let declined = PaymentDeclined { code: "card_declined".into(), message: "no funds".into() };
    let events = [
        created(),
        reserved(),
        OrderEvent::PaymentDeclined(declined),
        OrderEvent::StockReleased(StockReleased { expired: false }),
    ];
    let view = reads.after_all(events).await;
    assert_eq!(statuses(&view), ["pending", "declined", "none", "none"]);
    assert_eq!(view["reason"], "the payment was declined: no funds");
    reads.end().await;
}

#[tokio::test]
async fn a_cancelled_order_says_why() {
    let reads = Reads::running().await;
    let reason = Some("changed my mind".to_owned());
    let requested = CancellationRequested { reason: reason.clone() };
    let events = [created(), reserved(), authorized(), confirmed(), OrderEvent::CancellationRequested(requested)];
    let view = reads.after_all(events).await;
    assert_eq!((&view["status"], &view["reason"]), (&json!("confirmed"), &json!("changed my mind")));
    assert_eq!(view["undoing"], true);

    let undone = [
        OrderEvent::PaymentVoided(PaymentVoided {}),
        OrderEvent::StockReleased(StockReleased { expired: false }),
        OrderEvent::OrderCancelled(OrderCancelled { reason }),
    ];
    let view = reads.after_all(undone).await;
    assert_eq!(statuses(&view), ["cancelled", "voided", "none", "none"]);
    assert_eq!(view["reason"], "changed my mind");
    assert!(view["undoing"].is_null());
    reads.end().await;
}

#[tokio::test]
async fn what_an_operator_does_without_is_shown_as_that() {
    let reads = Reads::running().await;
    let mut events = vec![created(), reserved(), authorized(), confirmed(), shipped("s-1", &[(1, 2), (2, 1)])];
    events.extend([intervened(SagaStep::CapturePayment, OperatorDecision::Skip), refund_requested("f-1", 100)]);
    let view = reads.after_all(events).await;
    assert_eq!(view["shipments"][0]["settled"], true);
    assert_eq!(view["captured"], usd("0.00"));
    assert_eq!(view["refunds"][0]["status"], "requested");

    let view = reads.after(intervened(SagaStep::RefundPayment, OperatorDecision::Skip)).await;
    assert_eq!((&view["refunds"][0]["status"], &view["refunds"][0]["reason"]), (&json!("skipped"), &json!("goodwill")));
    reads.end().await;
}

#[tokio::test]
async fn notes_are_listed_beside_the_customers_own_words() {
    let reads = Reads::running().await;
    let note = |id: &str, text: &str, author: Option<&str>| {
        let author = author.map(str::to_owned);
        OrderEvent::NoteAdded(NoteAdded { note_id: NoteId::parse(id).unwrap(), text: text.into(), author })
    };
    let content = PostedOrder::parse(testkit::demo_order("a").to_string().as_bytes()).unwrap().content;
    let events =
        [OrderEvent::OrderCreated(content), note("n-2", "called back", Some("Ann")), note("n-1", "gift wrap", None)];
    let view = reads.after_all(events).await;
    assert_eq!(view["notes"], "REST Client sample order");
    let texts: Vec<_> = view["addedNotes"].as_array().unwrap().iter().map(|note| note["text"].clone()).collect();
    assert_eq!(texts, ["called back", "gift wrap"]);
    assert_eq!(view["addedNotes"][0]["author"], "Ann");
    reads.end().await;
}

#[tokio::test]
async fn what_pays_and_what_it_is_folded_from_are_shown_to_nobody() {
    let reads = Reads::running().await;
    let token = PaymentToken::parse("tok_other_secret").unwrap();
    let retry = OperatorDecision::Retry { payment_token: Some(token) };
    let view = reads.after_all([created(), reserved(), intervened(SagaStep::AuthorizePayment, retry)]).await;
    let (timeline, page) = (reads.get("/orders/a/events").await, reads.get("/customers/customer-42/orders").await);
    assert_eq!(timeline["items"][2]["data"]["actor"], "ann");
    assert_eq!(page["items"][0]["fulfilmentStatus"], "reserved");
    for answer in [view, timeline, page] {
        assert!(!answer.to_string().contains("secret"), "{answer}");
        assert!(!answer.to_string().contains("folded"), "{answer}");
    }
    assert!(!reads.rows().await.concat().contains("secret"));
    reads.end().await;
}

#[tokio::test]
async fn the_log_of_an_earlier_build_still_folds() {
    let reads = Reads::running().await;
    let sent: OrderEvent =
        serde_json::from_str(include_str!("../../domain/golden/events/NotificationSent-1.0.json")).unwrap();
    let view = reads.after_all([created(), confirmed(), sent]).await;
    assert_eq!(statuses(&view), ["confirmed", "none", "none", "none"]);
    assert_eq!(view["mails"][0]["status"], "sent");
    reads.end().await;
}

#[tokio::test]
async fn an_order_that_an_earlier_build_folded_can_be_read_and_is_whole_after_a_rebuild() {
    let reads = Reads::running().await;
    reads.after_all([created(), confirmed()]).await;
    let pool = reads.database.pool();
    let earlier = "update read_model_orders set item = (item::jsonb - 'folded' - 'paymentStatus' - 'captured'
                   - 'refunded' - 'fulfilmentStatus' - 'returnsStatus')::json where sk = '#META'";
    sqlx::query(earlier).execute(pool).await.unwrap();
    let view = reads.get("/orders/a").await;
    assert_eq!(statuses(&view), ["confirmed", "none", "none", "none"]);

    // What happens to it meanwhile is parked.
    reads.after(shipped("s-1", &[(1, 2), (2, 1)])).await;
    assert_eq!(event_store::operations::parked_events(pool, Some("orders")).await.unwrap().len(), 1);
    replay(pool, "orders").await.unwrap();
    assert_eq!(reads.get("/orders/a").await["fulfilmentStatus"], "shipped");
    reads.end().await;
}

#[tokio::test]
async fn a_shipment_that_a_build_stored_that_knew_of_one_parcel_can_be_read_and_folded_on() {
    let reads = Reads::running().await;
    reads.after_all([created(), confirmed(), shipped("s-1", &[(1, 2), (2, 1)])]).await;
    for earlier in [
        "update read_model_orders set item = (item::jsonb - 'parcels')::json where sk = 'SHIPMENT#s-1'",
        "update read_model_orders set item = (item::jsonb #- '{folded,Placed,shipments,0,parcels}')::json where sk = '#META'",
    ] {
        let changed = sqlx::query(earlier).execute(reads.database.pool()).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{earlier}");
    }

    let view = reads.after(captured("s-1", 2_550)).await;

    assert_eq!(view["shipments"][0]["parcels"], json!([{ "carrier": "DHL", "tracking": "J-s-1" }]));
    assert_eq!((&view["captured"], &view["shipments"][0]["settled"]), (&usd("25.50"), &json!(true)));
    reads.end().await;
}

#[tokio::test]
async fn a_rebuilt_view_of_a_whole_life_is_the_live_one() {
    let reads = Reads::running().await;
    reads.after_all(good_life()).await;
    reads.after_all([refund_requested("f-1", 100), intervened(SagaStep::RefundPayment, OperatorDecision::Skip)]).await;
    let live = reads.rows().await;
    // The order, two lines, two shipments, the return, its refund and another.
    assert_eq!(live.len(), 8);
    reads.stop.cancel();
    replay(reads.database.pool(), "orders").await.unwrap();
    assert_eq!(reads.rows().await, live);
    reads.end().await;
}

/// A whole replay of one projection.
async fn replay(pool: &PgPool, projection: &str) -> Result<Replayed, ReplayError> {
    let replays = Replays::new(pool.clone(), testkit::read_models(pool));
    let replay = replays.open(&Wanted { projections: vec![projection.to_owned()], compare: false }).await?;
    replay.run(&CancellationToken::new(), |_| ()).await
}
