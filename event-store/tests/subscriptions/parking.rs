//! An event that can't be handled stops its stream, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use domain::order::Order;
use event_store::operations::{ParkedStreamAction, RequestCondition, checkpoints, parked_events, request_parked};
use event_store::{StoredEvent, SubscriberError};

use crate::support::{
    Check, Copy, LONG, NAME, PATIENCE, Recorder, append, append_unknown, database, eventually_handled,
    eventually_shared, handled, parked_versions, store, versions,
};

fn poison() -> SubscriberError {
    SubscriberError::poison("this one is bad")
}

/// Objects to the second event of stream `bad` for as long as the flag is up.
fn objecting(to_bad: &Arc<AtomicBool>) -> Check {
    let to_bad = Arc::clone(to_bad);
    Arc::new(move |event: &StoredEvent| {
        let is_bad = event.stream_id == "bad" && event.version == 2 && to_bad.load(Ordering::SeqCst);
        if is_bad { Err(poison()) } else { Ok(()) }
    })
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn stays(versions: &[(i64, bool)]) -> Vec<(String, i64, bool)> {
    versions.iter().map(|(version, failed)| ("bad".to_owned(), *version, *failed)).collect()
}

#[tokio::test]
async fn a_poison_event_parks_its_stream_and_everything_else_goes_on() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    for version in 0..3 {
        append(&writer, "good", version).await;
        append(&writer, "bad", version).await;
    }

    // When
    let copy = Copy::checking(pool, "copy", LONG, objecting(&flag()));

    // Then: what came before it in its stream is done, what comes after waits, then and later.
    eventually_handled(pool, "good", &[1, 2, 3]).await;
    eventually_handled(pool, "bad", &[1]).await;
    assert_eq!(parked_versions(pool).await, stays(&[(2, true), (3, false)]));
    append(&writer, "bad", 3).await;
    let last = append(&writer, "good", 3).await;
    eventually_handled(pool, "good", &[1, 2, 3, 4]).await;
    assert_eq!(versions(pool, "bad").await, [1]);
    assert_eq!(parked_versions(pool).await, stays(&[(2, true), (3, false), (4, false)]));
    let first = parked_events(pool, None).await.unwrap().remove(0);
    assert_eq!((first.error.as_deref(), first.attempts), (Some("this one is bad"), 1));
    testkit::eventually(PATIENCE, || async { checkpoints(pool).await.unwrap()[NAME] == last }).await;
    copy.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn a_parked_stream_that_is_retried_goes_on_in_order() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let objects = flag();
    let copy = Copy::checking(pool, "copy", LONG, objecting(&objects));
    for version in 0..4 {
        append(&writer, "bad", version).await;
    }
    testkit::eventually(PATIENCE, || async { parked_versions(pool).await.len() == 3 }).await;

    // When it is tried while it still can't be handled, then it stays, and says so.
    request_parked(pool, NAME, "bad", ParkedStreamAction::Retry, RequestCondition::Always).await.unwrap();
    testkit::eventually(PATIENCE, || async { parked_events(pool, None).await.unwrap()[0].attempts == 2 }).await;
    assert_eq!(parked_versions(pool).await, stays(&[(2, true), (3, false), (4, false)]));
    assert!(parked_events(pool, None).await.unwrap().iter().all(|event| event.request.is_none()));
    assert_eq!(versions(pool, "bad").await, [1]);

    // When what was wrong is mended, then it goes on.
    objects.store(false, Ordering::SeqCst);
    request_parked(pool, NAME, "bad", ParkedStreamAction::Retry, RequestCondition::Always).await.unwrap();
    eventually_handled(pool, "bad", &[1, 2, 3, 4]).await;
    assert!(parked_versions(pool).await.is_empty());
    append(&writer, "bad", 4).await;
    eventually_handled(pool, "bad", &[1, 2, 3, 4, 5]).await;
    copy.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn an_event_that_is_skipped_is_never_handled_and_its_stream_goes_on_behind_it() {
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    // Parked by one copy, skipped by the next.
    let one = Copy::checking(pool, "one", LONG, objecting(&flag()));
    for version in 0..4 {
        append(&writer, "bad", version).await;
    }
    testkit::eventually(PATIENCE, || async { parked_versions(pool).await.len() == 3 }).await;
    one.stop().await;
    let other = Copy::checking(pool, "other", LONG, objecting(&flag()));
    eventually_shared(pool, &[16]).await;

    request_parked(pool, NAME, "bad", ParkedStreamAction::Skip, RequestCondition::Always).await.unwrap();

    eventually_handled(pool, "bad", &[1, 3, 4]).await;
    assert!(parked_versions(pool).await.is_empty());
    other.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn only_the_event_that_was_looked_at_is_skipped() {
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let copy = Copy::checking(pool, "copy", LONG, objecting(&flag()));
    for version in 0..3 {
        append(&writer, "bad", version).await;
    }
    testkit::eventually(PATIENCE, || async { parked_versions(pool).await.len() == 2 }).await;
    // Nobody does what is asked for.
    copy.stop().await;
    let parked = parked_events(pool, None).await.unwrap();
    let (first, second) = (parked[0].position, parked[1].position);
    let ask = |action, condition| request_parked(pool, NAME, "bad", action, condition);
    let requests = || async {
        let parked = parked_events(pool, None).await.unwrap();
        parked.into_iter().map(|event| event.request).collect::<Vec<_>>()
    };

    // One that is not the first is named, and nothing changes.
    for stale in [first - 1, second] {
        let refused = ask(ParkedStreamAction::Skip, RequestCondition::First(stale)).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("at position {first} now")), "{refused}");
    }
    assert_eq!(requests().await, [None, None]);

    // Asked for twice at once, it is asked for once. Another request does not take its place, unless it is told to.
    let skip = || ask(ParkedStreamAction::Skip, RequestCondition::First(first));
    let (one, other) = tokio::join!(skip(), skip());
    one.and(other).unwrap();
    let refused = ask(ParkedStreamAction::Retry, RequestCondition::NoOtherRequest).await.unwrap_err().to_string();
    assert_eq!(refused, "skip is asked for already for stream bad in recorder, and not done yet");
    assert_eq!(requests().await, [Some("skip".to_owned()), None]);
    ask(ParkedStreamAction::Retry, RequestCondition::Always).await.unwrap();
    assert_eq!(requests().await, [Some("retry".to_owned()), None]);
    ask(ParkedStreamAction::Skip, RequestCondition::First(first)).await.unwrap_err();
    writer.close().await;
}

#[tokio::test]
async fn a_skip_holds_even_if_the_next_event_can_t_be_handled_either() {
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let from_the_second = |event: &StoredEvent| if event.version >= 2 { Err(poison()) } else { Ok(()) };
    let copy = Copy::checking(pool, "copy", LONG, Arc::new(from_the_second));
    for version in 0..3 {
        append(&writer, "bad", version).await;
    }
    testkit::eventually(PATIENCE, || async { parked_versions(pool).await.len() == 2 }).await;
    request_parked(pool, NAME, "bad", ParkedStreamAction::Skip, RequestCondition::Always).await.unwrap();
    testkit::eventually(PATIENCE, || async { parked_versions(pool).await == stays(&[(3, true)]) }).await;
    copy.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn a_handler_that_panics_parks_the_stream_it_panics_on() {
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    for stream in ["good", "bad", "fine"] {
        append(&writer, stream, 0).await;
    }
    let panics = |event: &StoredEvent| {
        assert!(event.stream_id != "bad", "as the test asked");
        Ok(())
    };
    let copy = Copy::checking(pool, "copy", LONG, Arc::new(panics));
    eventually_handled(pool, "fine", &[1]).await;
    eventually_handled(pool, "good", &[1]).await;
    assert_eq!(parked_versions(pool).await, stays(&[(1, true)]));
    let error = parked_events(pool, None).await.unwrap().remove(0).error.unwrap();
    assert_eq!(error, "the handler panicked: as the test asked");
    copy.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn what_the_database_refuses_for_its_content_is_poison() {
    let database = database().await;
    let pool = database.pool();
    let constraint = "alter table handled add constraint nothing_bad check (stream <> 'bad')";
    sqlx::query(constraint).execute(pool).await.unwrap();
    let writer = store(pool, LONG);
    append(&writer, "bad", 0).await;
    append(&writer, "good", 0).await;
    let copy = Copy::start(pool, "copy", LONG);
    eventually_handled(pool, "good", &[1]).await;
    let error = parked_events(pool, None).await.unwrap().remove(0).error.unwrap();
    assert!(error.contains("nothing_bad"), "{error}");
    copy.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn while_the_world_around_fails_nothing_is_parked() {
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    for stream in ["a", "b", "c"] {
        append(&writer, stream, 0).await;
    }
    let failures = AtomicU32::new(3);
    let fails = move |_: &StoredEvent| {
        let fails = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        // As when a pool has no connection to give, or a queue does not answer.
        if fails { Err(sqlx::Error::PoolTimedOut.into()) } else { Ok(()) }
    };
    let copy = Copy::checking(pool, "copy", LONG, Arc::new(fails));
    testkit::eventually(PATIENCE, || async { handled(pool).await.len() == 3 }).await;
    assert!(parked_versions(pool).await.is_empty());
    // Its own connections are lost as well.
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    let _ = sqlx::query(end).execute(pool).await;
    testkit::eventually(PATIENCE, || async { writer.load::<Order>("a").await.is_ok() }).await;
    append(&writer, "d", 0).await;
    testkit::eventually(PATIENCE, || async {
        sqlx::query("select from handled where stream = 'd'").fetch_optional(pool).await.is_ok_and(|row| row.is_some())
    })
    .await;
    assert!(parked_versions(pool).await.is_empty());
    copy.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn an_unknown_event_stops_only_the_subscriber_that_can_t_read_it_and_parks_nothing() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    for version in 0..20 {
        append(&writer, "before", version).await;
    }
    append_unknown(pool, "unknown").await;
    append(&writer, "after", 0).await;

    // When: one build knows the event, another does not, and a third that does comes later.
    let decodes = |event: &StoredEvent| Ok(event.decode::<Order>().map(drop)?);
    let old = Copy::checking(pool, "old", LONG, Arc::new(decodes));
    let knowing = Recorder { name: "knowing", copy: "knowing", check: Arc::new(|_| Ok(())) };
    let knowing = Copy::of(pool, knowing, LONG);

    // Then: everything before it is done, nothing from it on.
    let by = |copy: &'static str| async move {
        let all = handled(pool).await;
        all.into_iter().filter(|row| row.copy == copy).map(|row| row.stream).collect::<Vec<_>>()
    };
    testkit::eventually(PATIENCE, || async { by("knowing").await.len() == 22 }).await;
    testkit::eventually(PATIENCE, || async { by("old").await.len() == 20 }).await;
    append(&writer, "before", 20).await;
    testkit::eventually(PATIENCE, || async { by("knowing").await.len() == 23 }).await;
    assert_eq!(by("old").await, ["before"; 20]);
    assert!(parked_versions(pool).await.is_empty());

    old.stop().await;
    let new = Copy::start(pool, "new", LONG);
    testkit::eventually(PATIENCE, || async { by("new").await == ["unknown", "after", "before"] }).await;
    new.stop().await;
    knowing.stop().await;
    writer.close().await;
}
