//! What a test finds in the platform's database.

use sqlx::{Connection, PgConnection, Row};

/// The log in a few figures.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogSummary {
    /// Orders there are.
    pub(crate) orders: i64,
    /// Of those, orders whose events are exactly: created, confirmed, mail sent.
    pub(crate) complete: i64,
    /// All events.
    pub(crate) events: i64,
}

/// How many events there are.
pub(crate) async fn event_count(database: &str) -> i64 {
    log_summary(database).await.events
}

/// The log in a few figures.
pub(crate) async fn log_summary(database: &str) -> LogSummary {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let summary = sqlx::query(
        "select count(*), count(*) filter (where story = '{OrderCreated,StockReserved,PaymentAuthorized,OrderConfirmed,NotificationSent}'),
                coalesce(sum(cardinality(story)), 0)::bigint
           from (select array_agg(event_type order by sequence) as story from events group by aggregate_id) as streams",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    LogSummary { orders: summary.get(0), complete: summary.get(1), events: summary.get(2) }
}

/// Every item of the read model of orders, with its keys and version, as text.
pub(crate) async fn items(database: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let items =
        sqlx::query_scalar("select t::text from read_model_orders t order by pk, sk").fetch_all(&mut connection);
    let items = items.await.unwrap();
    connection.close().await.unwrap();
    items
}
