//! The log that appends leave.

use domain::order::{Order, OrderEvent};
use event_store::{Metadata, NewEvent, Versioned};

use crate::support::*;

#[tokio::test]
async fn what_was_appended_is_what_is_loaded() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let metadata = Metadata { actor: Some("shop".into()), ..Metadata::default() };
    let event = NewEvent::new(&OrderEvent::OrderCreated(content()), &metadata).unwrap();

    let appended = store.append(vec![append("a", 0, vec![event])]).await.unwrap();

    assert_eq!(appended.version, 1);
    let loaded: Versioned<Order> = store.load("a").await.unwrap();
    assert_eq!((loaded.version, loaded.last_position), (1, appended.position));
    let Order::Placed(placed) = loaded.state else { panic!("no order") };
    assert_eq!(placed.content, content());
    let stored = store.read_stream::<Order>("a").await.unwrap();
    assert_eq!(stored[0].metadata(), metadata);
    assert_eq!(stored[0].event_id.get_version_num(), 7);
    store.close().await;
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
    let refused = event_store::database_checks::check_durability(quick.pool()).await.unwrap_err();
    assert!(refused.to_string().contains("fsync = off"), "{refused}");
    event_store::database_checks::check_durability(testkit::durable_database().await.pool()).await.unwrap();
}
