//! Appending: optimistic concurrency, conflicts that hurt nobody else, commands executed on a stream.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use cqrs_es::Aggregate;
use domain::order::event::{CancellationRequested, OrderCreated};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, decide};
use event_store::{
    AppendError, AppendSettings, EventStore, ExecuteError, Executed, Loaded, Metadata, NewEvent, StreamAppend,
};
use sqlx::{Connection, PgConnection};

/// Keeps all others from appending, for as long as the transaction takes.
const HELD: &str = "select events_lock(), set_config('idle_in_transaction_session_timeout', '0', true)";
/// For what comes about in its own time; a writer that froze is waited for 2 s.
const PATIENCE: Duration = Duration::from_secs(30);

fn content() -> OrderCreated {
    PostedOrder::parse(include_bytes!("../../domain/golden/posted/demo-order.json")).unwrap().content
}

fn created() -> NewEvent {
    NewEvent::new(&OrderEvent::OrderCreated(content()), &Metadata::default()).unwrap()
}

fn append(id: &str, expected_version: i64, events: Vec<NewEvent>) -> StreamAppend {
    StreamAppend { stream_type: Order::TYPE, stream_id: id.to_owned(), expected_version, events }
}

async fn store(database: &testkit::Database) -> EventStore {
    EventStore::start(database.pool().clone(), AppendSettings::default())
}

#[tokio::test]
async fn what_was_appended_is_what_is_loaded() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let metadata = Metadata { actor: Some("shop".into()), ..Metadata::default() };
    let event = NewEvent::new(&OrderEvent::OrderCreated(content()), &metadata).unwrap();

    let appended = store.append(vec![append("a", 0, vec![event])]).await.unwrap();

    assert_eq!(appended.version, 1);
    let loaded: Loaded<Order> = store.load("a").await.unwrap();
    assert_eq!((loaded.version, loaded.last_position), (1, appended.position));
    let Order::Placed(placed) = loaded.state else { panic!("no order") };
    assert_eq!(placed.content, content());
    let stored = store.read_stream::<Order>("a").await.unwrap();
    assert_eq!(stored[0].metadata(), metadata);
    assert_eq!(stored[0].event_id.get_version_num(), 7);
    store.close().await;
}

#[tokio::test]
async fn a_conflict_fails_its_own_command_only() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("taken", 0, vec![created()])]).await.unwrap();

    // All at once, so that they share batches; every second one collides, half of those with each other.
    let appends = (0..40).map(|n| {
        let id = match n % 4 {
            1 => "taken".to_owned(),
            3 => "fought-over".to_owned(),
            _ => format!("free-{n}"),
        };
        let store = store.clone();
        tokio::spawn(async move { (id.clone(), store.append(vec![append(&id, 0, vec![created(), created()])]).await) })
    });
    let mut stored = Vec::new();
    for answer in appends.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            (id, Ok(appended)) => stored.push((id, appended)),
            (id, Err(AppendError::Conflict)) => assert!(["taken", "fought-over"].contains(&id.as_str()), "{id}"),
            (id, Err(error)) => panic!("{id}: {error}"),
        }
    }

    assert_eq!(stored.iter().filter(|(id, _)| id.starts_with("free-")).count(), 20);
    assert_eq!(stored.iter().filter(|(id, _)| id == "fought-over").count(), 1);
    for (id, appended) in stored {
        let loaded: Loaded<Order> = store.load(&id).await.unwrap();
        assert_eq!((loaded.version, loaded.last_position), (appended.version, appended.position), "{id}");
    }
    assert_eq!(store.load::<Order>("taken").await.unwrap().version, 1);
    store.close().await;
}

#[tokio::test]
async fn an_append_over_several_streams_is_all_or_nothing() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("b", 0, vec![created()])]).await.unwrap();

    let both = vec![append("a", 0, vec![created()]), append("b", 0, vec![created()])];
    assert!(matches!(store.append(both).await, Err(AppendError::Conflict)));
    assert_eq!(store.load::<Order>("a").await.unwrap().version, 0);

    let both = vec![append("a", 0, vec![created()]), append("b", 1, vec![created()])];
    assert_eq!(store.append(both).await.unwrap().version, 2);
    assert_eq!(store.load::<Order>("a").await.unwrap().version, 1);
    store.close().await;
}

#[tokio::test]
async fn a_command_on_a_stream_that_moved_on_is_decided_again() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content()));
    let cancel = CancellationRequested { reason: None };
    let cancel = |order: &Order| decide(order, OrderCommand::CancelOrder(cancel.clone()));
    let metadata = Metadata::default();

    let first = store.execute("a", Loaded::default(), &metadata, create).await.unwrap();
    let Executed::Appended(first) = first else { panic!("{first:?}") };
    // Thirty who all believe that the order is new; the append tells them that it is not.
    let cancels = (0..30).map(|_| {
        store.execute("a", Loaded::default(), &metadata, |order: &Order| match order {
            Order::Absent => decide(order, OrderCommand::CreateOrder(content())),
            Order::Placed(_) => cancel(order),
        })
    });
    let mut changed = 0;
    for cancel in cancels.collect::<Vec<_>>() {
        changed += usize::from(matches!(cancel.await.unwrap(), Executed::Appended(_)));
    }
    assert_eq!(changed, 1);

    let again = store.execute("a", Loaded::default(), &metadata, create).await.unwrap();
    let Executed::Unchanged(stream) = again else { panic!("{again:?}") };
    assert_eq!((stream.version, stream.first_position), (2, first.position));
    let other = OrderCreated { total_minor: 1, ..content() };
    let refused = store.execute("a", Loaded::default(), &metadata, |order: &Order| {
        decide(order, OrderCommand::CreateOrder(other.clone()))
    });
    assert!(matches!(refused.await, Err(ExecuteError::Refused(OrderError::ExistsWithOtherContent))));
    store.close().await;
}

#[tokio::test]
async fn those_who_are_patient_wait_for_room_in_the_queue() {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendSettings { queue: 1, ..AppendSettings::default() });
    let mut blocker = database.pool().begin().await.unwrap();
    sqlx::query(HELD).execute(&mut *blocker).await.unwrap();
    let waiting = (0..5).map(|n| {
        let store = store.patient();
        tokio::spawn(async move { store.append(vec![append(&format!("a{n}"), 0, vec![created()])]).await })
    });
    let waiting: Vec<_> = waiting.collect();
    testkit::eventually(Duration::from_secs(10), || async { store.check_room().is_err() }).await;
    assert!(matches!(store.append(vec![append("b", 0, vec![created()])]).await, Err(AppendError::QueueFull)));

    blocker.rollback().await.unwrap();
    for asked in waiting {
        asked.await.unwrap().unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_a_closed_store_stores_what_it_took() {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendSettings { queue: 2, ..AppendSettings::default() });
    // The lock keeps the writer busy, so that the queue fills.
    let mut blocker = database.pool().begin().await.unwrap();
    sqlx::query(HELD).execute(&mut *blocker).await.unwrap();
    let mut waiting = Vec::new();
    let mut refused = Vec::new();
    for n in 0.. {
        let (id, store) = (format!("a{n}"), store.clone());
        let mut asked =
            tokio::spawn(async move { store.append(vec![append(&format!("a{n}"), 0, vec![created()])]).await });
        match tokio::time::timeout(Duration::from_millis(100), &mut asked).await {
            Err(_) => waiting.push((id, asked)),
            Ok(answer) => {
                assert!(matches!(answer.unwrap(), Err(AppendError::QueueFull)));
                refused.push(id);
                break;
            }
        }
    }
    // The one that is being written, and two behind it.
    assert_eq!(waiting.len(), 3);

    blocker.rollback().await.unwrap();
    store.close().await;
    for (id, asked) in waiting {
        asked.await.unwrap().unwrap();
        assert_eq!(store.load::<Order>(&id).await.unwrap().version, 1);
    }
    assert_eq!(store.load::<Order>(&refused[0]).await.unwrap().version, 0);
    assert!(matches!(store.append(vec![append("late", 0, vec![created()])]).await, Err(AppendError::Closed)));
}

#[tokio::test]
async fn the_first_append_after_the_database_cut_its_connections_succeeds() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("a", 0, vec![created()])]).await.unwrap();
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(cut).execute(database.pool()).await.unwrap();

    store.append(vec![append("b", 0, vec![created()])]).await.unwrap();
    assert_eq!(store.load::<Order>("b").await.unwrap().version, 1);
    store.close().await;
}

#[tokio::test]
async fn events_that_are_stored_already_are_acknowledged_at_their_place() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let streams = vec![append("a", 0, vec![created(), created()]), append("b", 0, vec![created()])];
    let first = store.append(streams.clone()).await.unwrap();
    store.append(vec![append("c", 0, vec![created()])]).await.unwrap();

    // As after a connection that broke between the commit and its answer.
    assert_eq!(store.append(streams).await.unwrap(), first);

    assert_eq!(store.load::<Order>("a").await.unwrap().version, 2);
    assert_eq!(store.load::<Order>("b").await.unwrap().last_position, first.position);
    store.close().await;
}

#[tokio::test]
async fn a_command_that_can_not_be_stored_fails_alone() {
    let database = testkit::database().await;
    let store = store(&database).await;
    // Given: commands that gather behind one that has to wait, and so share a batch.
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query(HELD).execute(&mut *holder).await.unwrap();
    let twice = || append("twice", 0, vec![created()]);
    let commands = [
        vec![append("first", 0, vec![created()])],
        vec![append("a", 0, vec![created()])],
        // Postgres keeps no NUL in a text.
        vec![append("nul \0", 0, vec![created()])],
        // In its own way.
        vec![twice(), twice()],
        vec![append("b", 0, vec![created()])],
    ];
    let mut answers = Vec::new();
    for command in commands {
        let store = store.clone();
        answers.push(tokio::spawn(async move { store.append(command).await }));
        tokio::task::yield_now().await;
    }

    holder.rollback().await.unwrap();

    let mut stored = Vec::new();
    for answer in answers {
        stored.push(answer.await.unwrap());
    }
    assert!(stored[0].is_ok() && stored[1].is_ok() && stored[4].is_ok(), "{stored:?}");
    assert!(matches!(stored[2], Err(AppendError::Unknown(_))), "{stored:?}");
    assert!(matches!(stored[3], Err(AppendError::Conflict)), "{stored:?}");
    assert_eq!(store.load::<Order>("twice").await.unwrap().version, 0);
    assert_eq!(store.load::<Order>("b").await.unwrap().version, 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_under_load_cost_no_append_and_double_none() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let appends = (0..8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                let id = format!("{task}-{n}");
                let appended = store.append(vec![append(&id, 0, vec![created(), created()])]).await.unwrap();
                assert_eq!(store.load::<Order>(&id).await.unwrap().last_position, appended.position);
            }
        })
    });
    let appends: Vec<_> = appends.collect();
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and query like 'with appended%'";
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    // Something gets in between two cuts, however slow the machine: nobody is cut off at every attempt.
    let mut before = -1;
    while !appends.iter().all(tokio::task::JoinHandle::is_finished) {
        let stored: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&mut admin).await.unwrap();
        if stored > before {
            before = stored;
            sqlx::query(cut).execute(&mut admin).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for task in appends {
        task.await.unwrap();
    }
    let stored: (i64, i64, i64) =
        sqlx::query_as("select count(*), count(distinct event_id), max(global_position) from events")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert_eq!((stored.0, stored.1), (1_600, 1_600));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_overtaken_each_time_is_told_the_version() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let faster = store.clone();
    // Given: whenever it decides, somebody else changes the stream before it can append.
    let overtaken = |_: &Order| {
        let overtake = async {
            let version = faster.load::<Order>("a").await.unwrap().version;
            faster.append(vec![append("a", version, vec![created()])]).await.unwrap();
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(overtake));
        Ok::<_, OrderError>(vec![OrderEvent::OrderCreated(content())])
    };

    let given_up = store.execute("a", Loaded::default(), &Metadata::default(), overtaken).await.unwrap_err();

    let current = store.load::<Order>("a").await.unwrap().version;
    assert!(
        matches!(given_up, ExecuteError::Contended { current_version } if current_version == current),
        "{given_up}"
    );
    assert_eq!(current, 5);
    store.close().await;
}

#[tokio::test]
async fn a_writer_that_freezes_while_it_holds_the_log_holds_it_for_moments() {
    let database = testkit::database().await;
    let store = store(&database).await;
    // Given: whoever asks for the log, as after a conflict, or inserts by several statements, as postgres-es does, and then stalls.
    let by_hand =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                   values ('order', 'frozen', 1, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}')";
    for (n, statement) in ["select events_lock()", by_hand].into_iter().enumerate() {
        let mut frozen = PgConnection::connect(database.url()).await.unwrap();
        let mut frozen = frozen.begin().await.unwrap();
        sqlx::query(statement).execute(&mut *frozen).await.unwrap();

        let others = store.append(vec![append(&format!("a{n}"), 0, vec![created()])]);
        tokio::time::timeout(PATIENCE, others).await.unwrap().unwrap();

        // It wakes up and finds that nothing of its own is stored.
        assert!(frozen.commit().await.is_err(), "{statement}");
    }
    assert_eq!(store.load::<Order>("frozen").await.unwrap().version, 0);
    store.close().await;
}

#[tokio::test]
async fn a_version_that_the_stream_has_not_reached_is_a_conflict_that_hurts_nobody_else() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("a", 0, vec![created()])]).await.unwrap();
    // Given: commands that share a batch.
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query(HELD).execute(&mut *holder).await.unwrap();
    let commands = [
        vec![append("first", 0, vec![created()])],
        vec![append("b", 0, vec![created()])],
        vec![append("a", 2, vec![created()])],
        vec![append("c", 0, vec![created()]), append("nobody", 7, vec![created()])],
        vec![append("a", 1, vec![created(), created()])],
    ];
    let mut answers = Vec::new();
    for command in commands {
        let store = store.clone();
        answers.push(tokio::spawn(async move { store.append(command).await }));
        tokio::task::yield_now().await;
    }
    holder.rollback().await.unwrap();

    let mut stored = Vec::new();
    for answer in answers {
        stored.push(answer.await.unwrap());
    }
    assert!(stored[0].is_ok() && stored[1].is_ok() && stored[4].is_ok(), "{stored:?}");
    for early in [&stored[2], &stored[3]] {
        assert!(matches!(early, Err(AppendError::Conflict)), "{stored:?}");
    }
    for (id, version) in [("a", 3), ("b", 1), ("c", 0), ("nobody", 0)] {
        assert_eq!(store.load::<Order>(id).await.unwrap().version, version, "{id}");
    }
    store.close().await;
}

#[tokio::test]
async fn an_event_without_the_one_before_it_is_refused_whoever_writes_it() {
    let database = testkit::database().await;
    let insert = async |rows: &str| {
        let statement = format!(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             select 'order', id, version, 'E', '1.0', '{{}}', '{{}}' from (values {rows}) as e(id, version)"
        );
        sqlx::query(&statement).execute(database.pool()).await
    };
    for gap in ["('a', 2)", "('a', 1), ('a', 3)", "('a', 1), ('b', 1), ('b', 2), ('c', 5)"] {
        let refused = insert(gap).await.unwrap_err();
        let constraint = refused.as_database_error().unwrap().constraint();
        assert_eq!(constraint, Some("events_follow_one_another"), "{gap}");
    }
    insert("('a', 2), ('a', 1), ('b', 1), ('b', 2)").await.unwrap();
    insert("('b', 3), ('a', 3), ('a', 4)").await.unwrap();
    // Another kind of stream with the same name is another stream.
    let other =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('parcel', 'a', 5, 'E', '1.0', '{}', '{}')";
    assert!(sqlx::query(other).execute(database.pool()).await.is_err());
}

#[tokio::test]
async fn events_are_never_changed() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("a", 0, vec![created()])]).await.unwrap();
    for change in ["update events set payload = '{}'", "delete from events", "truncate events"] {
        let refused = sqlx::query(change).execute(database.pool()).await.unwrap_err();
        assert!(refused.to_string().contains("events are never changed"), "{change}: {refused}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    let quick = testkit::database().await;
    let refused = event_store::check_durability(quick.pool()).await.unwrap_err();
    assert!(refused.to_string().contains("fsync = off"), "{refused}");
    event_store::check_durability(testkit::durable_database().await.pool()).await.unwrap();
}
