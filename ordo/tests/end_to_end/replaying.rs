//! `ordo replay` beside the live platform.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::order::OrderEvent;
use domain::order::parse::PostedOrder;
use http::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use testkit::demo_order;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{Client, Finished, Ordo, PATIENCE, items, run, settled, until_mailed};

/// Of so many orders is the log whose replay is killed, and so often.
const KILLED_ORDERS: i32 = 20_000;
const KILLS: usize = 20;

/// How many orders come in while the read model is rebuilt, again and again.
const TRAFFIC: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_model_rebuilt_while_orders_come_in_misses_nothing() {
    // Given: an order that everyone can see, and more to come.
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("seen")).await;
    let seen = settled(&client, "seen").await;
    let (posted, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let posting = async {
        while !over.load(Ordering::Relaxed) {
            let nth = posted.fetch_add(1, Ordering::Relaxed);
            let accepted = client.order(&demo_order(&format!("more-{nth}"))).await;
            // Read as soon as it is written, whichever table it is in by then.
            let position = accepted.header("event-position").to_owned();
            let read = client.get(&format!("/orders/more-{nth}?minPosition={position}")).await;
            assert_eq!(read.status, 200, "{}", read.text());
        }
    };
    let reading = async {
        while !over.load(Ordering::Relaxed) {
            assert_eq!(client.get("/orders/seen").await.json(), seen);
        }
    };
    let replaying = async {
        while posted.load(Ordering::Relaxed) < TRAFFIC {
            let replayed = replay(&ordo, "orders").await;
            assert_eq!(replayed.code, 0, "{}", replayed.err);
            assert!(replayed.out.starts_with("orders is rebuilt from "), "{}", replayed.out);
        }
        over.store(true, Ordering::Relaxed);
    };

    // When
    tokio::join!(posting, reading, replaying);

    // Then
    let orders = posted.load(Ordering::Relaxed);
    until_mailed(&ordo.database, i64::try_from(orders + 1).unwrap()).await;
    for nth in 0..orders {
        assert_eq!(settled(&client, &format!("more-{nth}")).await["version"], 5);
    }
    let followed = items(&ordo.database).await;
    // The order, its line and its mail.
    assert_eq!(followed.len(), 3 * (orders + 1));
    let replayed = replay(&ordo, "orders").await;
    assert!(
        replayed.out.starts_with(&format!("orders is rebuilt from {} events", 5 * (orders + 1))),
        "{}",
        replayed.out
    );
    assert_eq!(items(&ordo.database).await, followed);

    // It goes on from there.
    client.order(&demo_order("afterwards")).await;
    assert_eq!(settled(&client, "afterwards").await["status"], "confirmed");
}

#[tokio::test]
async fn a_projection_that_does_not_exist_is_answered_with_those_that_do() {
    let database = testkit::database().await;
    let settings = [("DATABASE_URL", database.url())];
    assert_eq!(run(&["migrate"], &settings).await.code, 0);
    let refused = run(&["replay", "--projection", "order"], &settings).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert_eq!(refused.err, "ordo: there is no projection order; there are: orders, sales, stock\n");
}

#[tokio::test]
async fn a_read_model_is_rebuilt_by_one_at_a_time() {
    // Given: a replay that is held up half way, by someone who has the log to himself.
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("patient")).await;
    settled(&client, "patient").await;
    let mut connection = PgConnection::connect(&ordo.database).await.unwrap();
    let mut alone = connection.begin().await.unwrap();
    sqlx::raw_sql("lock table events in access exclusive mode").execute(&mut *alone).await.unwrap();
    let first = replay(&ordo, "orders");
    let second = async {
        let mut observer = PgConnection::connect(&ordo.database).await.unwrap();
        let begun = "select exists (select from pg_locks where locktype = 'advisory' and classid = 7312 and granted
                      and database = (select oid from pg_database where datname = current_database()))";
        let until = Instant::now() + PATIENCE;
        while !sqlx::query_scalar::<_, bool>(begun).fetch_one(&mut observer).await.unwrap() {
            assert!(Instant::now() < until, "the first replay never got there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        // When
        let second = replay(&ordo, "orders").await;
        alone.rollback().await.unwrap();
        second
    };

    // Then
    let (first, second) = tokio::join!(first, second);
    assert_eq!((second.code, second.out.as_str()), (1, ""));
    assert_eq!(second.err, "ordo: orders is being rebuilt already\n");
    assert_eq!(first.code, 0, "{}", first.err);
    assert_eq!(client.get("/orders/patient").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_killed_again_and_again_goes_on_and_ends_right() {
    // Given: a log that takes a while.
    let database = testkit::database().await;
    let settings = [("DATABASE_URL", database.url())];
    assert_eq!(run(&["migrate"], &settings).await.code, 0);
    let created = PostedOrder::parse(demo_order("o").to_string().as_bytes()).unwrap().content;
    let created = serde_json::to_string(&OrderEvent::OrderCreated(created)).unwrap();
    let fill = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                select 'order', 'o-' || nth, version, kind, '1.0', payload::json, '{}' from generate_series(1, $1) as nth,
                       (values (1, 'OrderCreated', $2), (2, 'OrderConfirmed', '{\"OrderConfirmed\":{}}')) as e(version, kind, payload)
                 order by version, nth";
    sqlx::query(fill).bind(KILLED_ORDERS).bind(&created).execute(database.pool()).await.unwrap();
    let rows = || async {
        let rows = "select count(*), md5(string_agg(t::text, '' order by pk, sk)) from read_model_orders t";
        sqlx::query_as::<_, (i64, String)>(rows).fetch_one(database.pool()).await.unwrap()
    };

    // When
    let mut random = StdRng::seed_from_u64(5);
    let mut replays = HashSet::new();
    for _ in 0..KILLS {
        let mut replaying = Ordo::starting(&["replay", "--all", "--json"], &settings);
        replaying.ended(Duration::from_millis(random.random_range(0..400))).await;
        replaying.kill().await;
        let begun = sqlx::query_scalar::<_, Uuid>("select id from replays where phase <> 'done'");
        replays.extend(begun.fetch_all(database.pool()).await.unwrap());
    }
    let until = Instant::now() + PATIENCE;
    let ended = loop {
        let ended = run(&["replay", "--all", "--json"], &settings).await;
        // The server takes a moment to notice that the last one has gone.
        if !ended.err.contains("is being rebuilt already") {
            break ended;
        }
        assert!(Instant::now() < until, "{}", ended.err);
    };

    // Then: it was one and the same that went on, and it folded every event once.
    assert_eq!(ended.code, 0, "{}", ended.err);
    let said: serde_json::Value = serde_json::from_str(ended.out.lines().last().unwrap()).unwrap();
    assert_eq!(said["events"], 2 * KILLED_ORDERS, "{said}");
    assert!(replays.len() <= 1 || said["phase"] == "done", "{replays:?}");
    let killed = rows().await;
    assert_eq!(killed.0, 2 * i64::from(KILLED_ORDERS));

    let whole = run(&["replay", "--all", "--json"], &settings).await;
    assert_eq!(whole.code, 0, "{}", whole.err);
    assert_eq!(rows().await, killed);
}

#[tokio::test]
async fn a_replay_reaches_no_queue_no_mail_service_and_no_payment_provider() {
    // Given: orders that were paid for and told of.
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for nth in 0..3 {
        client.order(&demo_order(&format!("o-{nth}"))).await;
        settled(&client, &format!("o-{nth}")).await;
    }
    let inbox = Client::new(&ordo.inbox);
    let mails = inbox.get("/messages").await.json();
    assert_eq!(mails.as_array().unwrap().len(), 3);
    let mut connection = PgConnection::connect(&ordo.database).await.unwrap();
    let count =
        "select (select count(*) from events) || ' events, ' || (select count(*) from sandbox_payments) || ' payments'";
    let before: String = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();

    // When: everything that it could reach is somebody who counts.
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    outside.set_nonblocking(true).unwrap();
    let address = format!("http://{}", outside.local_addr().unwrap());
    let replayed = run(
        &["replay", "--all", "--compare"],
        &[("DATABASE_URL", &ordo.database), ("AWS_ENDPOINT_URL", &address), ("ORDO_STRIPE_URL", &address)],
    )
    .await;

    // Then
    assert_eq!(replayed.code, 0, "{}{}", replayed.out, replayed.err);
    assert!(outside.accept().is_err(), "somebody called");
    assert_eq!(inbox.get("/messages").await.json(), mails);
    let after: String = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn operators_rebuild_over_http_too() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("seen")).await;
    let seen = settled(&client, "seen").await;

    // When
    let begun =
        client.try_post("/admin/replays", &json!({ "projections": ["orders"], "compare": true })).await.unwrap();
    assert_eq!(begun.status, 202, "{}", begun.text());
    let location = begun.header("location").to_owned();
    let until = Instant::now() + PATIENCE;
    let over = loop {
        let state = client.get(&location).await.json();
        if state["running"] == false {
            break state;
        }
        assert!(Instant::now() < until, "{state}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };

    // Then
    assert_eq!((&over["phase"], &over["swapped"]), (&json!("done"), &json!(["orders"])), "{over}");
    assert_eq!(over["comparison"]["orders"]["different"], 0);
    assert_eq!(client.get("/orders/seen").await.json(), seen);
    assert_eq!(client.get("/admin/replays").await.json()["items"][0]["id"], over["id"]);

    let dry = client.try_post("/admin/replays", &json!({ "all": true, "dryRun": true })).await.unwrap();
    assert_eq!((dry.status, &dry.json()["events"]), (200, &json!(5)), "{}", dry.text());
    let back = client.try_post("/admin/rollbacks", &json!({ "projection": "orders" })).await.unwrap();
    assert_eq!((back.status, &back.json()["projection"]), (200, &json!("orders")), "{}", back.text());
    assert_eq!(client.get("/orders/seen").await.json(), seen);

    // What is wrong is said.
    for (path, body, status, words) in [
        ("/admin/replays", json!({ "projections": ["odrers"] }), 422, "there is no projection odrers"),
        ("/admin/replays", json!({}), 422, "/projections"),
        ("/admin/replays", json!({ "all": true, "projections": ["orders"] }), 422, "/all"),
        ("/admin/replays", json!({ "projection": "orders" }), 422, "projection"),
        ("/admin/replays", json!("all"), 422, "expected"),
        ("/admin/rollbacks", json!({ "projection": "stock" }), 409, "no previous generation of stock"),
    ] {
        let refused = client.try_post(path, &body).await.unwrap();
        assert_eq!(refused.status, status, "{body}: {}", refused.text());
        assert!(refused.text().contains(words), "{body}: {}", refused.text());
    }
    assert_eq!(client.get("/admin/replays/7").await.status, 404);
    assert_eq!(client.ask(Method::DELETE, &location).await.status, 409);
}

#[tokio::test]
async fn the_command_line_says_what_a_replay_would_do_and_cancels_one() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("o")).await;
    settled(&client, "o").await;
    let settings = [("DATABASE_URL", ordo.database.as_str())];
    let said = |line: &'static [&'static str]| run(line, &settings);

    let dry = said(&["replay", "--all", "--dry-run"]).await;
    assert_eq!(dry.code, 0, "{}", dry.err);
    assert!(dry.out.contains(": 5 events to fold\n") && dry.out.ends_with("nothing was changed\n"), "{}", dry.out);
    let nothing = said(&["replay", "--projection", "orders", "--cancel"]).await;
    assert_eq!((nothing.code, nothing.err.as_str()), (1, "ordo: no replay of orders is under way\n"));
    let gone = said(&["replay", "--projection", "orders", "--rollback"]).await;
    assert_eq!(gone.code, 1);
    assert!(gone.err.starts_with("ordo: there is no previous generation of orders"), "{}", gone.err);

    // One that found a difference waits, and is cancelled.
    let mut connection = PgConnection::connect(&ordo.database).await.unwrap();
    let spoil = "update read_model_orders set gsi1sk = 'spoilt' where sk = '#META'";
    sqlx::query(spoil).execute(&mut connection).await.unwrap();
    let different = said(&["replay", "--projection", "orders", "--compare"]).await;
    assert_eq!(different.code, 1);
    assert!(different.out.contains("1 different"), "{}", different.out);
    let cancelled = said(&["replay", "--all", "--cancel"]).await;
    assert_eq!(cancelled.code, 0, "{}", cancelled.err);
    let left = "select count(*) from pg_tables where tablename like 'read\\_model\\_%\\_next'";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await.unwrap(), 0);

    // Wrong usage.
    for line in
        [&["replay"][..], &["replay", "--all", "--projection", "orders"], &["replay", "--all", "--cancel", "--compare"]]
    {
        assert_eq!(run(line, &settings).await.code, 2, "{line:?}");
    }
}

async fn replay(ordo: &Ordo, projection: &str) -> Finished {
    run(&["replay", "--projection", projection], &[("DATABASE_URL", &ordo.database)]).await
}
