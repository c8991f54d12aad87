//! A stock cqrs-es on postgres-es reads what this store wrote, and this store reads what that wrote.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cqrs_es::persist::{PersistedEventStore, QueryReplay};
use cqrs_es::{AggregateError, CqrsFramework, EventEnvelope, EventStore as _, Query};
use domain::order::event::CancellationRequested;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderStage, decide};
use event_store::{AppendQueueSettings, EventStore, Metadata, Versioned};
use migrations::MIGRATIONS;
use postgres_es::PostgresEventRepository;
use sqlx::Executor;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;

#[tokio::test]
async fn each_reads_what_the_other_wrote() {
    let database = testkit::database().await;
    let ours = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let stock = || {
        let repository = PostgresEventRepository::new(database.pool().clone());
        PersistedEventStore::<_, Order>::new_event_store(repository)
    };
    let content = PostedOrder::parse(testkit::demo_order("a").to_string().as_bytes()).unwrap().content;
    let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
    let metadata = Metadata { actor: Some("shop".into()), ..Metadata::default() };
    ours.execute("a", Versioned::default(), &metadata, create).await.unwrap();

    let read = stock().load_events("a").await.unwrap();
    assert_eq!((read.len(), read[0].sequence), (1, 1));
    assert_eq!(read[0].metadata["actor"], "shop");

    let framework = CqrsFramework::new(stock(), vec![], ());
    let theirs = HashMap::from([("actor".to_owned(), "stock".to_owned())]);
    framework.execute_with_metadata("a", cancel(), theirs).await.unwrap();
    framework.execute("b", OrderCommand::CreateOrder(content.clone())).await.unwrap();

    let a: Versioned<Order> = ours.load("a").await.unwrap();
    let Order::Placed(order) = a.state else { panic!("no order") };
    assert_eq!((a.version, order.stage()), (2, OrderStage::Undoing));
    let events = ours.read_stream::<Order>("a").await.unwrap();
    assert_eq!(events[1].metadata().actor.as_deref(), Some("stock"));
    let b: Versioned<Order> = ours.load("b").await.unwrap();
    assert!(b.first_position > a.last_position);
    ours.close().await;
}

/// What a query was told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(String, usize)>>>);

#[async_trait]
impl Query<Order> for Told {
    async fn dispatch(&self, aggregate_id: &str, events: &[EventEnvelope<Order>]) {
        let told = events.iter().map(|event| (aggregate_id.to_owned(), event.sequence));
        self.0.lock().unwrap().extend(told);
    }
}

fn cancel() -> OrderCommand {
    OrderCommand::CancelOrder(CancellationRequested { reason: None })
}

fn demo(id: &str) -> OrderCommand {
    OrderCommand::CreateOrder(PostedOrder::parse(testkit::demo_order(id).to_string().as_bytes()).unwrap().content)
}

#[tokio::test]
async fn our_store_serves_the_framework_beside_a_stock_one_and_each_sees_the_others_events() {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let told = Told::default();
    let on_ours = PersistedEventStore::<_, Order>::new_event_store(store.clone());
    let ours = CqrsFramework::new(on_ours, vec![Box::new(told.clone())], ());
    let on_stock = PostgresEventRepository::new(database.pool().clone());
    let stock = CqrsFramework::new(PersistedEventStore::<_, Order>::new_event_store(on_stock), vec![], ());

    ours.execute("a", demo("a")).await.unwrap();
    stock.execute("a", cancel()).await.unwrap();
    stock.execute("b", demo("b")).await.unwrap();
    ours.execute("b", cancel()).await.unwrap();

    assert_eq!(*told.0.lock().unwrap(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    for id in ["a", "b"] {
        let loaded: Versioned<Order> = store.load(id).await.unwrap();
        let Order::Placed(order) = loaded.state else { panic!("no order") };
        assert_eq!((loaded.version, order.stage()), (2, OrderStage::Undoing), "{id}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_stale_aggregate_conflicts_on_our_store_as_on_a_stock_one() {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let on_ours = || PersistedEventStore::<_, Order>::new_event_store(store.clone());
    let stale = on_ours().load_aggregate("a").await.unwrap();
    CqrsFramework::new(on_ours(), vec![], ()).execute("a", demo("a")).await.unwrap();

    let Ok(events) = decide(&Order::default(), demo("a")) else { panic!("refused") };
    let refused = on_ours().commit(events, stale, HashMap::new()).await;

    assert!(matches!(refused, Err(AggregateError::AggregateConflict)));
    assert_eq!(store.load::<Order>("a").await.unwrap().version, 1);
    store.close().await;
}

#[tokio::test]
async fn a_query_replay_on_our_store_sees_every_event_in_the_order_of_the_commits() {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let framework = CqrsFramework::new(PersistedEventStore::<_, Order>::new_event_store(store.clone()), vec![], ());
    let ids: Vec<String> = (0..250).map(|n| format!("order-{n}")).collect();
    for id in &ids {
        framework.execute(id, demo(id)).await.unwrap();
    }
    framework.execute("order-7", cancel()).await.unwrap();

    let (one, all) = (Told::default(), Told::default());
    QueryReplay::new(store.clone(), one.clone()).replay("order-7").await.unwrap();
    let mut replay_all = QueryReplay::new(store.clone(), all.clone());
    // Without a handler, an error would look like the end.
    replay_all.use_error_handler(Box::new(|error| panic!("{error}")));
    replay_all.replay_all().await.unwrap();

    assert_eq!(*one.0.lock().unwrap(), [("order-7".to_owned(), 1), ("order-7".to_owned(), 2)]);
    let mut expected: Vec<_> = ids.into_iter().map(|id| (id, 1)).collect();
    expected.push(("order-7".to_owned(), 2));
    assert_eq!(*all.0.lock().unwrap(), expected);
    store.close().await;
}

#[tokio::test]
async fn a_stock_writer_needs_no_more_than_to_read_and_insert_events() {
    let database = testkit::database().await;
    let role = "create role stock_writer; grant select, insert on events to stock_writer";
    database.pool().execute(role).await.unwrap();
    let narrow = PgPoolOptions::new()
        .after_connect(|connection, _| Box::pin(async { connection.execute("set role stock_writer").await.map(drop) }))
        .connect(database.url())
        .await
        .unwrap();
    let stock = PersistedEventStore::<_, Order>::new_event_store(PostgresEventRepository::new(narrow));
    let framework = CqrsFramework::new(stock, vec![], ());

    framework.execute("a", demo("a")).await.unwrap();
    framework.execute("a", cancel()).await.unwrap();

    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    assert_eq!(store.load::<Order>("a").await.unwrap().version, 2);
    store.close().await;
}

#[tokio::test]
async fn a_log_from_before_goes_on_where_it_was() {
    // Given
    let database = testkit::empty_database().await;
    let before = MIGRATIONS.iter().filter(|migration| migration.version < 16).cloned().collect();
    let before = Migrator { migrations: before, ..Migrator::DEFAULT };
    before.run(database.pool()).await.unwrap();
    let insert =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  values ('order', 'a', $1, 'E', '1.0', '{}', '{}') returning global_position";
    for version in [1, 2] {
        sqlx::query(insert).bind(version).execute(database.pool()).await.unwrap();
    }

    // When
    MIGRATIONS.run(database.pool()).await.unwrap();

    // Then
    let next: i64 = sqlx::query_scalar(insert).bind(3).fetch_one(database.pool()).await.unwrap();
    assert_eq!(next, 3);
}

#[tokio::test]
async fn read_models_get_a_column_and_no_reader_waits_behind_another_for_it() {
    // Given
    let database = testkit::empty_database().await;
    let pool = database.pool();
    let before = MIGRATIONS.iter().filter(|migration| migration.version < 39).cloned().collect();
    Migrator { migrations: before, ..Migrator::DEFAULT }.run(pool).await.unwrap();
    let tables = ["read_model_orders", "read_model_skus"];
    for table in tables {
        sqlx::query("select create_read_model($1)").bind(table).execute(pool).await.unwrap();
    }
    let mut long_read = pool.begin().await.unwrap();
    sqlx::query("select from read_model_skus").execute(&mut *long_read).await.unwrap();

    // When
    let migrating = tokio::spawn({
        let pool = pool.clone();
        async move { MIGRATIONS.run(&pool).await }
    });
    let waits = "select exists (select from pg_stat_activity
                                 where datname = current_database() and pid <> pg_backend_pid() and state = 'active'
                                   and (wait_event_type = 'Lock' or wait_event = 'PgSleep'))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(pool).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // Then
    for table in tables {
        let mut reader = pool.begin().await.unwrap();
        sqlx::query("set local lock_timeout = '20s'").execute(&mut *reader).await.unwrap();
        sqlx::query(&format!("select from {table}")).execute(&mut *reader).await.unwrap();
    }
    assert!(!migrating.is_finished());
    long_read.rollback().await.unwrap();
    migrating.await.unwrap().unwrap();
    for table in tables {
        sqlx::query(&format!("select words from {table}")).execute(pool).await.unwrap();
    }
}
