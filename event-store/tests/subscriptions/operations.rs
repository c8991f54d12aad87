//! What operators see, and what they are told when they ask for something that is not there.

use std::collections::HashMap;
use std::sync::Arc;

use cqrs_es::Aggregate;
use domain::order::Order;
use event_store::operations::{
    ParkedStreamAction, RequestCondition, StreamPosition, append_lock_holder, checkpoints, lag, lease_holders, passed,
    request_parked, stopped_subscriptions,
};
use event_store::{PARTITIONS, StoredEvent, partition_of};
use sqlx::migrate::Migrator;

use crate::support::{Copy, LONG, NAME, PATIENCE, append, append_unknown, database, eventually_handled, store};

#[tokio::test]
async fn the_lag_is_how_many_events_wait_and_how_long_the_first_has() {
    let database = database().await;
    let pool = database.pool();
    assert!(lag(pool).await.unwrap().is_empty());
    let writer = store(pool, LONG);
    let copy = Copy::start(pool, "copy", LONG);
    let first = append(&writer, "a", 0).await;
    eventually_handled(pool, "a", &[1]).await;
    copy.stop().await;

    let kept_up = lag(pool).await.unwrap().remove(0);
    assert_eq!((kept_up.name.as_str(), kept_up.position, kept_up.head), (NAME, first, first));
    assert_eq!((kept_up.lag_events, kept_up.lag_seconds, kept_up.parked), (0, 0.0, 0));

    append(&writer, "a", 1).await;
    let last = append(&writer, "a", 2).await;
    let behind = lag(pool).await.unwrap().remove(0);
    assert_eq!((behind.position, behind.head, behind.lag_events), (first, last, 2));
    assert!(behind.lag_seconds > 0.0 && behind.lag_seconds < 60.0, "{behind:?}");
    writer.close().await;
}

#[tokio::test]
async fn a_stream_that_a_subscription_has_passed_is_known_unless_it_has_moved_on() {
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let position = append(&writer, "a", 0).await;
    let passes = async |version| {
        let read = StreamPosition { stream_id: "a".to_owned(), version, position };
        !passed(pool, NAME, Order::TYPE, &[read]).await.unwrap().is_empty()
    };
    assert!(passes(1).await, "one that has not begun begins behind it");
    let begins = "insert into subscription_partitions (subscription, partition, position)
                  select $1, partition, $2 from generate_series(0, 15) as partition
                  on conflict (subscription, partition) do update set position = excluded.position";
    for (at, expected) in [(position - 1, false), (position, true), (position + 7, true)] {
        sqlx::query(begins).bind(NAME).bind(at).execute(pool).await.unwrap();
        assert_eq!(passes(1).await, expected, "{at}");
    }
    // It is handled later, if somebody has it tried again.
    let park = "insert into parked_events (subscription, stream_type, stream_id, position, version, event_type)
                values ($1, $2, 'a', $3, 1, 'OrderCreated')";
    sqlx::query(park).bind(NAME).bind(Order::TYPE).bind(position).execute(pool).await.unwrap();
    assert!(!passes(1).await, "one that is parked");
    sqlx::query("delete from parked_events").execute(pool).await.unwrap();
    assert!(passes(1).await, "one that was skipped");
    // What was added to it may be what is looked for.
    append(&writer, "a", 1).await;
    assert_eq!((passes(1).await, passes(2).await), (false, true));
    writer.close().await;
}

#[tokio::test]
async fn a_database_of_an_earlier_version_goes_on_from_its_checkpoints() {
    // Given
    let database = testkit::empty_database().await;
    let pool = database.pool();
    let all = &migrations::MIGRATIONS;
    let before = all.iter().filter(|migration| migration.version < 5).cloned().collect::<Vec<_>>();
    Migrator { migrations: before.into(), ..Migrator::DEFAULT }.run(pool).await.unwrap();
    sqlx::query("insert into subscriptions (name, position) values ('orders', 7)").execute(pool).await.unwrap();

    // When
    all.run(pool).await.unwrap();

    // Then
    assert_eq!(checkpoints(pool).await.unwrap(), HashMap::from([("orders".to_owned(), 7)]));
    let holders = lease_holders(pool).await.unwrap();
    assert_eq!(holders.len(), 1);
    assert_eq!((holders[0].owner, holders[0].partitions.len()), (None, PARTITIONS));
}

#[tokio::test]
async fn whoever_holds_the_tail_of_the_log_is_named() {
    let database = database().await;
    let pool = database.pool();
    assert_eq!(append_lock_holder(pool).await.unwrap(), None);
    let mut stalls = pool.begin().await.unwrap();
    sqlx::query("set local application_name = 'a script'").execute(&mut *stalls).await.unwrap();
    sqlx::query("select events_lock()").execute(&mut *stalls).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *stalls).await.unwrap();

    let holder = append_lock_holder(pool).await.unwrap().unwrap();

    assert_eq!((holder.pid, holder.application.as_str()), (pid, "a script"));
    assert_eq!((holder.state.as_str(), holder.query.as_str()), ("idle in transaction", "select pg_backend_pid()"));
    stalls.rollback().await.unwrap();
    assert_eq!(append_lock_holder(pool).await.unwrap(), None);
}

#[tokio::test]
async fn an_unknown_subscription_is_answered_with_the_known_ones() {
    let database = database().await;
    let pool = database.pool();
    let copy = Copy::start(pool, "copy", LONG);
    let writer = store(pool, LONG);
    append(&writer, "a", 0).await;
    eventually_handled(pool, "a", &[1]).await;
    let unknown = request_parked(pool, "recroder", "a", ParkedStreamAction::Retry, RequestCondition::Always)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(unknown, "there is no subscription recroder; there are: recorder");
    let nothing = request_parked(pool, NAME, "a", ParkedStreamAction::Skip, RequestCondition::Always)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(nothing, "nothing of stream a is parked in recorder");
    copy.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn it_can_be_seen_where_a_subscriber_stands_still_and_why_until_a_build_knows_the_event() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let before = append(&writer, "before", 0).await;
    append_unknown(pool, "unknown").await;
    append(&writer, "unknown", 1).await;

    // When
    let decodes = |event: &StoredEvent| Ok(event.decode::<Order>().map(drop)?);
    let old = Copy::checking(pool, "old", LONG, Arc::new(decodes));
    testkit::eventually(PATIENCE, || async { stopped_subscriptions(pool).await.unwrap().len() == 1 }).await;

    // Then
    let stop = stopped_subscriptions(pool).await.unwrap().remove(0);
    assert_eq!((stop.subscription.as_str(), usize::try_from(stop.partition)), (NAME, Ok(partition_of("unknown"))));
    assert_eq!((stop.waits_from, stop.position, stop.stream_id.as_str()), (before + 1, before + 1, "unknown"));
    assert_eq!((stop.event_type.as_str(), stop.event_version.as_str()), ("OrderTeleported", "1.0"));
    assert!(stop.error.contains("can't be read: unknown variant `OrderTeleported`"), "{}", stop.error);
    // Everything before it is done and can be waited for.
    assert_eq!(lag(pool).await.unwrap()[0].position, before);

    // It says so again and again, and since when.
    testkit::eventually(PATIENCE, || async { stopped_subscriptions(pool).await.unwrap()[0].tried_at > stop.tried_at })
        .await;
    assert_eq!(stopped_subscriptions(pool).await.unwrap()[0].since, stop.since);

    // A build that does not know it either changes nothing; one that does goes on, and nothing is stopped any more.
    old.stop().await;
    assert_eq!(stopped_subscriptions(pool).await.unwrap().len(), 1);
    let new = Copy::start(pool, "new", LONG);
    eventually_handled(pool, "unknown", &[1, 2]).await;
    testkit::eventually(PATIENCE, || async { stopped_subscriptions(pool).await.unwrap().is_empty() }).await;
    new.stop().await;
    writer.close().await;
}
