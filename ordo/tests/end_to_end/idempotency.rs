//! `Idempotency-Key`: a client that did not hear the answer asks again.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool};
use testkit::{demo_order, eventually};

use crate::support::{Client, Ordo, PATIENCE, event_count};

/// Only what these tests look at runs.
const SETTINGS: [(&str, &str); 1] = [("ORDO_ROLES", "command-api")];

fn without_id() -> Value {
    let mut order = demo_order("any");
    order.as_object_mut().unwrap().remove("orderId");
    order
}

#[tokio::test]
async fn an_order_posted_again_under_its_key_gets_its_answer_again() {
    let ordo = Ordo::up(&SETTINGS).await;
    let client = ordo.client();
    for (order, key) in [(without_id(), "k-1"), (demo_order("given"), "k-2")] {
        let first = client.order_once(&order, key).await.unwrap();
        assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""), "{}", first.text());

        let again = client.order_once(&order, key).await.unwrap();

        assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{}", again.text());
        assert_eq!(again.body, first.body);
        for header in ["location", "etag", "event-position", "content-type"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
    }
    assert_eq!(event_count(&ordo.database).await, 2);
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_and_changes_nothing() {
    let ordo = Ordo::up(&SETTINGS).await;
    let client = ordo.client();
    assert_eq!(client.order_once(&demo_order("a"), "k").await.unwrap().status, 201);

    let problem = client.order_once(&demo_order("b"), "k").await.unwrap().problem(422);

    assert_eq!(problem["code"], "idempotency-key-reused", "{problem}");
    // It is no order's answer.
    assert!(problem.get("orderId").is_none(), "{problem}");
    assert_eq!(event_count(&ordo.database).await, 1);
}

#[tokio::test]
async fn an_order_that_is_there_already_takes_the_key_of_whoever_posts_it_again() {
    let ordo = Ordo::up(&SETTINGS).await;
    let client = ordo.client();
    let first = client.order(&demo_order("a")).await;

    let keyed = client.order_once(&demo_order("a"), "k").await.unwrap();
    assert_eq!((keyed.status, &keyed.body), (201, &first.body));
    client.order_once(&demo_order("b"), "k").await.unwrap().problem(422);
    assert_eq!(event_count(&ordo.database).await, 1);
}

#[tokio::test]
async fn a_refused_order_leaves_its_key_free() {
    let ordo = Ordo::up(&SETTINGS).await;
    let client = ordo.client();
    let mut wrong = demo_order("a");
    wrong["currency"] = json!("ZZZ");
    client.order_once(&wrong, "k").await.unwrap().problem(422);

    assert_eq!(client.order_once(&demo_order("a"), "k").await.unwrap().status, 201);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let ordo = Ordo::up(&SETTINGS).await;
    let client = ordo.client();
    for key in ["", &"k".repeat(256)] {
        let problem = client.order_once(&demo_order("a"), key).await.unwrap().problem(400);
        assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"), "{problem}");
    }
    assert_eq!(event_count(&ordo.database).await, 0);
}

#[tokio::test]
async fn a_key_whose_request_is_still_running_is_refused_for_now() {
    let ordo = Ordo::up(&SETTINGS).await;
    // Given: whoever holds the log keeps the first request from being stored.
    let mut holder = PgConnection::connect(&ordo.database).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select events_lock(), set_config('idle_in_transaction_session_timeout', '0', true)")
        .execute(&mut *held)
        .await
        .unwrap();
    let first = tokio::spawn(post(ordo.client()));
    let pool = PgPool::connect(&ordo.database).await.unwrap();
    eventually(PATIENCE, || async {
        let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 1
    })
    .await;

    let problem = post(ordo.client()).await.problem(409);

    assert_eq!(problem["code"], "idempotency-key-in-use", "{problem}");
    held.rollback().await.unwrap();
    let first = first.await.unwrap();
    assert_eq!(first.status, 201);
    assert_eq!(post(ordo.client()).await.body, first.body);
}

async fn post(client: Client) -> crate::support::Answer {
    client.order_once(&without_id(), "k").await.unwrap()
}
