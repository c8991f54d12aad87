//! Workers that are stopped, and a database that goes away.

use std::time::Duration;

use messaging::{ConsumerSettings, ExponentialBackoff, NotificationAnswer, NotificationRequested};
use notification::{NOTIFICATION_ID_HEADER, NotificationSettings};
use testkit::Response;
use uuid::Uuid;

use crate::stage::{NOTIFICATION, PATIENCE, Stage, quick, request};

#[tokio::test]
async fn a_mail_accepted_and_not_recorded_is_sent_again_and_both_bear_the_same_id() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::AcceptAndHangUp);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    stage.answers(1).await;

    let mails = stage.ses.messages();
    assert_eq!(mails.len(), 2, "the one window that is left");
    for mail in mails {
        assert_eq!(mail.headers[NOTIFICATION_ID_HEADER], NOTIFICATION.to_string());
    }
}

#[tokio::test]
async fn a_worker_that_is_stopped_in_the_middle_leaves_no_record_and_the_next_one_sends() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::AcceptAfter(Duration::from_secs(600)));
    let at_once = ConsumerSettings { shutdown_grace: Duration::ZERO, ..quick().consumer };
    let first = stage.worker(NotificationSettings { consumer: at_once, ..quick() });

    stage.ask(&request(1)).await;
    testkit::eventually(PATIENCE, || std::future::ready(stage.ses.requests() == 1)).await;
    first.stop().await;
    let _second = stage.worker(quick());
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!(stage.ses.requests(), 2);
}

#[tokio::test]
async fn while_the_database_is_away_no_mail_goes_out() {
    let stage = Stage::new().await;
    stage.sql("alter table notification_deliveries rename to away").await;
    let mut settings = quick();
    // Without a pause the attempts would be used up before the database is back.
    settings.consumer.retry_backoff =
        ExponentialBackoff { first: Duration::from_secs(1), most: Duration::from_secs(1) };
    let _worker = stage.worker(settings);

    stage.ask(&request(1)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.ses.requests(), 0);
    stage.sql("alter table away rename to notification_deliveries").await;

    stage.answers(1).await;
    assert_eq!(stage.ses.accepted(), 1);
}

#[tokio::test]
async fn a_mail_that_went_out_is_recorded_even_if_its_claim_was_lost() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::AcceptAfter(Duration::from_millis(500)));
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    testkit::eventually(PATIENCE, || std::future::ready(stage.ses.requests() == 1)).await;
    let ending = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1
                   and database = (select oid from pg_database where datname = current_database())";
    stage.sql(ending).await;

    stage.answers(1).await;
    assert_eq!(stage.ses.accepted(), 1);
    assert_eq!(stage.record().await.0, "sent");
}

#[tokio::test]
async fn a_mail_that_is_claimed_elsewhere_goes_out_once_that_claim_has_ended_with_its_session() {
    let stage = Stage::new().await;
    let mut elsewhere = stage.database.pool().acquire().await.unwrap().detach();
    let claimed = sqlx::query("select pg_advisory_lock($1)").bind(NOTIFICATION.as_u64_pair().0.cast_signed());
    claimed.execute(&mut elsewhere).await.unwrap();
    let _worker = stage.worker(quick());

    // Behind it in another group, so that it is through when the first has been looked at.
    let other = NotificationRequested { notification_id: Uuid::from_u128(7), ..request(1) };
    stage.ask_in_group("claimed", &request(1)).await;
    stage.ask_in_group("free", &other).await;
    stage.answers(1).await;
    assert_eq!(stage.ses.requests(), 1);
    drop(elsewhere);

    stage.answers(1).await;
    assert_eq!(stage.ses.accepted(), 2);
    assert_eq!(stage.record().await.0, "sent");
}

#[tokio::test]
async fn a_stopped_worker_leaves_no_session_behind() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    stage.ask(&request(1)).await;
    stage.answers(1).await;

    worker.stop().await;

    let claims = "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 1
                   and database = (select oid from pg_database where datname = current_database())";
    testkit::eventually(PATIENCE, || async {
        let left: i64 = sqlx::query_scalar(claims).fetch_one(stage.database.pool()).await.unwrap();
        left == 0
    })
    .await;
}
