//! Locks on hot streams: no conflicts among those that lock, and none that is overlooked.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::ids::{LocationId, OrderId, Sku};
use domain::order::parse::PostedOrder;
use domain::order::{NeededUnits, Order, OrderEvent, choose_locations};
use domain::stock::{self, ReservationMade, Stock, StockCommand, StockError, StockEvent, StockReceived, TrackedStock};
use event_store::{
    AppendError, AppendPosition, AppendQueueSettings, EventStore, IdempotencyKey, LockedStreams, Metadata, NewEvent,
    StreamAppend, StreamLocks, Versioned,
};

const SKU: &str = "sku-1";
/// For what comes about in its own time; a frozen copy is waited for 2 s.
const PATIENCE: Duration = Duration::from_secs(20);

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn receive(quantity: u32) -> StockCommand {
    StockCommand::Receive(StockReceived { unit: None, quantity, location: LocationId::default() })
}

fn reserve(order_id: &str) -> StockCommand {
    let expires_at: DateTime<Utc> = DateTime::from_timestamp(1_893_456_000, 0).unwrap();
    let (order_id, location) = (OrderId::parse(order_id).unwrap(), LocationId::default());
    StockCommand::Reserve(ReservationMade { unit: None, order_id, quantity: 1, expires_at, location })
}

/// What a command comes to on a stream.
fn decided(id: &str, stream: &Versioned<Stock>, command: StockCommand) -> Result<StreamAppend, StockError> {
    Ok(at(id, stream.version, &stock::decide(&stream.state, command)?))
}

fn at(id: &str, expected_version: i64, events: &[StockEvent]) -> StreamAppend {
    let events = events.iter().map(|event| NewEvent::new(event, &Metadata::default()).unwrap()).collect();
    StreamAppend { stream_type: Stock::TYPE, stream_id: id.to_owned(), expected_version, events }
}

fn order(id: &str, expected_version: i64) -> StreamAppend {
    let content = PostedOrder::parse(include_bytes!("../../domain/golden/posted/demo-order.json")).unwrap().content;
    let event = NewEvent::new(&OrderEvent::OrderCreated(content), &Metadata::default()).unwrap();
    StreamAppend { stream_type: Order::TYPE, stream_id: id.to_owned(), expected_version, events: vec![event] }
}

/// A copy: a store with a pool of its own.
async fn copy(database: &testkit::Database) -> EventStore {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(5).connect(database.url()).await.unwrap();
    EventStore::start(pool, AppendQueueSettings::default())
}

async fn append(
    locked: LockedStreams<'_, Stock>,
    id: &str,
    command: StockCommand,
) -> Result<AppendPosition, AppendError> {
    let append = decided(id, locked.stream(id), command).unwrap();
    locked.append(vec![append]).await
}

/// A stream as it is cached, which must be as it is stored.
async fn cached(stream_locks: &StreamLocks<Stock>, store: &EventStore, id: &str) -> Versioned<Stock> {
    let locked = stream_locks.lock(ids(&[id])).await.unwrap();
    let (cached, stored) = (locked.stream(id).clone(), store.load::<Stock>(id).await.unwrap());
    assert_eq!(cached.state, stored.state);
    let place = |stream: &Versioned<Stock>| (stream.version, stream.first_position, stream.last_position);
    assert_eq!(place(&cached), place(&stored));
    cached
}

fn reservations(stock: &TrackedStock) -> usize {
    stock.locations.values().map(|here| here.reservations.size()).sum()
}

fn tracked(stream: Versioned<Stock>) -> TrackedStock {
    match stream.state {
        Stock::Tracked(tracked) => tracked,
        Stock::Untracked => panic!("not tracked"),
    }
}

async fn locks(database: &testkit::Database) -> i64 {
    let held = "select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 2
                 and database = (select oid from pg_database where datname = current_database())";
    sqlx::query_scalar(held).fetch_one(database.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_hundreds_who_want_the_last_units_each_is_counted_once_and_nobody_meets_a_conflict() {
    let database = testkit::database().await;
    let stores = [copy(&database).await, copy(&database).await];
    let locks_of = stores.clone().map(|store| StreamLocks::<Stock>::new(store, 10));
    append(locks_of[0].lock(ids(&[SKU])).await.unwrap(), SKU, receive(200)).await.unwrap();

    let buyers = (0..300).map(|n| {
        let stream_locks = locks_of[n % 2].clone();
        tokio::spawn(async move {
            let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
            match decided(SKU, locked.stream(SKU), reserve(&format!("order-{n}"))) {
                Ok(append) => locked.append(vec![append]).await.map(|_| true),
                Err(StockError::NotEnough { available }) if available.is_zero() => Ok(false),
                Err(refusal) => panic!("{refusal}"),
            }
        })
    });
    let mut bought = 0;
    for buyer in buyers.collect::<Vec<_>>() {
        bought += usize::from(buyer.await.unwrap().unwrap());
    }

    assert_eq!(bought, 200);
    for (stream_locks, store) in locks_of.iter().zip(&stores) {
        let stock = tracked(cached(stream_locks, store, SKU).await);
        assert_eq!((stock.on_hand, stock.reserved, reservations(&stock)), (200, 200, 200));
    }
}

#[tokio::test]
async fn of_hundreds_who_want_the_last_units_at_three_locations_each_unit_is_allocated_once() {
    const UNITS: [(&str, u32); 3] = [("berlin", 90), ("hamburg", 61), ("ulm", 49)];
    let database = testkit::database().await;
    let stores = [copy(&database).await, copy(&database).await];
    let locks_of = stores.clone().map(|store| StreamLocks::<Stock>::new(store, 10));
    for (location, quantity) in UNITS {
        let location = LocationId::parse(location).unwrap();
        let received = StockCommand::Receive(StockReceived { unit: None, quantity, location });
        append(locks_of[0].lock(ids(&[SKU])).await.unwrap(), SKU, received).await.unwrap();
    }

    let buyers = (0..150).map(|n| {
        let stream_locks = locks_of[n % 2].clone();
        tokio::spawn(async move {
            let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
            let stream = locked.stream(SKU);
            let Stock::Tracked(stock) = &stream.state else { panic!("not tracked") };
            let sku = Sku::parse(SKU).unwrap();
            let needed = [NeededUnits { sku: &sku, quantity: 2, stock }];
            let Ok(units) = choose_locations(&needed, &[]) else { return 0 };
            let events: Vec<StockEvent> = units
                .iter()
                .flat_map(|units| {
                    let order_id = OrderId::parse(format!("order-{n}")).unwrap();
                    let (quantity, location) = (units.quantity, units.location.clone());
                    let expires_at = DateTime::UNIX_EPOCH;
                    let made = ReservationMade { unit: None, order_id, quantity, location, expires_at };
                    stock::decide(&stream.state, StockCommand::Reserve(made)).unwrap()
                })
                .collect();
            let reserved = at(SKU, stream.version, &events);
            locked.append(vec![reserved]).await.unwrap();
            units.iter().map(|units| units.quantity).sum()
        })
    });
    let mut bought = 0;
    for buyer in buyers.collect::<Vec<_>>() {
        bought += buyer.await.unwrap();
    }

    assert_eq!(bought, 200);
    for (stream_locks, store) in locks_of.iter().zip(&stores) {
        let stock = tracked(cached(stream_locks, store, SKU).await);
        for (location, quantity) in UNITS {
            let here = stock.locations.get(&LocationId::parse(location).unwrap()).unwrap();
            let listed: u32 = here.reservations.values().map(|it| it.quantity).sum();
            assert_eq!(
                (here.on_hand, here.reserved, listed),
                (quantity.into(), quantity.into(), quantity),
                "{location}"
            );
        }
    }
}

#[tokio::test]
async fn an_append_without_a_lock_makes_a_conflict_that_the_next_lock_has_seen() {
    let database = testkit::database().await;
    let store = copy(&database).await;
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 10);
    append(stream_locks.lock(ids(&[SKU])).await.unwrap(), SKU, receive(1)).await.unwrap();

    let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
    let outside = decided(SKU, locked.stream(SKU), reserve("a")).unwrap();
    store.append(vec![outside]).await.unwrap();
    assert!(matches!(append(locked, SKU, reserve("b")).await, Err(AppendError::Conflict)));

    let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
    let refused = decided(SKU, locked.stream(SKU), reserve("b")).unwrap_err();
    assert_eq!(refused, StockError::NotEnough { available: domain::quantity::Quantity::of(0, None) });
    drop(locked);
    assert_eq!(cached(&stream_locks, &store, SKU).await.version, 2);
}

#[tokio::test]
async fn what_was_not_stored_is_not_cached() {
    let database = testkit::database().await;
    let store = copy(&database).await;
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 10);
    append(stream_locks.lock(ids(&[SKU])).await.unwrap(), SKU, receive(1)).await.unwrap();
    store.append(vec![order("taken", 0)]).await.unwrap();

    let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
    let reservation = decided(SKU, locked.stream(SKU), reserve("taken")).unwrap();
    assert!(matches!(locked.append(vec![reservation, order("taken", 0)]).await, Err(AppendError::Conflict)));
    assert_eq!(cached(&stream_locks, &store, SKU).await.version, 1);
}

/// As a failover or a restore does to the last commits: they never were.
async fn lose(database: &testkit::Database, version: i64) {
    let mut transaction = database.pool().begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
    let lost = "delete from events where aggregate_id = $1 and sequence > $2";
    sqlx::query(lost).bind(SKU).bind(version).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn what_the_database_lost_is_not_cached() {
    let database = testkit::database().await;
    let (store, elsewhere) = (copy(&database).await, copy(&database).await);
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 10);
    for quantity in [1, 2, 4] {
        append(stream_locks.lock(ids(&[SKU])).await.unwrap(), SKU, receive(quantity)).await.unwrap();
    }

    // Between two locks.
    lose(&database, 2).await;
    assert_eq!(tracked(cached(&stream_locks, &store, SKU).await).on_hand, 3);
    append(stream_locks.lock(ids(&[SKU])).await.unwrap(), SKU, receive(8)).await.unwrap();

    // Somebody else has written another event in its place.
    lose(&database, 2).await;
    let other = at(
        SKU,
        2,
        &[StockEvent::StockReceived(StockReceived { unit: None, quantity: 16, location: LocationId::default() })],
    );
    elsewhere.append(vec![other]).await.unwrap();
    assert_eq!(tracked(cached(&stream_locks, &store, SKU).await).on_hand, 19);

    // While it is locked.
    let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
    lose(&database, 1).await;
    assert!(matches!(append(locked, SKU, receive(32)).await, Err(AppendError::Conflict)));
    append(stream_locks.lock(ids(&[SKU])).await.unwrap(), SKU, receive(32)).await.unwrap();
    assert_eq!(tracked(cached(&stream_locks, &store, SKU).await).on_hand, 33);

    // All of it.
    lose(&database, 0).await;
    assert_eq!(stream_locks.lock(ids(&[SKU])).await.unwrap().stream(SKU).version, 0);
    append(stream_locks.lock(ids(&[SKU])).await.unwrap(), SKU, receive(64)).await.unwrap();
    assert_eq!(tracked(cached(&stream_locks, &store, SKU).await).on_hand, 64);
}

#[tokio::test]
async fn one_append_holds_several_skus_and_the_orders_beside_them() {
    let database = testkit::database().await;
    let store = copy(&database).await;
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 10);
    append(stream_locks.lock(ids(&["a"])).await.unwrap(), "a", receive(5)).await.unwrap();

    let locked = stream_locks.lock(ids(&["a", "b", "nobody-registered"])).await.unwrap();
    assert_eq!((locked.stream("nobody-registered").version, locked.stream("b").version), (0, 0));
    let [StockEvent::StockReceived(first), second] =
        [stock::decide(&Stock::Untracked, receive(2)).unwrap(), stock::decide(&Stock::Untracked, receive(3)).unwrap()]
            .map(|events| events[0].clone())
    else {
        panic!("not received")
    };
    let begun = at("b", 0, &[StockEvent::StockReceived(first), second]);
    let reserved = decided("a", locked.stream("a"), reserve("order-1")).unwrap();
    locked.append(vec![reserved, order("order-1", 0), begun, order("order-2", 0)]).await.unwrap();

    assert_eq!(tracked(cached(&stream_locks, &store, "a").await).reserved, 1);
    assert_eq!(tracked(cached(&stream_locks, &store, "b").await).on_hand, 5);
    assert_eq!(store.load::<Order>("order-2").await.unwrap().version, 1);
}

#[tokio::test]
async fn a_stream_without_events_is_not_locked() {
    let database = testkit::database().await;
    let stream_locks = StreamLocks::<Stock>::new(copy(&database).await, 10);
    let (one, other) = (stream_locks.lock(ids(&[SKU])).await.unwrap(), stream_locks.lock(ids(&[SKU])).await.unwrap());
    assert_eq!(locks(&database).await, 0);
    append(one, SKU, receive(1)).await.unwrap();
    assert!(matches!(append(other, SKU, receive(1)).await, Err(AppendError::Conflict)));

    let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
    assert_eq!((locked.stream(SKU).version, locks(&database).await), (1, 1));
    drop(locked);
    testkit::eventually(PATIENCE, || async { locks(&database).await == 0 }).await;
}

#[tokio::test]
async fn a_process_that_freezes_while_it_holds_a_lock_holds_nobody_up_for_ever() {
    let database = testkit::database().await;
    let (frozen, other) = (copy(&database).await, copy(&database).await);
    let frozen = StreamLocks::<Stock>::new(frozen, 10);
    let other = StreamLocks::<Stock>::new(other, 10);
    append(frozen.lock(ids(&[SKU])).await.unwrap(), SKU, receive(2)).await.unwrap();

    let locked = frozen.lock(ids(&[SKU])).await.unwrap();
    let others = tokio::time::timeout(PATIENCE, other.lock(ids(&[SKU]))).await.unwrap().unwrap();
    append(others, SKU, reserve("a")).await.unwrap();
    // It wakes up and does not know that it has lost the lock.
    assert!(matches!(append(locked, SKU, reserve("b")).await, Err(AppendError::Conflict)));
    append(frozen.lock(ids(&[SKU])).await.unwrap(), SKU, reserve("b")).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_can_not_be_had_is_done_without() {
    let database = testkit::database().await;
    let store = copy(&database).await;
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 10);
    append(stream_locks.lock(ids(&[SKU])).await.unwrap(), SKU, receive(2)).await.unwrap();
    // Somebody holds every lock there is, in a session that does not end.
    let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
    let [namespace, partition]: [i64; 2] = sqlx::query_as::<_, (i64, i64)>(
        "select classid::bigint, objid::bigint from pg_locks where locktype = 'advisory' and objsubid = 2
            and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_one(database.pool())
    .await
    .unwrap()
    .into();
    drop(locked);
    let mut holder = database.pool().acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock($1::int, $2::int)")
        .bind(i32::try_from(namespace).unwrap())
        .bind(i32::try_from(partition).unwrap())
        .execute(&mut *holder)
        .await
        .unwrap();

    let locked = tokio::time::timeout(PATIENCE, stream_locks.lock(ids(&[SKU]))).await.unwrap().unwrap();
    append(locked, SKU, reserve("a")).await.unwrap();
    assert_eq!(store.load::<Stock>(SKU).await.unwrap().version, 2);
}

#[tokio::test]
async fn only_so_many_streams_are_cached_and_the_others_read_again() {
    let database = testkit::database().await;
    let store = copy(&database).await;
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 2);
    for id in ["a", "b", "c", "a"] {
        append(stream_locks.lock(ids(&[id])).await.unwrap(), id, receive(1)).await.unwrap();
        assert!(stream_locks.cached() <= 2);
    }
    // More than can be cached, in one lock.
    let locked = stream_locks.lock(ids(&["a", "b", "c", "d"])).await.unwrap();
    assert_eq!(["a", "b", "c", "d"].map(|id| locked.stream(id).version), [2, 1, 1, 0]);
    drop(locked);
    assert_eq!(tracked(cached(&stream_locks, &store, "a").await).on_hand, 2);
    assert_eq!(stream_locks.cached(), 2);
}

#[tokio::test]
async fn a_long_stream_is_folded_whole() {
    let database = testkit::database().await;
    let store = copy(&database).await;
    let received =
        StockEvent::StockReceived(StockReceived { unit: None, quantity: 1, location: LocationId::default() });
    for begun in [0, 1_500] {
        store.append(vec![at(SKU, begun, &vec![received.clone(); 1_500])]).await.unwrap();
    }
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 10);
    assert_eq!(tracked(cached(&stream_locks, &store, SKU).await).on_hand, 3_000);
}

#[tokio::test]
async fn a_command_under_a_key_is_appended_once() {
    let database = testkit::database().await;
    let store = copy(&database).await;
    let stream_locks = StreamLocks::<Stock>::new(store.clone(), 10);
    let request = IdempotencyKey { scope: "shop POST /stock".to_owned(), key: "k".to_owned(), request_hash: [7; 32] };
    assert_eq!(store.find_idempotency_record(&request).await.unwrap(), None);
    let once = async || {
        let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
        let append = decided(SKU, locked.stream(SKU), receive(5)).unwrap();
        store.append_once(locked.into_append(vec![append]), request.clone()).await
    };
    let first = once().await.unwrap();
    let Err(AppendError::Replayed(outcome)) = once().await else { panic!("carried out twice") };
    assert_eq!((outcome.stream_id.as_str(), outcome.version, outcome.position), (SKU, 1, first.position));
    assert_eq!(store.find_idempotency_record(&request).await.unwrap(), Some(outcome));
    assert_eq!(tracked(cached(&stream_locks, &store, SKU).await).on_hand, 5);
}
