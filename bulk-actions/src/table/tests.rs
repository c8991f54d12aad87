use serde_json::json;

use super::*;
use crate::StuckSagaFilter;

const LEASE: Duration = Duration::from_secs(60);

pub(crate) async fn begun(pool: &PgPool) -> BulkActionRow {
    let new = NewBulkAction {
        kind: BulkActionKind::RetrySagas,
        filter: BulkActionFilter::StuckSagas(StuckSagaFilter::default()),
        reason: "mended".into(),
        actor: "ada".into(),
        rate: 10,
        matched: Some(3),
        idempotency_key: None,
        request_hash: [0; 32],
        created_at: now(pool).await.unwrap(),
    };
    let Begun::New(row) = begin(pool, &new).await.unwrap() else { panic!("not begun") };
    row
}

fn batch(done: i64, failures_in_row: i32) -> BatchReport {
    BatchReport { done, failures_in_row, cursor: Some(json!(done)), ..BatchReport::default() }
}

#[tokio::test]
async fn who_lost_the_lease_saves_nothing() {
    let database = testkit::database().await;
    let pool = database.pool();
    let id = begun(pool).await.id;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(take(pool, first, LEASE).await.unwrap().unwrap().id, id);
    assert!(take(pool, second, LEASE).await.unwrap().is_none());
    assert_eq!(save(pool, (id, first), LEASE, &batch(1, 0)).await.unwrap(), Some(BulkActionState::Running));
    sqlx::query("update bulk_actions set leased_until = clock_timestamp()").execute(pool).await.unwrap();

    assert_eq!(take(pool, second, LEASE).await.unwrap().unwrap().cursor, Some(json!(1)));
    assert_eq!(save(pool, (id, first), LEASE, &batch(2, 0)).await.unwrap(), None);
    release(pool, id, first).await.unwrap();
    let row = BulkActionRow::find(pool, id).await.unwrap().unwrap();
    assert_eq!((row.done, row.is_held), (1, true));
    release(pool, id, second).await.unwrap();
    assert!(take(pool, first, LEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn after_so_many_failures_in_a_row_it_fails_and_says_why() {
    let database = testkit::database().await;
    let pool = database.pool();
    let (id, claim) = (begun(pool).await.id, Uuid::now_v7());
    take(pool, claim, LEASE).await.unwrap().unwrap();
    let error = |n: i32| ItemError { id: n.to_string(), error: "the queue is away".into() };
    for failures in 1..=MOST_FAILURES {
        let (errors, note) = (vec![error(failures)], Some("the queue is away".to_owned()));
        let report = BatchReport { failed: 1, errors, note, ..batch(0, failures) };
        let expected = if failures < MOST_FAILURES { BulkActionState::Running } else { BulkActionState::Failed };
        assert_eq!(save(pool, (id, claim), LEASE, &report).await.unwrap(), Some(expected));
    }
    let row = BulkActionRow::find(pool, id).await.unwrap().unwrap();
    assert_eq!((row.note.as_deref(), row.failed, row.ended_at.is_some()), (Some("the queue is away"), 20, true));
    let first: Vec<&str> = row.errors.iter().map(|error| error.id.as_str()).collect();
    assert_eq!((first.len(), first[0], first[19]), (20, "1", "20"));
    assert!(take(pool, claim, LEASE).await.unwrap().is_none());
}

#[tokio::test]
async fn what_failed_for_a_while_leaves_no_note() {
    let database = testkit::database().await;
    let pool = database.pool();
    let (id, claim) = (begun(pool).await.id, Uuid::now_v7());
    take(pool, claim, LEASE).await.unwrap().unwrap();
    save(pool, (id, claim), LEASE, &BatchReport { note: Some("away".into()), ..batch(0, 1) }).await.unwrap();
    let end = BatchReport { is_end: true, ..batch(2, 0) };
    assert_eq!(save(pool, (id, claim), LEASE, &end).await.unwrap(), Some(BulkActionState::Finished));
    let row = BulkActionRow::find(pool, id).await.unwrap().unwrap();
    // The third of those that there were has disappeared.
    assert_eq!((row.note, row.done, row.moved_on), (None, 2, 1));
}

#[tokio::test]
async fn those_that_ended_long_ago_are_forgotten() {
    let database = testkit::database().await;
    let pool = database.pool();
    begun(pool).await;
    let old = begun(pool).await.id;
    let end = "update bulk_actions set state = 'stopped', ended_at = now() - interval '91 days' where id = $1";
    sqlx::query(end).bind(old).execute(pool).await.unwrap();
    assert_eq!(prune(pool).await.unwrap(), 1);
    assert!(BulkActionRow::find(pool, old).await.unwrap().is_none());
    assert_eq!(BulkActionRow::list(pool, None, 10).await.unwrap().len(), 1);
}
