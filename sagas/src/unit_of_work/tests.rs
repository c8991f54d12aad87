use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use domain::ids::{LocationId, NoteId, Sku};
use domain::order::event::{CancellationRequested, NoteAdded, SkuQuantity, StockReleased, StockReserved};
use domain::order::parse::PostedOrder;
use domain::order::{OrderCommand, OrderEvent};
use domain::stock::{self, StockCommand, StockReceived};
use event_store::{AppendQueueSettings, Metadata, NewEvent, StreamAppend};
use testkit::Database;

use super::*;

/// A database, and what orders have set aside in it.
struct World {
    _database: Database,
    store: EventStore,
    stock: StreamLocks<Stock>,
}

impl World {
    /// So many units of each SKU.
    async fn with(units: [(&str, u32); 2]) -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let stock = StreamLocks::new(store.clone(), 100);
        for (sku, quantity) in units {
            let receive = |stock: &Stock| {
                stock::decide(
                    stock,
                    StockCommand::Receive(StockReceived { unit: None, quantity, location: LocationId::default() }),
                )
            };
            let stream = store.load::<Stock>(sku).await.unwrap();
            store.execute(sku, stream, &Metadata::default(), receive).await.unwrap();
        }
        Self { _database: database, store, stock }
    }

    /// An order that was just posted.
    async fn order(&self, order_id: &str) -> OrderSession {
        let item = |sku| serde_json::json!({ "sku": sku, "title": sku, "quantity": 1, "unitPrice": "1.00" });
        let posted = serde_json::json!({
            "orderId": order_id, "customerId": "c", "currency": "USD", "totalAmount": 2,
            "items": [item("a"), item("b")],
        });
        let content = PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content;
        let created = NewEvent::new(&OrderEvent::OrderCreated(content), &Metadata::default()).unwrap();
        let stream_type = <Order as cqrs_es::Aggregate>::TYPE;
        let (stream_id, events) = (order_id.to_owned(), vec![created]);
        let append = StreamAppend { stream_type, stream_id, expected_version: 0, events };
        self.store.append(vec![append]).await.unwrap();
        OrderSession::read(&self.store, order_id).await.unwrap().unwrap()
    }

    /// Sets units aside for the orders without a look at what there is.
    async fn reserve(&self, orders: Vec<OrderSession>, units: &[(&str, u32)]) -> BTreeMap<String, Result<(), String>> {
        let decide = |order: &mut OrderSession, _: &StockLedger<'_>| Ok(order.decide_once(reserved(units))?);
        by_order(decide_with_stock(&self.store, &self.stock, orders, decide).await)
    }

    /// How many units of each SKU are set aside.
    async fn set_aside(&self) -> [i64; 2] {
        let mut reserved = [0; 2];
        for (sku, reserved) in ["a", "b"].into_iter().zip(&mut reserved) {
            let Stock::Tracked(stock) = self.store.load::<Stock>(sku).await.unwrap().state else { panic!("no {sku}") };
            *reserved = stock.reserved;
        }
        reserved
    }
}

fn reserved(units: &[(&str, u32)]) -> OrderCommand {
    let units = units.iter().map(|(sku, quantity)| SkuQuantity {
        sku: Sku::parse(*sku).unwrap(),
        quantity: *quantity,
        location: LocationId::default(),
    });
    let expires_at = Utc::now() + TimeDelta::hours(1);
    OrderCommand::RecordStockReserved(StockReserved { units: units.collect(), expires_at, backorders: vec![] })
}

fn by_order(stored: Vec<OrderStoreResult>) -> BTreeMap<String, Result<(), String>> {
    stored.into_iter().map(|(order, stored)| (order.order_id, stored.map_err(|error| error.to_string()))).collect()
}

#[tokio::test]
async fn an_order_that_is_short_of_its_second_sku_keeps_nothing_of_its_first() {
    let world = World::with([("a", 10), ("b", 1)]).await;
    let (first, second) = (world.order("first").await, world.order("second").await);
    // One unit of `b` is there for the first that wants it.
    let stored = world.reserve(vec![first, second], &[("a", 1), ("b", 1)]).await;

    assert_eq!(stored["first"], Ok(()));
    assert!(stored["second"].is_err());
    assert_eq!(world.set_aside().await, [1, 1]);

    let third = world.order("third").await;
    assert!(world.reserve(vec![third], &[("a", 1), ("b", 1)]).await["third"].is_err());
    assert_eq!(world.set_aside().await, [1, 1]);
}

#[tokio::test]
async fn what_was_decided_before_an_unknown_outcome_keeps_no_units_of_an_order_that_was_called_off() {
    let world = World::with([("a", 10), ("b", 1)]).await;
    let mut without_answer = world.order("o").await;
    without_answer.decide_once(reserved(&[("a", 1), ("b", 1)])).unwrap();

    // It was stored all the same; the order was called off, and another has the last unit of `b`.
    let order = OrderSession::read(&world.store, "o").await.unwrap().unwrap();
    assert_eq!(world.reserve(vec![order], &[("a", 1), ("b", 1)]).await["o"], Ok(()));
    let mut order = OrderSession::read(&world.store, "o").await.unwrap().unwrap();
    order.decide(OrderCommand::CancelOrder(CancellationRequested { reason: None })).unwrap();
    order.decide(OrderCommand::RecordStockReleased(StockReleased { expired: false })).unwrap();
    assert_eq!(by_order(store(&world.store, &world.stock, vec![order]).await)["o"], Ok(()));
    let other = world.order("other").await;
    assert_eq!(world.reserve(vec![other], &[("b", 1)]).await["other"], Ok(()));
    assert_eq!(world.set_aside().await, [0, 1]);

    store(&world.store, &world.stock, vec![without_answer]).await;
    assert_eq!(world.set_aside().await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_before_the_last_conflict_is_not_stored_later() {
    let world = World::with([("a", 10), ("b", 10)]).await;
    let orders = vec![world.order("o").await, world.order("p").await];
    let runtime = tokio::runtime::Handle::current();
    // Each time that the reservation is decided, somebody else changes the order first.
    let notes = std::sync::atomic::AtomicI64::new(0);
    let decide = |order: &mut OrderSession, _: &StockLedger<'_>| {
        let nth = notes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let append = note(&order.order_id, order.version, nth);
        tokio::task::block_in_place(|| runtime.block_on(world.store.append(vec![append]))).unwrap();
        Ok(order.decide_once(reserved(&[("a", 1), ("b", 1)]))?)
    };
    let stored = decide_with_stock(&world.store, &world.stock, orders, decide).await;

    assert_eq!(stored.len(), 2);
    for (order, stored) in stored {
        assert_eq!(stored.unwrap_err().to_string(), "others changed the order each time");
        assert!(order.unstored().is_empty(), "{:?}", order.unstored());
        assert_eq!(order.version, world.store.load::<Order>(&order.order_id).await.unwrap().version);
        assert_eq!(by_order(store(&world.store, &world.stock, vec![order]).await).into_values().next(), Some(Ok(())));
    }
    assert_eq!(world.set_aside().await, [0, 0]);
}

fn note(order_id: &str, expected_version: i64, nth: i64) -> StreamAppend {
    let note_id = NoteId::parse(format!("n-{nth}")).unwrap();
    let note = OrderEvent::NoteAdded(NoteAdded { note_id, text: "noted".into(), author: None });
    StreamAppend::of::<Order>(order_id, expected_version, &[note], &Metadata::default()).unwrap()
}
