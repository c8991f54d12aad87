//! The fulfilment saga against a real database and real queues; the test plays notification.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod fixture;
mod queue;

use std::time::Duration;

use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent, decide};
use event_store::{Metadata, NewEvent, StreamAppend, Versioned};
use serde_json::json;

use crate::fixture::{Fixture, NEVER, PATIENCE, answering_within, failed, messages_in, run, sent};

#[tokio::test]
async fn an_order_is_confirmed_its_mail_asked_for_and_the_answer_recorded() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;

    let request = saga.request().await;
    assert_eq!((request.subject.as_str(), request.data.attempt), ("a", 1));
    assert_eq!((request.data.total_amount.as_str(), request.data.lines.len()), ("129.99", 1));
    assert_eq!(saga.events("a").await, ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]);
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;

    saga.answer("a", sent(&request.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"],
    )
    .await;
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 0 }).await;
    assert_eq!(saga.requests_waiting().await, 0);
    saga.end().await;
}

#[tokio::test]
async fn a_mail_that_failed_for_good_is_on_the_order_and_so_is_its_late_success() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    let request = saga.request().await;

    saga.answer("a", failed(&request.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationFailed"],
    )
    .await;
    saga.answer("a", sent(&request.data)).await;
    saga.eventually_has(
        "a",
        &[
            "OrderCreated",
            "StockReserved",
            "PaymentAuthorized",
            "OrderConfirmed",
            "NotificationFailed",
            "NotificationSent",
        ],
    )
    .await;
    saga.end().await;
}

#[tokio::test]
async fn a_request_that_got_lost_is_sent_again_as_the_same_mail() {
    let saga = Fixture::start(Duration::from_secs(1)).await;
    saga.take("a").await;
    // Taken from the queue and never answered: as good as purged.
    let first = saga.request().await;

    let second = saga.request().await;
    assert_eq!((first.data.attempt, second.data.attempt), (1, 2));
    assert_eq!(first.data.notification_id, second.data.notification_id);
    saga.answer("a", sent(&second.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"],
    )
    .await;
    saga.end().await;
}

#[tokio::test]
async fn everything_done_twice_changes_nothing_the_second_time() {
    let mut saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    let request = saga.request().await;

    // As after a crash between every effect and its record: the log is read from the start again.
    saga.stop_saga().await;
    sqlx::query("delete from subscription_partitions").execute(saga.database.pool()).await.unwrap();
    sqlx::query("delete from saga_work").execute(saga.database.pool()).await.unwrap();
    (saga.stop, saga.saga) = run(&saga.store, &saga.client, &saga.queues, answering_within(NEVER));
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;
    assert_eq!(saga.events("a").await, ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]);
    // The request went out again under the same deduplication id, which the queue drops.
    assert_eq!(saga.requests_waiting().await, 0);

    saga.answer("a", sent(&request.data)).await;
    saga.answer("a", sent(&request.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"],
    )
    .await;
    testkit::eventually(PATIENCE, || async { messages_in(&saga.client, &saga.queues.replies.url).await == 0 }).await;
    assert_eq!(saga.events("a").await.len(), 5);
    saga.end().await;
}

#[tokio::test]
async fn a_mail_that_nobody_ever_answers_is_given_up_and_says_so() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    saga.request().await;
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;

    // As if an hour and a half of requests had passed.
    sqlx::query("update saga_work set sent = 14, due_at = now()").execute(saga.database.pool()).await.unwrap();
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationFailed"],
    )
    .await;
    let events = saga.store.read_stream::<Order>("a").await.unwrap();
    let OrderEvent::NotificationFailed(failed) = events[4].decode::<Order>().unwrap() else { panic!("not failed") };
    assert_eq!(failed.reason, "no answer to 14 requests");
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 0 }).await;
    saga.end().await;
}

/// Numbers come at any time: while a mail is waited for, or long after a step got stuck.
#[tokio::test]
async fn a_number_of_an_order_or_of_its_invoice_begins_no_step_anew() {
    let saga = Fixture::start(NEVER).await;
    let row = || async {
        let row = "select row_to_json(saga_work)::jsonb from saga_work where order_id = 'a'";
        sqlx::query_scalar::<_, serde_json::Value>(row).fetch_one(saga.database.pool()).await.unwrap()
    };
    let is_behind = "select 16 > count(*) from subscription_partitions where subscription = 'order_fulfilment'
                       and position >= (select max(global_position) from events)";
    let is_up_to_date =
        || async { !sqlx::query_scalar::<_, bool>(is_behind).fetch_one(saga.database.pool()).await.unwrap() };
    saga.take("a").await;
    saga.request().await;
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;
    testkit::eventually(PATIENCE, is_up_to_date).await;
    let tried = "update saga_work set sent = 9, failures = 7, stuck = true, due_at = 'infinity', last_error = 'x'";
    sqlx::query(tried).execute(saga.database.pool()).await.unwrap();
    let before = row().await;

    let numbers = [
        json!({ "OrderNumbered": { "orderNumber": "A-000001", "series": "A", "sequence": 1 } }),
        json!({ "InvoiceIssued": {
            "documentId": "00000000-0000-7000-8000-000000000001", "number": "INV-2026-000001", "series": "INV-2026",
            "sequence": 1, "issuedOn": "2026-11-30", "shipmentId": "s-1", "totalMinor": 1,
        } }),
    ];
    for number in numbers {
        let number: OrderEvent = serde_json::from_value(number).unwrap();
        let read = saga.store.read_stream::<Order>("a").await.unwrap();
        let events = vec![NewEvent::new(&number, &Metadata::default()).unwrap()];
        let expected_version = read.last().unwrap().version;
        let append = StreamAppend { stream_type: "order", stream_id: "a".to_owned(), expected_version, events };
        saga.store.append(vec![append]).await.unwrap();
        testkit::eventually(PATIENCE, is_up_to_date).await;
    }

    assert_eq!(row().await, before);
    assert_eq!(saga.requests_waiting().await, 0);
    saga.end().await;
}

#[tokio::test]
async fn an_answer_about_no_order_ends_in_the_dead_letter_queue() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    let request = saga.request().await;
    saga.answer("b", sent(&request.data)).await;
    let dead = &saga.queues.replies.dead_letter_url;
    testkit::eventually(PATIENCE, || async { messages_in(&saga.client, dead).await == 1 }).await;
    assert_eq!(saga.events("b").await.len(), 0);
    saga.end().await;
}

#[tokio::test]
async fn an_order_of_five_hundred_long_lines_still_fits_a_message() {
    let saga = Fixture::start(NEVER).await;
    let line = serde_json::json!({ "sku": "s", "title": "\"".repeat(220), "quantity": 1, "unitPrice": 1 });
    let mut order = testkit::demo_order("a");
    order["items"] = vec![line; 500].into();
    order["totalAmount"] = 500.into();
    let content = PostedOrder::parse(order.to_string().as_bytes()).unwrap().content;
    let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
    saga.store.execute("a", Versioned::default(), &Metadata::default(), create).await.unwrap();

    let request = saga.request().await.data;
    assert!(request.omitted_lines > 0);
    assert_eq!(request.lines.len() + usize::try_from(request.omitted_lines).unwrap(), 500);
    saga.end().await;
}

#[tokio::test]
async fn one_order_that_cannot_be_read_does_not_hold_up_the_deadlines_of_others() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    saga.request().await;
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;
    let pool = saga.database.pool();
    // The subscription stops at it; what is due goes on.
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('order', 'strange', 1, 'OrderTeleported', '1.0', '{\"OrderTeleported\":{}}', '{}')",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into saga_work (saga, order_id, step, due_at)
         select 'order_fulfilment', id, 'notify_customer', now() - interval '1 day' from unnest(array['strange', 'gone']) as id",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("update saga_work set due_at = now() where order_id = 'a'").execute(pool).await.unwrap();

    assert_eq!(saga.request().await.data.attempt, 2);
    let noted = "select last_error from saga_work where order_id = 'strange' and failures > 0";
    testkit::eventually(PATIENCE, || async {
        let error: Option<String> = sqlx::query_scalar(noted).fetch_optional(pool).await.unwrap();
        error.is_some_and(|error| error.contains("OrderTeleported"))
    })
    .await;
    // Of the order that is not there nothing is left.
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 2 }).await;
    saga.end().await;
}
