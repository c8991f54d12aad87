//! Connections that break, data that can't be stored, a writer that freezes.

use std::time::Duration;

use domain::order::Order;
use event_store::AppendError;
use sqlx::{Connection, PgConnection};

use crate::support::*;

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

#[tokio::test]
async fn a_database_without_room_stores_nothing_and_says_so() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let fails_with = async |code: &str| {
        let function = format!(
            "create or replace function fail() returns trigger language plpgsql as
             $$ begin raise exception 'no room' using errcode = '{code}'; end $$"
        );
        sqlx::raw_sql(&function).execute(database.pool()).await.unwrap();
    };
    fails_with("53100").await;
    let trigger = "create trigger fail before insert on events execute function fail()";
    sqlx::raw_sql(trigger).execute(database.pool()).await.unwrap();

    // Full: the disk, the memory, the connections, a limit of the settings.
    for code in ["53100", "53200", "53300", "53400"] {
        fails_with(code).await;
        let refused = store.append(vec![append("a", 0, vec![created()])]).await;
        assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{code}: {refused:?}");
    }
    // What is none of these is not known to have stored nothing.
    for code in ["58030", "XX000"] {
        fails_with(code).await;
        let refused = store.append(vec![append("a", 0, vec![created()])]).await;
        assert!(matches!(refused, Err(AppendError::Unknown(_))), "{code}: {refused:?}");
    }

    sqlx::raw_sql("drop trigger fail on events").execute(database.pool()).await.unwrap();
    assert_eq!(store.load::<Order>("a").await.unwrap().version, 0);
    store.append(vec![append("a", 0, vec![created()])]).await.unwrap();
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
