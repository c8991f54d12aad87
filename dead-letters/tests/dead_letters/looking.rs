//! Which there are, and one with all of it.

use std::time::Duration;

use http::StatusCode;
use messaging::MessageSigningKeys;
use serde_json::{Value, json};

use crate::support::{Desk, ORDER, REQUEST, TestQueues, keys};

#[tokio::test]
async fn they_are_grouped_by_their_errors_and_stay_where_they_are() {
    let queues = TestQueues::new().await;
    queues.put(&[("o-1", "poison"), ("o-2", "poison"), (ORDER, REQUEST)], keys()).await;
    let desk = Desk::new(queues.dead()).await;

    let list = desk.get("/dead-letters").await.json;
    let counts: Vec<_> = list["errors"].as_array().unwrap().iter().map(|it| it["count"].as_u64().unwrap()).collect();
    assert_eq!((&list["errors"][0]["error"], counts), (&json!("no use: poison"), vec![2, 1]), "{list}");
    assert_eq!(list["queues"][0], json!({ "queue": "notifications", "read": 3, "unseen": 0 }));
    assert_eq!(list["queues"][1], json!({ "queue": "replies", "read": 0, "unseen": 0 }));
    let poisoned = desk.get("/dead-letters?queue=notifications&error=poison").await.json;
    assert_eq!(poisoned["items"].as_array().unwrap().len(), 2, "{poisoned}");
    assert_eq!(desk.get("/dead-letters?queue=replies").await.json["items"], json!([]));
    // Nobody else misses them.
    assert_eq!(queues.count().await, 3);
    let mut scan = queues.dead()[0].sweep();
    assert_eq!(scan.next(10).await.unwrap().len(), 3);
    scan.release().await;
    desk.store.close().await;
}

#[tokio::test]
async fn what_was_read_a_while_ago_is_shown_while_they_are_read_again() {
    let queues = TestQueues::new().await;
    queues.put(&[("o-1", "poison")], keys()).await;
    let desk = Desk::new(queues.dead()).await;
    let read = async || desk.get("/dead-letters").await.json["queues"][0]["read"].clone();
    assert_eq!(read().await, 1);
    queues.put(&[("o-2", "poison")], keys()).await;
    later(Duration::from_secs(6)).await;
    assert_eq!(read().await, 1, "nobody waits");
    while read().await == 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    queues.put(&[("o-3", "poison")], keys()).await;
    later(Duration::from_secs(61)).await;
    assert_eq!(read().await, 3, "that is too old");
    desk.store.close().await;
}

/// Has so much time pass.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn one_is_shown_with_what_is_wrong_with_it_and_where() {
    let queues = TestQueues::new().await;
    let broken = REQUEST.replacen("\"attempt\":1", "\"attempt\":\"often\"", 1);
    assert_ne!(broken, REQUEST);
    queues.put(&[("o-1", "{\n  oh"), (ORDER, &broken)], keys()).await;
    queues.put(&[("o-9", "forged")], MessageSigningKeys::random("test").unwrap()).await;
    let desk = Desk::new(queues.dead()).await;

    let broken_json = desk.get(&desk.path_of("o-1").await).await.json;
    let place = &broken_json["broken"];
    assert_eq!((&place["line"], &place["pointer"]), (&json!(2), &json!("")), "{broken_json}");
    assert_eq!((&broken_json["body"], &broken_json["forged"]), (&json!("{\n  oh"), &Value::Null));
    let path = desk.path_of(ORDER).await;
    let broken_data = desk.get(&path).await.json;
    assert_eq!(
        (&broken_data["broken"]["pointer"], &broken_data["attributes"]["ordo-error"].is_string()),
        (&json!("/data/attempt"), &true)
    );
    let old_id = broken_data["originalId"].as_str().unwrap().replace('/', "%2F");
    let by_old_id = format!("/dead-letters/notifications/{old_id}");
    assert_eq!(desk.get(&by_old_id).await.json["id"], broken_data["id"]);
    assert!(desk.get(&desk.path_of("o-9").await).await.json["forged"].is_string());
    for (path, status) in [
        ("/dead-letters/notifications/none", StatusCode::NOT_FOUND),
        ("/dead-letters/mails/none", StatusCode::NOT_FOUND),
        ("/dead-letters?queue=mails", StatusCode::UNPROCESSABLE_ENTITY),
        ("/dead-letters?error=%00", StatusCode::UNPROCESSABLE_ENTITY),
        ("/dead-letters?limit=1", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(desk.get(path).await.status, status, "{path}");
    }
    desk.store.close().await;
}

#[tokio::test]
async fn who_sees_errors_masked_may_not_ask_by_them() {
    let queues = TestQueues::new().await;
    let desk = Desk::new(queues.dead()).await;
    assert_eq!(desk.get_as_auditor("/dead-letters?error=a").await.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.get_as_auditor("/dead-letters").await.status, StatusCode::OK);
    desk.store.close().await;
}

#[tokio::test]
async fn a_process_without_queues_says_so() {
    let desk = Desk::new(Vec::new()).await;
    assert_eq!(desk.get("/dead-letters").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(desk.get("/dead-letters/replies/m-1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    desk.store.close().await;
}
