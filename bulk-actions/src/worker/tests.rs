use event_store::{AppendQueueSettings, EventStore, StreamLocks};

use super::*;
use crate::table::tests::begun;

/// Ends the lease of whoever has it.
async fn let_lease_run_out(pool: &PgPool) {
    sqlx::query("update bulk_actions set leased_until = clock_timestamp()").execute(pool).await.unwrap();
}

async fn taken(pool: &PgPool, claim: Uuid) -> BulkActionRow {
    table::take(pool, claim, LEASE).await.unwrap().unwrap()
}

async fn panics() -> Result<Option<BulkActionState>, BulkActionError> {
    panic!("no such\0place")
}

#[tokio::test]
async fn one_that_panics_each_time_fails_and_says_why() {
    let database = testkit::database().await;
    let pool = database.pool();
    let id = begun(pool).await.id;
    for broken_off in 0..MOST_FAILURES {
        let claim = Uuid::now_v7();
        let action = taken(pool, claim).await;
        assert_eq!((action.failures_in_row, action.state), (broken_off, BulkActionState::Running));
        assert_eq!(unless_it_panics(pool, (id, claim), panics()).await.unwrap(), None);
        // It is not tried at once.
        assert!(table::take(pool, Uuid::now_v7(), LEASE).await.unwrap().is_none());
        let_lease_run_out(pool).await;
    }
    let claim = Uuid::now_v7();
    let action = taken(pool, claim).await;
    assert_eq!(give_up(pool, &action, claim).await.unwrap(), Some(BulkActionState::Failed));
    let row = BulkActionRow::find(pool, id).await.unwrap().unwrap();
    assert_eq!((row.state, row.note.as_deref()), (BulkActionState::Failed, Some("it panics: no suchplace")));
    assert!(row.ended_at.is_some() && table::take(pool, claim, LEASE).await.unwrap().is_none());
}

#[tokio::test]
async fn one_whose_processes_die_fails_and_says_so() {
    let database = testkit::database().await;
    let pool = database.pool();
    let id = begun(pool).await.id;
    for _ in 0..MOST_FAILURES {
        taken(pool, Uuid::now_v7()).await;
        let_lease_run_out(pool).await;
    }
    let claim = Uuid::now_v7();
    let action = taken(pool, claim).await;
    assert_eq!(action.failures_in_row, MOST_FAILURES);
    assert_eq!(give_up(pool, &action, claim).await.unwrap(), Some(BulkActionState::Failed));
    let note = BulkActionRow::find(pool, id).await.unwrap().unwrap().note;
    assert_eq!(note.as_deref(), Some("whoever carries it on breaks off before a batch is done"));
}

#[tokio::test]
async fn one_that_cannot_be_read_is_a_failure_each_time_it_is_taken_again() {
    let database = testkit::database().await;
    let pool = database.pool();
    let id = begun(pool).await.id;
    let of_newer_build = r#"update bulk_actions set filter = '{"warehouse": "north"}'"#;
    sqlx::query(of_newer_build).execute(pool).await.unwrap();
    let store = EventStore::start(pool.clone(), AppendQueueSettings::default());
    let (stock, keys) = (StreamLocks::new(store.clone(), 100), testkit::MESSAGE_KEYS.parse().unwrap());
    let deps = BulkActionDependencies { store: store.clone(), stock, dead_letters: Vec::new(), keys };
    let stop = CancellationToken::new();
    for failures in 0..MOST_FAILURES {
        let claim = Uuid::now_v7();
        let action = taken(pool, claim).await;
        assert_eq!(action.failures_in_row, failures);
        let state = batches(&deps, action, claim, &stop).await.unwrap();
        assert_eq!(state, Some(BulkActionState::Running));
        let_lease_run_out(pool).await;
    }
    let claim = Uuid::now_v7();
    let action = taken(pool, claim).await;
    assert_eq!(batches(&deps, action, claim, &stop).await.unwrap(), Some(BulkActionState::Failed));
    let note = BulkActionRow::find(pool, id).await.unwrap().unwrap().note.unwrap();
    assert!(note.starts_with("the bulk action can't be read: unknown field `warehouse`"), "{note}");
    store.close().await;
}

#[tokio::test]
async fn who_lost_the_lease_ends_nothing_by_a_panic() {
    let database = testkit::database().await;
    let pool = database.pool();
    let id = begun(pool).await.id;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    taken(pool, first).await;
    let_lease_run_out(pool).await;
    let action = taken(pool, second).await;

    assert_eq!(unless_it_panics(pool, (id, first), panics()).await.unwrap(), None);
    assert_eq!(give_up(pool, &action, first).await.unwrap(), None);
    let row = BulkActionRow::find(pool, id).await.unwrap().unwrap();
    assert_eq!((row.note, row.is_held, row.state), (None, true, BulkActionState::Running));
}

#[tokio::test]
async fn a_process_that_stops_breaks_nothing_off() {
    let database = testkit::database().await;
    let pool = database.pool();
    let id = begun(pool).await.id;
    let claim = Uuid::now_v7();
    taken(pool, claim).await;
    table::release(pool, id, claim).await.unwrap();
    assert_eq!(taken(pool, Uuid::now_v7()).await.failures_in_row, 0);
}
