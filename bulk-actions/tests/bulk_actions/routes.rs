//! What operators are answered.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Fixture, ids};

fn retry(filter: &Value) -> Value {
    json!({ "kind": "retry_sagas", "filter": filter, "reason": "mended" })
}

#[tokio::test]
async fn a_preview_counts_and_shows_the_first() {
    let fixture = Fixture::new(vec![]).await;
    fixture.stuck(&ids("o", 30), "reserve_stock").await;
    let body = json!({ "kind": "retry_sagas", "filter": {} });
    let (status, preview) = fixture.post("/bulk-actions/preview", None, &body).await;
    assert_eq!((status, &preview["matched"]), (StatusCode::OK, &json!(30)));
    assert_eq!(preview["items"].as_array().unwrap().len(), 20);
    let first = json!({ "id": "o-0", "at": "reserve_stock", "error": "no answer", "since": "2026-11-20T00:00:01Z" });
    assert_eq!(preview["items"][0], first);
    assert_eq!(fixture.get("/bulk-actions").await.1, json!({ "items": [], "cursor": null }));
    fixture.store.close().await;
}

#[tokio::test]
async fn a_request_that_comes_again_begins_nothing_new() {
    let fixture = Fixture::new(vec![]).await;
    let (status, first) = fixture.post("/bulk-actions", Some("key-1"), &retry(&json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    let (status, again) = fixture.post("/bulk-actions", Some("key-1"), &retry(&json!({}))).await;
    assert_eq!((status, &again["id"]), (StatusCode::ACCEPTED, &first["id"]));
    let (status, other) = fixture.post("/bulk-actions", Some("key-1"), &retry(&json!({ "error": "x" }))).await;
    assert_eq!((status, &other["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency-key-reused")));
    let at_once = (0..5).map(|_| async { fixture.post("/bulk-actions", Some("key-2"), &retry(&json!({}))).await.1 });
    let at_once = futures_util::future::join_all(at_once).await;
    assert!(at_once.iter().all(|begun| begun["id"] == at_once[0]["id"]), "{at_once:?}");
    assert_eq!(fixture.get("/bulk-actions").await.1["items"].as_array().unwrap().len(), 2);
    fixture.store.close().await;
}

#[tokio::test]
async fn there_are_so_many_at_once_and_no_more() {
    let fixture = Fixture::new(vec![]).await;
    let all = (0..13).map(|_| fixture.post("/bulk-actions", None, retry_none()));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all.iter().filter(|(status, _)| *status == StatusCode::ACCEPTED).count(), 10);
    let refused = all.iter().find(|(status, _)| *status == StatusCode::CONFLICT).unwrap();
    assert_eq!((&refused.1["code"], &refused.1["limit"]), (&json!("limit-reached"), &json!(10)));
    let (_, page) = fixture.get("/bulk-actions?limit=6").await;
    let (_, rest) = fixture.get(&format!("/bulk-actions?limit=6&cursor={}", page["cursor"].as_str().unwrap())).await;
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (6, 4));
    assert_eq!(rest["cursor"], json!(null));
    fixture.store.close().await;
}

fn retry_none() -> &'static Value {
    static BODY: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| retry(&json!({ "error": "nobody" })));
    &BODY
}

#[tokio::test]
async fn two_on_dead_letters_do_not_run_at_the_same_time() {
    let fixture = Fixture::new(vec![]).await;
    fixture.begin("redrive_dead_letters", json!({}), 1).await;
    let body = json!({ "kind": "discard_dead_letters", "filter": {}, "reason": "old" });
    let (status, refused) = fixture.post("/bulk-actions", None, &body).await;
    assert_eq!((status, &refused["of"]), (StatusCode::CONFLICT, &json!("bulk-actions-on-dead-letters")));
    fixture.store.close().await;
}

#[tokio::test]
async fn mistakes_are_named_all_of_them_and_begin_nothing() {
    let fixture = Fixture::new(vec![]).await;
    let body = json!({ "kind": "compensate_sagas", "filter": { "error": "" }, "reason": " ", "rate": 0 });
    let (status, refused) = fixture.post("/bulk-actions", None, &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let pointers: Vec<_> =
        refused["errors"].as_array().unwrap().iter().map(|it| it["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/reason", "/rate", "/filter/step", "/filter/error"]);
    for body in [
        json!({}),
        json!({ "kind": "retry_all", "filter": {}, "reason": "x" }),
        json!({ "kind": "retry_sagas", "reason": "x" }),
    ] {
        assert_eq!(fixture.post("/bulk-actions", None, &body).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    let none = "/bulk-actions/00000000-0000-0000-0000-000000000000";
    for path in [none, "/bulk-actions/one"] {
        assert_eq!(fixture.get(path).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(fixture.post(&format!("{none}/stop"), None, &json!({})).await.0, StatusCode::NOT_FOUND);
    for query in ["limit=0", "limit=201", "cursor=x", "state=running"] {
        assert_eq!(fixture.get(&format!("/bulk-actions?{query}")).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    assert_eq!(fixture.get("/bulk-actions").await.1["items"], json!([]));
    fixture.store.close().await;
}
