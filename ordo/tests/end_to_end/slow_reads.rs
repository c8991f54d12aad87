//! Reads that take for ever.

use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};
use testkit::demo_order;

use crate::support::Ordo;

#[tokio::test]
async fn slow_reads_are_given_up_and_keep_nothing_else_from_working() {
    // Given: a read model that can't be read, and more who ask for it than there are connections.
    let settings = [
        ("ORDO_ROLES", "command-api,projections"),
        ("ORDO_DATABASE_CONNECTIONS", "16"),
        ("ORDO_READ_CONNECTIONS", "4"),
        ("ORDO_READ_TIMEOUT", "3"),
    ];
    let ordo = Ordo::up(&settings).await;
    assert_eq!(ordo.client().order(&demo_order("before")).await.status, 201);
    let mut holder = PgConnection::connect(&ordo.database).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("lock table read_model_orders in access exclusive mode").execute(&mut *held).await.unwrap();
    let reads = (0..32).map(|nth: u32| {
        let client = ordo.client();
        // Of one caller's lists only some are made at the same time.
        let path = if nth.is_multiple_of(2) { "/orders" } else { "/orders/before" };
        tokio::spawn(async move { client.get(path).await })
    });
    let reads: Vec<_> = reads.collect();
    let waiting =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%read_model_orders%'";
    testkit::eventually(std::time::Duration::from_secs(30), || async {
        let mut asks = PgConnection::connect(&ordo.database).await.unwrap();
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut asks).await.unwrap() >= 4
    })
    .await;

    // Then: orders are taken, other views answer, and the process is ready.
    let posted = ordo.client().order(&demo_order("meanwhile")).await;
    assert_eq!(posted.status, 201, "{}", posted.text());
    let ready = ordo.client().get("/health/ready").await;
    assert_eq!(ready.status, 200, "{}", ready.text());

    // Then: nobody waits for ever.
    for answer in join_all(reads).await {
        let problem = answer.unwrap().problem(503);
        assert!(["database-unavailable", "overloaded"].map(Into::into).contains(&problem["code"]), "{problem}");
    }
    held.rollback().await.unwrap();
    assert_eq!(ordo.client().get("/orders?minPosition=2").await.status, 200);
}
