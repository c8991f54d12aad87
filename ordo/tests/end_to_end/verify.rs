//! `ordo verify` finds what does not agree: a platform's database, spoiled in every way that it looks for.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use url::Url;

use crate::support::{Client, Deployment, Ordo, at_rest, order_of, run, verify};

const BOUND: Duration = Duration::from_secs(60);

/// What is done to the database, about what something is found, and what is said of it.
const SPOILED: &[(&str, &str, &str)] = &[
    // The log.
    (
        "delete from events where aggregate_id = 'shipped' and sequence = 3",
        "order shipped",
        "version 4 comes after version 2",
    ),
    ("delete from events where aggregate_id = 'shipped' and sequence = 1", "order shipped", "it has events, but was never created"),
    (
        "update events set global_position = -global_position where aggregate_id = 'shipped' and sequence = 2",
        "order shipped",
        "of the log, version 1 at",
    ),
    (
        r#"update events set payload = '{"OrderEaten": {}}' where aggregate_id = 'shipped' and sequence = 2"#,
        "order shipped",
        "can't be read: unknown variant `OrderEaten`",
    ),
    (
        r#"update events set payload = '{"StockEaten": {}}' where aggregate_id = 'sku' and sequence = 1"#,
        "stock sku",
        "can't be read: unknown variant `StockEaten`",
    ),
    // Orders by themselves.
    (
        r#"update events set payload = replace(payload::text, '"amountMinor":1000', '"amountMinor":999')::json
            where aggregate_id = 'shipped' and event_type = 'PaymentCaptured'"#,
        "order shipped",
        "what was shipped and settled is worth 1000, and 999 were captured",
    ),
    (
        r#"update events set payload = replace(payload::text, '"quantity":1', '"quantity":7')::json
            where aggregate_id = 'shipped' and event_type = 'OrderShipped'"#,
        "order shipped",
        "line 1: 2 ordered, 7 shipped, 1 returned",
    ),
    (
        r#"update events set payload = replace(payload::text, '"amountMinor":1000', '"amountMinor":2000')::json
            where aggregate_id = 'shipped' and event_type = 'PaymentRefunded'"#,
        "order shipped",
        "2000 were refunded of 1000 captured",
    ),
    // The books.
    (
        "update sandbox_payments set captured = 900, refunded = 0 where order_id = 'shipped'",
        "order shipped",
        "the books have 2000 authorized, 900 captured, 0 refunded; its events 2000 authorized, 1000 captured, 1000 refunded",
    ),
    (
        "delete from sandbox_movements; delete from sandbox_payments where order_id = 'shipped'",
        "order shipped",
        "which is not in the books",
    ),
    (
        "update sandbox_payments set closed_at = now() where order_id = 'shipped'",
        "order shipped",
        "0 are held, and 1000 are still to be shipped",
    ),
    (
        "update sandbox_payments set closed_at = null where order_id = 'cancelled'",
        "order cancelled",
        "it ended cancelled, and 1000 are held and 0 taken",
    ),
    (
        "insert into sandbox_payments (reference, key, order_id, currency, amount, captured)
         values ('other', 'other', 'rejected', 'USD', 10, 10)",
        "order rejected",
        "it ended rejected, and 0 are held and 10 taken",
    ),
    (
        "insert into sandbox_payments (reference, key, order_id, currency, amount) values ('other', 'other', 'shipped', 'USD', 10)",
        "order shipped",
        "2 authorizations of it hold money",
    ),
    (
        "insert into sandbox_payments (reference, key, order_id, currency, amount) values ('other', 'other', 'shipped', 'USD', 10)",
        "order shipped",
        "other holds 10 and took 0, and the order knows nothing of it",
    ),
    ("update sandbox_payments set currency = 'EUR' where order_id = 'shipped'", "order shipped", "it is in USD, and"),
    ("delete from sandbox_movements where kind = 'refund'", "payment sbx_pay_", "its captures come to 1000 and its refunds to 0"),
    (
        "insert into sandbox_payments (reference, key, order_id, currency, amount) values ('other', 'other', 'nobody', 'USD', 10)",
        "order nobody",
        "other pays for it, and there is no such order",
    ),
    // Units.
    (
        "delete from events where aggregate_type = 'stock' and event_type = 'ReservationMade'
            and payload::text like '%\"waiting\"%'",
        "SKU sku",
        "for order waiting: 0 set aside, 0 shipped; by the order: 1 set aside, 0 shipped",
    ),
    (
        r#"update events set payload = regexp_replace(payload::text, '"units":\[.*\],', '"units":[],')::json
            where aggregate_id = 'waiting' and event_type = 'StockReserved'"#,
        "SKU sku",
        "for order waiting: 1 set aside, 0 shipped; by the order: 0 set aside, 0 shipped",
    ),
    (
        r#"update events set payload = replace(payload::text, '"quantity":1', '"quantity":500')::json
            where aggregate_type = 'stock' and event_type = 'ReservationMade' and payload::text like '%"waiting"%'"#,
        "SKU sku",
        "100 are on hand and 501 set aside",
    ),
    (
        r#"update events set payload = replace(payload::text, '"quantity":1', '"quantity":50')::json
            where aggregate_type = 'stock' and event_type = 'ReservationCommitted'"#,
        "SKU sku",
        "but 101 came in and 50 were shipped",
    ),
    (
        r#"update events set payload = replace(payload::text, '"quantity":100', '"quantity":100,"location":"ulm"')::json
            where aggregate_id = 'sku' and event_type = 'StockReceived'"#,
        "SKU sku",
        "0 are on hand and",
    ),
    (
        r#"update events set payload = replace(payload::text, '"expiresAt"', '"location":"ulm","expiresAt"')::json
            where aggregate_type = 'stock' and event_type = 'ReservationMade' and payload::text like '%"waiting"%'"#,
        "SKU sku",
        "(at ulm: 1 set aside, 0 shipped); by the order: 1 set aside, 0 shipped",
    ),
    (
        r#"update events set payload = replace(payload::text, '"quantity":100', '"quantity":100,"unit":"kg"')::json
            where aggregate_id = 'sku' and event_type = 'StockReceived'"#,
        "SKU sku",
        "it is counted in kg, and the event at position",
    ),
    (
        r#"update events set payload = replace(payload::text, '"quantity":100', '"quantity":100,"unit":"kg"')::json
            where aggregate_id = 'sku' and event_type = 'StockReceived'"#,
        "SKU sku",
        "for order waiting: 1 set aside, 0 shipped, in thousandths of kg; by the order: 1 set aside, 0 shipped",
    ),
    (
        r#"update events set payload = replace(payload::text, '"quantity":1', '"quantity":1,"location":"ulm"')::json
            where aggregate_type = 'stock' and event_type = 'StockReturned'"#,
        "SKU sku",
        "for order shipped: 1 set aside, 1 shipped, 1 put back at ulm; by the order: 1 set aside, 1 shipped, 1 put back",
    ),
    (
        r#"update events set payload = replace(payload::text, '"delta":-1', '"delta":-100')::json
            where aggregate_id = 'sku' and event_type = 'StockAdjusted'"#,
        "SKU sku",
        "1 are on hand and 2 set aside",
    ),
    (
        "delete from events where aggregate_id = 'few' and event_type = 'StockRecovered'",
        "SKU few",
        "it ran low, and had done so before",
    ),
    (
        r#"update events set payload = replace(payload::text, '"available":2', '"available":1')::json
            where aggregate_id = 'few' and event_type = 'StockRanLow'"#,
        "SKU few",
        "it ran low with 1 of 3, and 2 of 3 were available",
    ),
    (
        "delete from events where aggregate_id = 'few' and sequence = 8",
        "SKU few",
        "its events say that it is not low, and 2 of 3 are available",
    ),
    // Snapshots.
    (
        r#"insert into stream_snapshots (aggregate_type, aggregate_id, version, last_event, state_version, state, digest)
           select aggregate_type, aggregate_id, sequence, event_id, 9, '"Untracked"',
                  sha256(uuid_send(event_id) || int4send(9) || convert_to('"Untracked"', 'UTF8'))
             from events where aggregate_id = 'sku' and sequence = 1"#,
        "SKU sku",
        "its snapshot at version 1 is not what its events come to",
    ),
    (
        r#"insert into stream_snapshots (aggregate_type, aggregate_id, version, last_event, state_version, state, digest)
           select aggregate_type, aggregate_id, sequence, event_id, 9, '"Untracked"', ''
             from events where aggregate_id = 'sku' and sequence = 1"#,
        "SKU sku",
        "its snapshot at version 1 is damaged",
    ),
    // Sagas.
    ("delete from saga_work where order_id = 'waiting'", "order waiting", "notify_customer is due, and nobody will look: half done in silence"),
    (
        "insert into saga_work (saga, order_id, step, due_at) values ('order_fulfilment', 'nobody', 'notify_customer', now())",
        "order nobody",
        "order_fulfilment waits for it, and there is no such order",
    ),
    // Mails.
    (
        "insert into notification_deliveries (notification_id, order_id, template, recipient, outcome, provider_message_id, attempts)
         values (gen_random_uuid(), 'rejected', 'order-confirmed', 'a@example.com', 'sent', 'm-1', 1)",
        "order rejected",
        "1 mails order-confirmed were sent, and what they tell happened 0 times",
    ),
    (
        "insert into notification_deliveries (notification_id, order_id, template, recipient, outcome, provider_message_id, attempts)
         values (gen_random_uuid(), 'shipped', 'order-confirmed', 'a@example.com', 'sent', 'm-1', 1)",
        "order shipped",
        "2 mails order-confirmed were sent, and what they tell happened 1 times",
    ),
    (
        "insert into notification_deliveries (notification_id, order_id, template, recipient, outcome, provider_message_id, attempts)
         values (gen_random_uuid(), 'nobody', 'order-confirmed', 'a@example.com', 'sent', 'm-1', 1)",
        "order nobody",
        "a mail order-confirmed was sent, and there is no such order",
    ),
    (
        "delete from notification_deliveries where order_id = 'rejected'",
        "order rejected",
        "is noted as sent, and there is no record of it",
    ),
    (
        "update notification_deliveries set provider_message_id = 'another' where order_id = 'rejected'",
        "order rejected",
        "and recorded as another",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_does_not_agree_is_found() {
    // Given a database in which orders have ended in every way, and one still waits to be told of.
    let deployment = Deployment::new(&[]).await;
    live(&deployment).await;
    let url = deployment.database.url();
    let told = verify(url).await;
    assert_eq!((&told["ok"], &told["sagas"]["waiting"]), (&json!(true), &json!(1)), "{told}");
    let ended = (&told["sagas"]["completed"], &told["sagas"]["compensated"], &told["orders"], &told["skus"]);
    assert_eq!(ended, (&json!(1), &json!(2), &json!(4), &json!(2)), "{told}");

    for (nth, (spoil, about, what)) in SPOILED.iter().enumerate() {
        // When
        let copy = copy(url, &format!("spoiled_{nth}")).await;
        let mut connection = PgConnection::connect(&copy).await.unwrap();
        connection.execute("alter table events disable trigger events_are_final").await.unwrap();
        let before: String = fingerprint(&mut connection).await;
        connection.execute(*spoil).await.unwrap_or_else(|error| panic!("{spoil}: {error}"));
        assert_ne!(fingerprint(&mut connection).await, before, "{spoil} changes nothing");
        connection.close().await.unwrap();

        // Then
        let told = verify(&copy).await;
        assert_eq!(told["ok"], false, "{spoil}: {told}");
        let findings = told["findings"].as_array().unwrap();
        let found = |it: &Value| {
            it["about"].as_str().unwrap().starts_with(about) && it["what"].as_str().unwrap().contains(what)
        };
        assert!(findings.iter().any(found), "{spoil}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_in_words_what_is_wrong_and_fails() {
    let database = testkit::durable_database().await;
    let settings = [("DATABASE_URL", database.url())];
    assert_eq!(run(&["migrate"], &settings).await.code, 0);
    let fine = run(&["verify"], &settings).await;
    assert_eq!((fine.code, fine.err.as_str()), (0, ""));
    assert!(fine.out.ends_with("\nok: everything agrees\n"), "{}", fine.out);

    sqlx::query(
        "insert into saga_work (saga, order_id, step, due_at)
         select 'order_fulfilment', 'nobody-' || n, 'notify_customer', now() from generate_series(100, 249) n",
    )
    .execute(database.pool())
    .await
    .unwrap();
    let wrong = run(&["verify"], &settings).await;
    assert_eq!((wrong.code, wrong.err.as_str()), (1, ""));
    let first = "\norder nobody-100: order_fulfilment waits for it, and there is no such order\n";
    assert!(wrong.out.contains(first) && wrong.out.ends_with("\nand 50 more\n150 findings\n"), "{}", wrong.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_model_that_the_events_do_not_make_is_found_and_a_replay_mends_it() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let url = &ordo.database;
    assert_eq!(ordo.client().order(&order_of("o-1", None, &[("sku", 1)])).await.status, 201);
    assert_eq!(at_rest(url, 1, BOUND).await["readModels"]["wrong"], 0);
    testkit::eventually(BOUND, || async { verify(url).await["readModels"]["leftOut"] == 0 }).await;

    // When
    let mut connection = PgConnection::connect(url).await.unwrap();
    let spoil = "update read_model_orders set item = replace(item::text, 'USD', 'EUR')::json where sk = '#META'";
    assert_eq!(connection.execute(spoil).await.unwrap().rows_affected(), 1);
    connection.close().await.unwrap();

    // Then
    let told = verify(url).await;
    let finding = json!({ "about": "read model orders, ORDER#o-1 #META", "what": "it differs in captured, folded, refunded, total" });
    assert_eq!((&told["ok"], &told["findings"]), (&json!(false), &json!([finding])), "{told}");
    let replayed = run(&["replay", "--projection", "orders"], &[("DATABASE_URL", url)]).await;
    assert_eq!(replayed.code, 0, "{replayed:?}");
    assert_eq!(verify(url).await["ok"], true);
}

/// One order that was shipped in part and came back, one cancelled, one rejected, and one that nobody was told of yet.
async fn live(deployment: &Deployment) {
    let shop = deployment.serve("command-api").await;
    let (_sagas, mut notification) = tokio::join!(deployment.serve("sagas"), deployment.serve("notification"));
    let client = shop.client();
    client.receive("sku", 100).await;
    for (id, token, quantity) in [("shipped", "tok_ok", 2), ("cancelled", "tok_ok", 1), ("rejected", "tok_declined", 1)]
    {
        assert_eq!(client.order(&order_of(id, Some(token), &[("sku", quantity)])).await.status, 201);
    }
    let url = deployment.database.url();
    at_rest(url, 3, BOUND).await;
    let one = json!([{ "lineNumber": 1, "quantity": 1 }]);
    ask(&client, "/orders/cancelled/cancel", json!({})).await;
    ask(&client, "/orders/shipped/ship", json!({ "lines": one })).await;
    at_rest(url, 3, BOUND).await;
    ask(&client, "/orders/shipped/returns", json!({ "returnId": "back", "lines": one })).await;
    let restocked = json!({ "lines": [{ "lineNumber": 1, "quantity": 1, "restock": true }] });
    ask(&client, "/orders/shipped/returns/back/receive", restocked).await;
    at_rest(url, 3, BOUND).await;
    notification.kill().await;
    assert_eq!(client.order(&order_of("waiting", None, &[("sku", 1)])).await.status, 201);
    // It runs low, recovers, and runs low again.
    client.receive("few", 5).await;
    ask(&client, "/stock/few/low-stock", json!({ "threshold": 3 })).await;
    for delta in [-3, 2, -2] {
        ask(&client, "/stock/few/adjust", json!({ "delta": delta, "reason": "counted" })).await;
    }
    testkit::eventually(BOUND, || async { verify(url).await["sagas"]["waiting"] == 1 }).await;
    for delta in [1, -1] {
        ask(&client, "/stock/sku/adjust", json!({ "delta": delta, "reason": "counted" })).await;
    }
}

async fn ask(client: &Client, path: &str, body: Value) {
    let answer = client.try_post(path, &body).await.unwrap();
    assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
}

/// A copy of a database that nobody is connected to any more.
async fn copy(url: &str, name: &str) -> String {
    let mut of_copy = Url::parse(url).unwrap();
    let original = of_copy.path().trim_start_matches('/').to_owned();
    of_copy.set_path("postgres");
    let mut admin = PgConnection::connect(of_copy.as_str()).await.unwrap();
    admin.execute(format!("create database {name} template {original}").as_str()).await.unwrap();
    admin.close().await.unwrap();
    of_copy.set_path(name);
    of_copy.into()
}

/// Differs whenever something that is looked at does.
async fn fingerprint(connection: &mut PgConnection) -> String {
    let all = "select md5(concat(
                  (select string_agg(e::text, '' order by e.global_position) from events e),
                  (select string_agg(p::text, '' order by p.reference) from sandbox_payments p),
                  (select string_agg(m::text, '' order by m.reference) from sandbox_movements m),
                  (select string_agg(w::text, '' order by w.saga, w.order_id) from saga_work w),
                  (select string_agg(s::text, '' order by s.aggregate_id) from stream_snapshots s),
                  (select string_agg(d::text, '' order by d.notification_id) from notification_deliveries d)))";
    sqlx::query_scalar(all).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn orders_that_nobody_came_to_for_weeks_have_not_just_begun() {
    // Given: a log of long ago, in a store that runs no sagas.
    let database = testkit::database().await;
    let settings = [("DATABASE_URL", database.url())];
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../projections/tests/data/log-0.1.ndjson");
    for line in [&["migrate"][..], &["events", "import", log]] {
        let done = run(line, &settings).await;
        assert_eq!(done.code, 0, "{}", done.err);
    }

    // When
    let told = run(&["verify"], &settings).await;

    // Then
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.out.contains("orders wait for them, the first since "), "{told:?}");
}
