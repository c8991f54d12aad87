//! `ordo replay` beside the live platform.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use testkit::demo_order;
use tokio::time::Instant;

use crate::support::{Finished, Ordo, PATIENCE, items, run, settled, until_mailed};

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
        let begun = "select exists (select from pg_tables where tablename = 'read_model_orders_next')";
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

async fn replay(ordo: &Ordo, projection: &str) -> Finished {
    run(&["replay", "--projection", projection], &[("DATABASE_URL", &ordo.database)]).await
}
