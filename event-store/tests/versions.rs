//! Events in versions other than today's: earlier ones are read as what they mean, later ones are not read.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::error::Error;

use cqrs_es::EventStore as _;
use cqrs_es::persist::PersistedEventStore;
use domain::order::event::Parcel;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent, decide};
use event_store::{AppendQueueSettings, EventStore, Metadata, Versioned};
use event_versions::upcasters;
use postgres_es::PostgresEventRepository;
use sqlx::PgPool;
use testkit::Database;

const FIRST: &str = include_str!("../../domain/golden/events/OrderShipped-1.0.json");
const SECOND: &str = include_str!("../../domain/golden/events/OrderShipped-2.0.json");
const THIRD: &str = include_str!("../../domain/golden/events/OrderShipped-3.0.json");

/// Order `a`, and then a shipment of it in this version.
async fn given(version: &str, payload: &str) -> (Database, EventStore) {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let content = PostedOrder::parse(testkit::demo_order("a").to_string().as_bytes()).unwrap().content;
    let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
    store.execute("a", Versioned::default(), &Metadata::default(), create).await.unwrap();
    ship(database.pool(), version, payload).await;
    (database, store)
}

async fn ship(pool: &PgPool, version: &str, payload: &str) {
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('order', 'a', 2, 'OrderShipped', $1, $2::json, '{}')",
    )
    .bind(version)
    .bind(payload)
    .execute(pool)
    .await
    .unwrap();
}

fn parcels(event: OrderEvent) -> Vec<Parcel> {
    let OrderEvent::OrderShipped(shipped) = event else { panic!("no shipment: {event:?}") };
    shipped.parcels
}

#[tokio::test]
async fn an_event_of_an_earlier_version_is_read_as_what_it_means_today_and_kept_as_it_is() {
    let (_database, store) = given("1.0", FIRST).await;

    let Order::Placed(order) = store.load::<Order>("a").await.unwrap().state else { panic!("no order") };
    let stored = store.read_stream::<Order>("a").await.unwrap().remove(1);

    let dhl = Parcel { carrier: Some("DHL".into()), tracking: Some("JD0146".into()) };
    assert_eq!(parcels(stored.decode::<Order>().unwrap()), [dhl]);
    assert_eq!(order.shipments[0].parcels, parcels(stored.decode::<Order>().unwrap()));
    assert_eq!((stored.event_version.as_str(), stored.payload.get()), ("1.0", FIRST.trim_end()));
    store.close().await;
}

#[tokio::test]
async fn a_stock_cqrs_es_reads_every_version_through_the_same_list() {
    for (version, payload) in [("1.0", FIRST), ("2.0", SECOND), ("3.0", THIRD)] {
        let (database, store) = given(version, payload).await;
        let ours = store.read_stream::<Order>("a").await.unwrap().remove(1).decode::<Order>().unwrap();

        let repository = PostgresEventRepository::new(database.pool().clone());
        let stock = PersistedEventStore::<_, Order>::new_event_store(repository).with_upcasters(upcasters::<Order>());
        let beside = PersistedEventStore::<_, Order>::new_event_store(store.clone());
        let beside = beside.with_upcasters(upcasters::<Order>());

        assert_eq!(stock.load_events("a").await.unwrap().remove(1).payload, ours, "{version}");
        assert_eq!(beside.load_events("a").await.unwrap().remove(1).payload, ours, "{version}");
        store.close().await;
    }
}

#[tokio::test]
async fn an_event_of_a_later_version_is_not_read_though_its_shape_may_fit() {
    let (_database, store) = given("3.1", THIRD).await;

    let error = store.load::<Order>("a").await.unwrap_err();

    assert_eq!(error.to_string(), "event OrderShipped 3.1 at position 2 of stream a can't be read");
    let cause = error.source().unwrap().to_string();
    assert_eq!(cause, "its version is newer than 3.0, the newest that this build knows of it");
    store.close().await;
}
