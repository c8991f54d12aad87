//! The queue of commands, and what is refused when it is full.

use std::time::Duration;

use domain::order::Order;
use domain::stock::Stock;
use event_store::{AppendError, AppendQueueSettings, EventStore, StreamLocks};

use crate::support::*;

#[tokio::test]
async fn appends_that_may_wait_wait_for_room_in_the_queue() {
    let database = testkit::database().await;
    let store =
        EventStore::start(database.pool().clone(), AppendQueueSettings { queue: 1, ..AppendQueueSettings::default() });
    let mut blocker = database.pool().begin().await.unwrap();
    sqlx::query(HELD).execute(&mut *blocker).await.unwrap();
    let waiting = (0..5).map(|n| {
        let store = store.waiting_when_full();
        tokio::spawn(async move { store.append(vec![append(&format!("a{n}"), 0, vec![created()])]).await })
    });
    let waiting: Vec<_> = waiting.collect();
    testkit::eventually(Duration::from_secs(10), || async { store.ensure_capacity().is_err() }).await;
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
    let store =
        EventStore::start(database.pool().clone(), AppendQueueSettings { queue: 2, ..AppendQueueSettings::default() });
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
async fn an_append_that_holds_locks_does_not_wait_for_room_in_the_queue() {
    let database = testkit::database().await;
    let store =
        EventStore::start(database.pool().clone(), AppendQueueSettings { queue: 1, ..AppendQueueSettings::default() });
    let locks = StreamLocks::<Stock>::new(store.clone(), 10);
    let mut blocker = database.pool().begin().await.unwrap();
    sqlx::query(HELD).execute(&mut *blocker).await.unwrap();
    let patient = store.waiting_when_full();
    let waiting = (0..2).map(|n| {
        let store = patient.clone();
        tokio::spawn(async move { store.append(vec![append(&format!("a{n}"), 0, vec![created()])]).await })
    });
    let waiting: Vec<_> = waiting.collect();
    testkit::eventually(Duration::from_secs(10), || async { store.ensure_capacity().is_err() }).await;

    let locked = locks.lock(["sku-1".to_owned()].into()).await.unwrap();
    let append = locked.into_append(vec![append("b", 0, vec![created()])]);
    let refused = tokio::time::timeout(Duration::from_secs(5), patient.append(append)).await.unwrap();
    assert!(matches!(refused, Err(AppendError::QueueFull)), "{refused:?}");

    blocker.rollback().await.unwrap();
    for asked in waiting {
        asked.await.unwrap().unwrap();
    }
    store.close().await;
}
