//! Streams too long to be folded in one go by whoever needs them.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::BTreeSet;
use std::task::Poll;
use std::time::Duration;

use domain::stock::Stock;
use event_store::{AppendSettings, EventStore, Loaded, SingleWriter, Turn};
use futures_util::future::poll_fn;

const SKU: &str = "sku-1";
/// For what comes about in its own time.
const PATIENCE: Duration = Duration::from_secs(20);

fn sku() -> BTreeSet<String> {
    BTreeSet::from([SKU.to_owned()])
}

/// A process that knows no stream yet: a store with a pool of its own.
async fn cold(database: &testkit::Database) -> (EventStore, SingleWriter<Stock>) {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(5).connect(database.url()).await.unwrap();
    let store = EventStore::start(pool, AppendSettings::default());
    (store.clone(), SingleWriter::new(store, 10))
}

/// Has so many units come in, one an event, until the stream is so long.
async fn grow(database: &testkit::Database, until: i64) {
    let grow = r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
        select 'stock', $1, sequence, 'StockReceived', '1.0', '{"StockReceived":{"quantity":1}}', '{}', gen_random_uuid()
          from generate_series((select coalesce(max(sequence), 0) + 1 from events where aggregate_id = $1), $2) as sequence"#;
    sqlx::query(grow).bind(SKU).bind(until).execute(database.pool()).await.unwrap();
}

/// Takes events away behind everybody's back: whoever folds over their place finds a hole.
async fn lose(database: &testkit::Database, from: i64, to: i64) {
    let mut transaction = database.pool().begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
    let lost = "delete from events where aggregate_id = $1 and sequence between $2 and $3";
    sqlx::query(lost).bind(SKU).bind(from).bind(to).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Goes on with a turn until some of its stream is remembered, which is before it has all of it.
async fn until_remembered(
    writer: &SingleWriter<Stock>,
    turn: &mut (impl Future<Output = Result<Turn<'_, Stock>, event_store::ReadError>> + Unpin),
) {
    let mut turn = std::pin::pin!(turn);
    poll_fn(|context| match turn.as_mut().poll(context) {
        Poll::Ready(turn) => panic!("it had its turn, at version {}", turn.unwrap().stream(SKU).version),
        Poll::Pending if writer.remembered() > 0 => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
}

fn on_hand(stream: &Loaded<Stock>) -> (i64, i64) {
    let Stock::Tracked(stock) = &stream.state else { panic!("not tracked") };
    (stream.version, stock.on_hand)
}

#[tokio::test]
async fn a_fold_that_was_given_up_goes_on_where_it_was() {
    let database = testkit::database().await;
    let (_, writer) = cold(&database).await;
    grow(&database, 4_000).await;

    until_remembered(&writer, &mut Box::pin(writer.turn(sku()))).await;
    lose(&database, 2, 900).await;

    let turn = writer.turn(sku()).await.unwrap();
    assert_eq!(on_hand(turn.stream(SKU)), (4_000, 4_000));
}

#[tokio::test]
async fn who_folds_a_long_stream_holds_up_nobody() {
    let database = testkit::database().await;
    let (_, writer) = cold(&database).await;
    grow(&database, 4_000).await;

    let mut turn = Box::pin(writer.turn(sku()));
    until_remembered(&writer, &mut turn).await;

    let locks = "select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 2
                  and database = (select oid from pg_database where datname = current_database())";
    let locks = || async { sqlx::query_scalar::<_, i64>(locks).fetch_one(database.pool()).await.unwrap() };
    testkit::eventually(PATIENCE, || async { locks().await == 0 }).await;
    // Others who want it as well fold it together with this one.
    let one = async { on_hand(turn.await.unwrap().stream(SKU)) };
    let other = async { on_hand(writer.turn(sku()).await.unwrap().stream(SKU)) };
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(one, other) }).await.unwrap();
    assert_eq!(both, ((4_000, 4_000), (4_000, 4_000)));
}
