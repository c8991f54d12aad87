use std::collections::BTreeMap;
use std::time::Duration;

use domain::order::saga::SagaStep;
use sqlx::PgPool;

use super::claims::{ClaimedTimers, TimerKind, TimerPriority, wake_outdated};
use super::{SagaInstanceKey, SagaTimer, TimerRemoval, cancel, ensure, record_failure, schedule};
use crate::outcome::StepError;

const STEP: SagaStep = SagaStep::CapturePayment;
const NOW: Duration = Duration::ZERO;
const AN_HOUR: Duration = Duration::from_secs(3_600);

fn key(order_id: &str) -> SagaInstanceKey {
    ("order_fulfilment", order_id.to_owned())
}

fn ended(order_id: &str, seen: i64) -> TimerRemoval {
    TimerRemoval { key: key(order_id), seen }
}

fn waits(order_id: &str, wait: Duration, seen: i64) -> SagaTimer {
    SagaTimer::in_progress(key(order_id), STEP, None, wait).seeing(seen, 0)
}

fn stuck(order_id: &str, seen: i64) -> SagaTimer {
    SagaTimer::stuck(key(order_id), STEP, None, "no funds".to_owned()).seeing(seen, 0)
}

async fn noted(pool: &PgPool, rows: Vec<SagaTimer>) {
    schedule(&mut pool.acquire().await.unwrap(), rows).await.unwrap();
}

async fn forgotten(pool: &PgPool, rows: Vec<TimerRemoval>) {
    cancel(&mut pool.acquire().await.unwrap(), rows).await.unwrap();
}

/// By order: the version that the row goes by, and whether it is stuck.
async fn rows(pool: &PgPool) -> BTreeMap<String, (i64, bool)> {
    let rows: Vec<(String, i64, bool)> =
        sqlx::query_as("select order_id, seen, stuck from saga_work").fetch_all(pool).await.unwrap();
    rows.into_iter().map(|(order_id, seen, stuck)| (order_id, (seen, stuck))).collect()
}

async fn take(pool: &PgPool, limit: i64) -> ClaimedTimers {
    ClaimedTimers::lease(pool, ("order_fulfilment", TimerKind::Others), TimerPriority::Oldest, limit).await.unwrap()
}

fn ids(claim: &ClaimedTimers) -> Vec<&str> {
    let mut ids: Vec<&str> = claim.rows.iter().map(|row| row.order_id.as_str()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn what_is_due_is_not_forgotten_because_of_what_the_order_was_before() {
    let database = testkit::database().await;
    let pool = database.pool();
    noted(pool, vec![waits("a", NOW, 7), waits("b", NOW, 7)]).await;

    forgotten(pool, vec![ended("a", 6), ended("b", 7)]).await;
    assert_eq!(rows(pool).await, [("a".to_owned(), (7, false))].into());
    noted(pool, vec![stuck("a", 6)]).await;
    let error = StepError::Stuck("too late".to_owned());
    assert!(!record_failure(pool, ("a", 6), STEP, &error, None).await.unwrap());
    assert_eq!(rows(pool).await, [("a".to_owned(), (7, false))].into());

    noted(pool, vec![stuck("a", 7)]).await;
    assert_eq!(rows(pool).await, [("a".to_owned(), (7, true))].into());
}

#[tokio::test]
async fn what_a_claim_has_nobody_else_takes_until_it_runs_out() {
    let database = testkit::database().await;
    let pool = database.pool();
    noted(pool, vec![waits("a", NOW, 1), waits("b", NOW, 1), waits("later", AN_HOUR, 1)]).await;
    let (first, second) = (take(pool, 1).await, take(pool, 10).await);
    assert_eq!((ids(&first).len(), ids(&second).len()), (1, 1));
    assert_ne!(ids(&first), ids(&second));
    assert!(take(pool, 10).await.rows.is_empty());

    sqlx::query("update saga_work set claimed_until = now()").execute(pool).await.unwrap();
    let other = take(pool, 10).await;
    assert_eq!(ids(&other), ["a", "b"]);
    // Whoever had them before changes nothing any more.
    first.settle(pool, &[stuck(ids(&first)[0], 9)], &[]).await.unwrap();
    second.settle(pool, &[], &[ended(ids(&second)[0], 9)]).await.unwrap();
    assert_eq!(rows(pool).await.into_values().filter(|row| *row == (1, false)).count(), 3);
    other.settle(pool, &[stuck("a", 9)], &[ended("b", 9)]).await.unwrap();
    assert_eq!(rows(pool).await, [("a".to_owned(), (9, true)), ("later".to_owned(), (1, false))].into());
}

#[tokio::test]
async fn what_others_wrote_meanwhile_stands() {
    let database = testkit::database().await;
    let pool = database.pool();
    noted(pool, vec![waits("a", NOW, 1), waits("b", NOW, 1), waits("c", NOW, 1)]).await;
    let claim = take(pool, 10).await;
    // An event came, a saga did what another waits for, and a row is being written.
    noted(pool, vec![waits("a", AN_HOUR, 2)]).await;
    ensure(pool, &key("b"), STEP, (2, 0)).await.unwrap();
    let mut writer = pool.begin().await.unwrap();
    schedule(&mut writer, vec![waits("c", AN_HOUR, 2)]).await.unwrap();

    claim.settle(pool, &[stuck("a", 1)], &[ended("b", 1), ended("c", 1)]).await.unwrap();
    writer.commit().await.unwrap();
    let stands = (2, false);
    assert_eq!(rows(pool).await, ["a", "b", "c"].map(|order| (order.to_owned(), stands)).into());
}

#[tokio::test]
async fn who_has_waited_for_long_and_who_comes_now_are_each_taken_first_in_turn() {
    let database = testkit::database().await;
    let pool = database.pool();
    noted(pool, vec![waits("old", NOW, 1)]).await;
    noted(pool, vec![waits("new", NOW, 1)]).await;
    let newest =
        ClaimedTimers::lease(pool, ("order_fulfilment", TimerKind::Others), TimerPriority::Newest, 1).await.unwrap();
    assert_eq!((ids(&newest), ids(&take(pool, 1).await)), (vec!["new"], vec!["old"]));
}

#[tokio::test]
async fn what_is_stuck_because_of_what_the_order_was_before_is_looked_at_again() {
    let database = testkit::database().await;
    let pool = database.pool();
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at)
         select 'order', id, 1, type, '1.0', '{}', '{}', now() - interval '1 minute'
           from (values ('a', 'Anything'), ('b', 'Anything'), ('numbered', 'OrderNumbered')) as stored(id, type)",
    )
    .execute(pool)
    .await
    .unwrap();
    noted(pool, vec![stuck("a", 0), stuck("b", 1), stuck("numbered", 0), stuck("none", 0)]).await;
    wake_outdated(pool).await.unwrap();
    assert_eq!(ids(&take(pool, 10).await), ["a"]);
}

#[tokio::test]
async fn an_error_that_the_database_would_not_take_is_noted_all_the_same() {
    let database = testkit::database().await;
    let pool = database.pool();
    let long = "\0".repeat(3) + &"x".repeat(100_000);
    noted(pool, vec![SagaTimer::retry(key("a"), STEP, None, long)]).await;
    let noted: i32 = sqlx::query_scalar("select length(last_error) from saga_work").fetch_one(pool).await.unwrap();
    assert_eq!(noted, 4_000);
}

#[tokio::test]
async fn a_failure_that_is_told_late_does_not_take_a_stuck_saga_out_of_sight() {
    let database = testkit::database().await;
    let pool = database.pool();
    noted(pool, vec![stuck("a", 1), waits("b", AN_HOUR, 1)]).await;

    for order_id in ["a", "b"] {
        let error = StepError::Failed("no answer".to_owned());
        assert!(record_failure(pool, (order_id, 1), STEP, &error, None).await.unwrap());
    }

    assert_eq!(rows(pool).await, [("a".to_owned(), (1, true)), ("b".to_owned(), (1, false))].into());
}

#[tokio::test]
async fn requests_for_an_earlier_mail_or_another_step_do_not_count_for_what_is_next() {
    let database = testkit::database().await;
    let pool = database.pool();
    let asked = |order_id| SagaTimer::after_request(key(order_id), SagaStep::NotifyCustomer, 0, AN_HOUR).seeing(3, 0);
    schedule(&mut pool.acquire().await.unwrap(), vec![asked("same mail"), asked("other mail"), asked("other step")])
        .await
        .unwrap();

    ensure(pool, &key("same mail"), SagaStep::NotifyCustomer, (5, 2)).await.unwrap();
    ensure(pool, &key("other mail"), SagaStep::NotifyCustomer, (5, 4)).await.unwrap();
    ensure(pool, &key("other step"), STEP, (5, 2)).await.unwrap();

    let rows: Vec<(String, i32, i64)> =
        sqlx::query_as("select order_id, sent, seen from saga_work order by order_id").fetch_all(pool).await.unwrap();
    let expected = [("other mail", 0, 5), ("other step", 0, 5), ("same mail", 1, 5)];
    assert_eq!(rows, expected.map(|(order_id, sent, seen)| (order_id.to_owned(), sent, seen)));
}

#[tokio::test]
async fn each_row_of_a_batch_is_compared_with_the_mail_that_it_is_about() {
    let database = testkit::database().await;
    let pool = database.pool();
    let others = |order_id: &str| ("other", order_id.to_owned());
    let wait = |key, seen, owed_since| {
        SagaTimer::in_progress(key, SagaStep::NotifyCustomer, None, NOW).seeing(seen, owed_since)
    };
    noted(pool, vec![wait(key("a"), 3, 3), wait(key("b \""), 3, 3), wait(others("a"), 3, 3)]).await;
    sqlx::query("update saga_work set since = now() - interval '1 hour'").execute(pool).await.unwrap();

    noted(pool, vec![wait(key("a"), 5, 5), wait(key("b \""), 5, 3), wait(others("a"), 5, 3), wait(key("c"), 5, 3)])
        .await;

    let query = "select saga, order_id, since < now() - interval '30 minutes' from saga_work order by 2, 1";
    let rows: Vec<(String, String, bool)> = sqlx::query_as(query).fetch_all(pool).await.unwrap();
    let mut expected = [(key("a"), false), (others("a"), true), (key("b \""), true), (key("c"), false)]
        .map(|((saga, order_id), old)| (order_id, saga.to_owned(), old));
    expected.sort();
    assert_eq!(rows, expected.map(|(order_id, saga, old)| (saga, order_id, old)));
}

/// Whether the row is about what it was about an hour ago.
async fn is_old(pool: &PgPool, order_id: &str) -> bool {
    let query = "select since < now() - interval '30 minutes' from saga_work where order_id = $1";
    sqlx::query_scalar(query).bind(order_id).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_mail_that_is_owed_later_does_not_have_the_age_of_the_one_before() {
    let database = testkit::database().await;
    let pool = database.pool();
    let wait = |order_id, wait, seen, owed_since| {
        SagaTimer::in_progress(key(order_id), SagaStep::NotifyCustomer, None, wait).seeing(seen, owed_since)
    };
    noted(pool, ["scheduled", "settled", "ensured"].map(|order_id| wait(order_id, NOW, 3, 3)).into()).await;
    let age = || async { sqlx::query("update saga_work set since = now() - interval '1 hour'").execute(pool).await };
    age().await.unwrap();
    let of_mails = (key("").0, TimerKind::Mails);
    let claim = ClaimedTimers::lease(pool, of_mails, TimerPriority::Oldest, 10).await.unwrap();

    // The same mail, looked at again after something else happened.
    claim.settle(pool, &[wait("settled", NOW, 4, 3)], &[]).await.unwrap();
    noted(pool, vec![wait("scheduled", NOW, 4, 3)]).await;
    ensure(pool, &key("ensured"), SagaStep::NotifyCustomer, (4, 3)).await.unwrap();
    for order_id in ["scheduled", "settled", "ensured"] {
        assert!(is_old(pool, order_id).await, "{order_id}");
    }

    // Its outcome was the fifth event.
    let claim = ClaimedTimers::lease(pool, of_mails, TimerPriority::Oldest, 10).await.unwrap();
    claim.settle(pool, &[wait("settled", NOW, 5, 5)], &[]).await.unwrap();
    noted(pool, vec![wait("scheduled", NOW, 5, 5)]).await;
    ensure(pool, &key("ensured"), SagaStep::NotifyCustomer, (5, 5)).await.unwrap();
    for order_id in ["scheduled", "settled", "ensured"] {
        assert!(!is_old(pool, order_id).await, "{order_id}");
    }
}
