//! Stuck sagas, and parked streams.

use domain::order::{Order, OrderEvent};
use serde_json::json;

use crate::support::{Fixture, PATIENCE, ids};

#[tokio::test]
async fn five_hundred_stuck_sagas_are_each_decided_once_though_a_process_crashes() {
    let fixture = Fixture::new(vec![]).await;
    let all = ids("o", 500);
    fixture.stuck(&all, "reserve_stock").await;
    let id = fixture.begin("retry_sagas", json!({ "step": "reserve_stock", "error": "no answer" }), 100).await;
    // These are mended by others before it comes to them.
    fixture.execute("delete from saga_work where order_id in ('o-490', 'o-495', 'o-499')").await;
    let first = fixture.work();
    testkit::eventually(PATIENCE, || async { fixture.action(&id).await["done"].as_i64().unwrap() >= 50 }).await;
    first.crash().await;
    let (before, _) = fixture.decisions().await;
    // As if nothing had been saved, and as if the lease had run out.
    fixture
        .execute(
            "update bulk_actions set cursor = null, done = 0, leased_until = clock_timestamp() - interval '1 second'",
        )
        .await;

    let (second, third) = (fixture.work(), fixture.work());
    let ended = fixture.ended(&id).await;
    second.stop().await;
    third.stop().await;
    assert!((50..500).contains(&before), "{before}");
    assert_eq!((&ended["state"], &ended["note"]), (&json!("finished"), &json!(null)), "{ended}");
    let counts = [&ended["matched"], &ended["done"], &ended["movedOn"], &ended["failed"]];
    assert_eq!(counts, [&json!(500), &json!(497), &json!(3), &json!(0)]);
    assert_eq!(fixture.decisions().await, (497, 497));
    let events = fixture.store.read_stream::<Order>("o-0").await.unwrap();
    let OrderEvent::OperatorIntervened(decided) = events[1].decode::<Order>().unwrap() else { panic!("{events:?}") };
    assert_eq!((decided.actor.as_str(), decided.reason), ("ada", format!("mended, bulk action {id}")));
    fixture.store.close().await;
}

#[tokio::test]
async fn one_that_can_not_be_decided_holds_up_no_other_and_is_named() {
    let fixture = Fixture::new(vec![]).await;
    // Nothing was captured of these.
    fixture.stuck(&ids("bad", 25), "capture_payment").await;
    fixture.stuck(&ids("good", 5), "reserve_stock").await;
    let id = fixture.begin("retry_sagas", json!({}), 100).await;
    let worker = fixture.work();
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!([&ended["state"], &ended["done"], &ended["failed"]], [&json!("finished"), &json!(5), &json!(25)]);
    assert_eq!(ended["errors"].as_array().unwrap().len(), 20);
    let expected = json!({ "id": "bad-0", "error": "capture_payment is not what the order waits for" });
    assert_eq!(ended["errors"][0], expected);
    assert_eq!(fixture.decisions().await, (5, 5));
    fixture.store.close().await;
}

#[tokio::test]
async fn orders_are_undone_at_a_step_and_those_that_are_named_alone() {
    let fixture = Fixture::new(vec![]).await;
    fixture.stuck(&ids("o", 5), "reserve_stock").await;
    let filter = json!({ "step": "reserve_stock", "orderIds": ["o-1", "o-3", "nobody"] });
    let id = fixture.begin("compensate_sagas", filter, 100).await;
    let worker = fixture.work();
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!([&ended["matched"], &ended["done"]], [&json!(2), &json!(2)], "{ended}");
    let undone = fixture.store.read_stream::<Order>("o-3").await.unwrap();
    assert_eq!(undone[1].event_type, "OperatorIntervened");
    assert_eq!(fixture.store.read_stream::<Order>("o-2").await.unwrap().len(), 1);
    fixture.store.close().await;
}

#[tokio::test]
async fn one_that_is_stopped_does_no_more() {
    let fixture = Fixture::new(vec![]).await;
    fixture.stuck(&ids("o", 200), "reserve_stock").await;
    let id = fixture.begin("retry_sagas", json!({}), 1).await;
    let worker = fixture.work();
    testkit::eventually(PATIENCE, || async { fixture.action(&id).await["done"].as_i64().unwrap() >= 1 }).await;
    let (_, asked) = fixture.post(&format!("/bulk-actions/{id}/stop"), None, &json!({})).await;
    assert!(["stopping", "stopped"].contains(&asked["state"].as_str().unwrap()), "{asked}");
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!(ended["state"], "stopped");
    let done = ended["done"].as_i64().unwrap();
    assert!(done < 200, "{ended}");
    assert_eq!(fixture.decisions().await, (done, done));
    // It stays as it is.
    let (_, again) = fixture.post(&format!("/bulk-actions/{id}/stop"), None, &json!({})).await;
    assert_eq!(again, ended);
    fixture.store.close().await;
}

#[tokio::test]
async fn one_that_is_stopped_before_it_begins_does_nothing_and_one_of_nothing_ends() {
    let fixture = Fixture::new(vec![]).await;
    let nothing = fixture.begin("retry_sagas", json!({ "error": "nobody has this" }), 100).await;
    fixture.stuck(&ids("o", 3), "reserve_stock").await;
    let stopped = fixture.begin("retry_sagas", json!({}), 100).await;
    fixture.post(&format!("/bulk-actions/{stopped}/stop"), None, &json!({})).await;
    let worker = fixture.work();
    let (nothing, stopped) = (fixture.ended(&nothing).await, fixture.ended(&stopped).await);
    worker.stop().await;
    assert_eq!([&nothing["state"], &nothing["matched"], &nothing["done"]], [&json!("finished"), &json!(0), &json!(0)]);
    assert_eq!([&stopped["state"], &stopped["matched"], &stopped["done"]], [&json!("stopped"), &json!(3), &json!(0)]);
    assert_eq!(fixture.decisions().await, (0, 0));
    fixture.store.close().await;
}

#[tokio::test]
async fn one_that_broke_off_too_often_is_given_up_and_acts_on_nothing_more() {
    let fixture = Fixture::new(vec![]).await;
    fixture.stuck(&ids("o", 3), "reserve_stock").await;
    let id = fixture.begin("retry_sagas", json!({}), 100).await;
    fixture
        .execute(
            "update bulk_actions set failures_in_row = 19, note = 'it panics: no such place',
                    leased_until = clock_timestamp() - interval '1 second'",
        )
        .await;
    let worker = fixture.work();
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!([&ended["state"], &ended["note"]], [&json!("failed"), &json!("it panics: no such place")], "{ended}");
    assert_eq!(fixture.decisions().await, (0, 0));
    fixture.store.close().await;
}

#[tokio::test]
async fn of_each_parked_stream_the_first_event_is_skipped_and_no_other() {
    let fixture = Fixture::new(vec![]).await;
    fixture
        .execute(
            "insert into parked_events (subscription, stream_type, stream_id, position, version, event_type, error, parked_at)
             select 'orders', 'order', 'o-' || stream, stream * 10 + event, event, 'OrderCreated',
                    case when event = 1 then 'poison' end, '2026-11-20T00:00:00Z'
               from generate_series(1, 4) as stream, generate_series(1, 3) as event",
        )
        .await;
    fixture.execute("update parked_events set error = 'other' where stream_id = 'o-4' and error is not null").await;
    let body = json!({ "kind": "skip_parked_events", "filter": { "subscription": "orders", "error": "poison" } });
    let (_, preview) = fixture.post("/bulk-actions/preview", None, &body).await;
    assert_eq!((&preview["matched"], &preview["items"][0]["id"]), (&json!(3), &json!("o-1")));
    let id = fixture.begin("skip_parked_events", body["filter"].clone(), 100).await;
    let worker = fixture.work();
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!([&ended["done"], &ended["movedOn"]], [&json!(3), &json!(0)], "{ended}");
    let asked = "select stream_id, position from parked_events where request = 'skip' order by position";
    let asked: Vec<(String, i64)> = sqlx::query_as(asked).fetch_all(fixture.database.pool()).await.unwrap();
    assert_eq!(asked, [("o-1".to_owned(), 11), ("o-2".to_owned(), 21), ("o-3".to_owned(), 31)]);
    fixture.store.close().await;
}
