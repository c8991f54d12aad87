//! Documents and order numbers are issued once, and numbers have no gap: with several copies, others who write to the same orders, and
//! crashes.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod order_numbers;

use std::collections::BTreeMap;
use std::time::Duration;

use cqrs_es::Aggregate;
use documents::DocumentMetrics;
use domain::document::{DocumentEvent, DocumentSeries, Seller};
use domain::ids::{NoteId, RefundId, ShipmentId};
use domain::order::event::{
    LineQuantity, NoteAdded, OrderConfirmed, OrderCreated, OrderShipped, PaymentAuthorized, PaymentCaptured,
    PaymentRefunded, RefundRequested, StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderEvent};
use event_store::{EventStore, Metadata, NewEvent, StoreSettings, StreamAppend};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::{Database, eventually};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Far above what it takes: a test that hangs is to fail.
const PATIENCE: Duration = Duration::from_secs(120);

fn seller() -> Seller {
    Seller { name: "Shop".into(), address: "Street 1, 10115 Berlin".into(), tax_id: "DE123456789".into() }
}

struct Fixture {
    database: Database,
    store: EventStore,
}

/// When it is dropped it stops where it is, as in a crash.
struct Copy {
    pool: PgPool,
    _running: AbortOnDropHandle<()>,
}

impl Drop for Copy {
    fn drop(&mut self) {
        let pool = self.pool.clone();
        tokio::spawn(async move { pool.close().await });
    }
}

impl Fixture {
    async fn new() -> Self {
        let fixture = Self::without_seller().await;
        fixture.begin().await;
        fixture
    }

    async fn without_seller() -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        Self { database, store }
    }

    /// The first copy begins at the end of the log.
    async fn begin(&self) {
        let first = self.copy().await;
        self.begun("documents").await;
        drop(first);
    }

    async fn begun(&self, subscription: &str) {
        eventually(PATIENCE, || async {
            let begun = "select exists (select from subscription_partitions where subscription = $1)";
            sqlx::query_scalar::<_, bool>(begun).bind(subscription).fetch_one(self.pool()).await.unwrap()
        })
        .await;
    }

    async fn refund(&self, order_id: &str) {
        let refund_id = RefundId::parse("f-1").unwrap();
        let asked = RefundRequested { refund_id: refund_id.clone(), amount_minor: 595, reason: Some("broken".into()) };
        let made = PaymentRefunded { payment_number: None, refund_id, amount_minor: 595, reference: "r".into() };
        let version = self.store.load::<Order>(order_id).await.unwrap().version;
        let events = vec![OrderEvent::RefundRequested(asked), OrderEvent::PaymentRefunded(made)];
        self.append(order_id, version, events).await;
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// A process that issues documents.
    async fn copy(&self) -> Copy {
        self.copy_of(|store| {
            documents::issue_documents(store, seller(), DocumentMetrics::default(), CancellationToken::new())
        })
        .await
    }

    /// A process with a store and connections of its own.
    async fn copy_of<F: Future<Output = ()> + Send + 'static>(&self, follow: impl FnOnce(EventStore) -> F) -> Copy {
        let mut settings = StoreSettings::default();
        settings.subscriptions.lease = Duration::from_secs(1);
        let pool = PgPoolOptions::new().max_connections(8).connect(self.database.url()).await.unwrap();
        let store = EventStore::start(pool.clone(), settings);
        let running = tokio::spawn(follow(store));
        Copy { pool, _running: AbortOnDropHandle::new(running) }
    }

    async fn append(&self, order_id: &str, expected_version: i64, events: Vec<OrderEvent>) {
        let events = events.iter().map(|event| NewEvent::new(event, &Metadata::default()).unwrap()).collect();
        let (stream_type, stream_id) = (Order::TYPE, order_id.to_owned());
        self.store.append(vec![StreamAppend { stream_type, stream_id, expected_version, events }]).await.unwrap();
    }

    /// An order over two units of which one was sent.
    async fn order(&self, order_id: &str) {
        let events = vec![
            OrderEvent::OrderCreated(content(order_id)),
            OrderEvent::StockReserved(StockReserved {
                units: vec![],
                expires_at: chrono::DateTime::UNIX_EPOCH,
                backorders: vec![],
            }),
            OrderEvent::PaymentAuthorized(PaymentAuthorized {
                payment_number: None,
                reference: "pay".into(),
                amount_minor: 2_380,
            }),
            OrderEvent::OrderConfirmed(OrderConfirmed::default()),
        ];
        self.append(order_id, 0, events.into_iter().chain(sent("s-1")).collect()).await;
    }

    /// Appends to an order whatever its version is, as people do who write to it at the same time.
    async fn note(&self, order_id: &str, nth: usize) {
        let note_id = NoteId::parse(format!("n-{nth}")).unwrap();
        let note = NoteAdded { note_id, text: "a note".into(), author: None };
        let noted = |_: &Order| Ok::<_, ()>(vec![OrderEvent::NoteAdded(note.clone())]);
        let known = self.store.load::<Order>(order_id).await.unwrap();
        // Whoever meets too many conflicts goes without a note.
        let _ = self.store.execute(order_id, known, &Metadata::default(), noted).await;
    }

    async fn count(&self, event_type: &str) -> usize {
        let count = "select count(*) from events where event_type = $1 and aggregate_type = 'order'";
        let count: i64 = sqlx::query_scalar(count).bind(event_type).fetch_one(self.pool()).await.unwrap();
        usize::try_from(count).unwrap()
    }

    /// Checks every series and every order against each other, and returns how many documents there are.
    async fn documents_that_agree(&self) -> usize {
        let streams = "select distinct aggregate_id from events where aggregate_type = $1";
        let series: Vec<String> =
            sqlx::query_scalar(streams).bind(DocumentSeries::TYPE).fetch_all(self.pool()).await.unwrap();
        let mut numbered = BTreeMap::new();
        for name in series {
            let events = self.store.read_stream::<DocumentSeries>(&name).await.unwrap();
            for (sequence, event) in (1..).zip(&events) {
                let DocumentEvent::DocumentIssued(document) = event.decode::<DocumentSeries>().unwrap();
                assert_eq!((event.version, document.sequence, &document.series), (sequence, sequence, &name));
                let known = numbered.insert(document.number.clone(), (document.document_id, document.total_minor));
                assert_eq!(known, None, "{} is there twice", document.number);
            }
        }
        let (mut of_orders, mut ids) = (0, std::collections::BTreeSet::new());
        let orders: Vec<String> = sqlx::query_scalar(streams).bind(Order::TYPE).fetch_all(self.pool()).await.unwrap();
        for order_id in orders {
            let Order::Placed(order) = self.store.load::<Order>(&order_id).await.unwrap().state else { panic!() };
            for document in &order.documents {
                assert_eq!(numbered.get(&document.number), Some(&(document.id.clone(), document.total_minor)));
                assert!(ids.insert(document.id.as_str().to_owned()), "{} is issued twice", document.number);
                of_orders += 1;
            }
        }
        assert_eq!(of_orders, numbered.len());
        of_orders
    }
}

/// An order over two units.
fn content(order_id: &str) -> OrderCreated {
    let posted = serde_json::json!({
        "orderId": order_id, "customerId": "c", "currency": "EUR", "totalAmount": "23.80",
        "items": [{ "sku": "mug", "title": "A mug", "quantity": 2, "unitPrice": "11.90",
                    "taxes": [{ "name": "VAT", "rate": "0.19", "amount": "3.80", "included": true }] }],
    });
    PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content
}

/// One unit is sent and paid for.
fn sent(shipment_id: &str) -> [OrderEvent; 2] {
    let shipment_id = ShipmentId::parse(shipment_id).unwrap();
    [
        OrderEvent::OrderShipped(OrderShipped {
            shipment_id: shipment_id.clone(),
            lines: vec![LineQuantity { line_number: 1, quantity: 1 }],
            parcels: vec![],
            location: None,
        }),
        OrderEvent::PaymentCaptured(PaymentCaptured {
            payment_number: None,
            shipment_id,
            amount_minor: 1_190,
            reference: "cap".into(),
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_invoices_by_several_copies_that_crash_are_each_issued_once_without_a_gap() {
    const INVOICES: usize = 300;
    let fixture = Fixture::new().await;
    let post = async {
        for nth in 0..INVOICES {
            fixture.order(&format!("o-{nth}")).await;
            // Somebody else writes to some of them meanwhile.
            if nth % 3 == 0 {
                fixture.note(&format!("o-{}", nth / 2), nth).await;
            }
        }
    };
    let issue = async {
        let mut copies = [fixture.copy().await, fixture.copy().await, fixture.copy().await];
        let mut crashes = 0;
        while fixture.count("InvoiceIssued").await < INVOICES {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if crashes < 12 {
                let (at, fresh) = (crashes % 3, fixture.copy().await);
                drop(std::mem::replace(&mut copies[at], fresh));
                crashes += 1;
            }
        }
    };
    let both = async { tokio::join!(post, issue) };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(fixture.documents_that_agree().await, INVOICES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_has_a_credit_note_and_what_is_issued_is_not_issued_again() {
    let fixture = Fixture::new().await;
    fixture.order("o-1").await;
    let copy = fixture.copy().await;
    eventually(PATIENCE, || async { fixture.count("InvoiceIssued").await == 1 }).await;
    fixture.refund("o-1").await;
    eventually(PATIENCE, || async { fixture.count("CreditNoteIssued").await == 1 }).await;

    // When all of it is handled again
    drop(copy);
    let again = "update subscription_partitions set position = 0 where subscription = 'documents'";
    sqlx::query(again).execute(fixture.pool()).await.unwrap();
    fixture.order("o-2").await;
    let _copy = fixture.copy().await;
    eventually(PATIENCE, || async { fixture.count("InvoiceIssued").await == 2 }).await;

    // Then
    assert_eq!(fixture.documents_that_agree().await, 3);
    let Order::Placed(order) = fixture.store.load::<Order>("o-1").await.unwrap().state else { panic!() };
    let note = &order.documents[1];
    let events = fixture.store.read_stream::<DocumentSeries>(&note.series).await.unwrap();
    let DocumentEvent::DocumentIssued(note) = events[0].decode::<DocumentSeries>().unwrap();
    assert_eq!((note.total_minor, note.tax_minor, note.reason.as_deref()), (595, 95, Some("broken")));
    assert_eq!(note.invoices, [order.documents[0].number.clone()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_of_what_was_sent_before_there_was_a_seller_calls_for_no_document() {
    let fixture = Fixture::without_seller().await;
    fixture.order("old").await;
    fixture.begin().await;
    fixture.refund("old").await;
    fixture.order("new").await;

    let _copy = fixture.copy().await;
    eventually(PATIENCE, || async { fixture.count("InvoiceIssued").await == 1 }).await;
    let passed = "select min(position) >= (select max(global_position) from events where aggregate_id = 'old')
                    from subscription_partitions where subscription = 'documents'";
    eventually(PATIENCE, || async { sqlx::query_scalar::<_, bool>(passed).fetch_one(fixture.pool()).await.unwrap() })
        .await;

    assert_eq!(fixture.documents_that_agree().await, 1);
    let Order::Placed(order) = fixture.store.load::<Order>("old").await.unwrap().state else { panic!() };
    assert!(order.documents.is_empty(), "{:?}", order.documents);
}
