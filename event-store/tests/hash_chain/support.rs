//! A log to seal, and somebody who may do anything to it.

use event_store::hash_chain::{ChainHead, HashChainReport, check_chain, seal_all};
use sqlx::{Executor, PgConnection, PgPool, Postgres, Transaction};
use testkit::Database;

/// Positions are this far apart, so that there is room between them.
pub(crate) const STEP: i64 = 3;

/// Writes events whose every column is the same in each run, after those that there are. What they add up to does not matter, so
/// the log's own checks are left out.
pub(crate) async fn write(pool: &PgPool, events: i64) {
    let mut transaction = pool.begin().await.unwrap();
    transaction.execute("set local session_replication_role = replica").await.unwrap();
    sqlx::query(
        r#"insert into events
           select case n % 4 when 0 then 'stock' else 'order' end, 'stream-' || n % 50, n / 50 + 1,
                  (array['OrderCreated', 'OrderConfirmed', 'StockReceived'])[n % 3 + 1], '1.' || n % 2,
                  json_build_object('event', n, 'text', repeat('ü', (n % 90)::int)), json_build_object('actor', 'shop-' || n % 7),
                  n * $2, md5('event ' || n)::uuid, timestamptz '2026-01-01 00:00:00Z' + n * interval '1.000007 second'
             from generate_series((select count(*) + 1 from events), (select count(*) + $1 from events)) n"#,
    )
    .bind(events)
    .bind(STEP)
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
}

/// A log of so many events, sealed, and its head.
pub(crate) async fn sealed(events: i64) -> (Database, ChainHead) {
    let database = testkit::database().await;
    write(database.pool(), events).await;
    let mut connection = database.pool().acquire().await.unwrap();
    assert_eq!(seal_all(&mut connection).await.unwrap(), events.unsigned_abs());
    let checked = check(&mut connection, None).await;
    assert_eq!((&checked.faults, checked.events, checked.not_sealed), (&vec![], events.unsigned_abs(), 0));
    assert_eq!((checked.head.position(), checked.sealed_up_to), (events * STEP, events * STEP));
    (database, checked.head)
}

pub(crate) async fn check(connection: &mut PgConnection, head: Option<ChainHead>) -> HashChainReport {
    check_chain(connection, head).await.unwrap()
}

/// What the check says after statements that an administrator ran past all triggers. They are rolled back.
pub(crate) async fn after(database: &Database, statements: &[String], head: Option<ChainHead>) -> HashChainReport {
    let mut transaction = attack(database).await;
    for statement in statements {
        let changed =
            transaction.execute(statement.as_str()).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert!(changed.rows_affected() > 0, "{statement}");
    }
    let checked = check(&mut transaction, head).await;
    transaction.rollback().await.unwrap();
    checked
}

/// A transaction in which no trigger runs.
pub(crate) async fn attack(database: &Database) -> Transaction<'static, Postgres> {
    let mut transaction = database.pool().begin().await.unwrap();
    transaction.execute("set local session_replication_role = replica").await.unwrap();
    transaction
}
