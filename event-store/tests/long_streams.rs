//! Streams that are too long to be folded in one chunk.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::BTreeSet;
use std::task::Poll;
use std::time::Duration;

use bounds::Budget;
use domain::ids::LocationId;
use domain::stock::{Stock, StockEvent, StockReceived};
use event_store::{
    AppendQueueSettings, EventFilter, EventStore, LockedStreams, LogDirection, LogPage, Metadata, NewEvent,
    StreamAppend, StreamLocks, Versioned,
};
use futures_util::future::poll_fn;
use sqlx::PgConnection;

const SKU: &str = "sku-1";
/// For what comes about in its own time.
const PATIENCE: Duration = Duration::from_secs(20);

fn sku() -> BTreeSet<String> {
    BTreeSet::from([SKU.to_owned()])
}

/// A process that knows no stream yet: a store with a pool of its own.
async fn cold(database: &testkit::Database) -> (EventStore, StreamLocks<Stock>) {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(5).connect(database.url()).await.unwrap();
    let store = EventStore::start(pool, AppendQueueSettings::default());
    (store.clone(), StreamLocks::new(store, 10))
}

/// Has so many units come in, one an event, until the stream is so long.
async fn grow(database: &testkit::Database, until: i64) {
    let grow = r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
        select 'stock', $1, sequence, 'StockReceived', '1.0', '{"StockReceived":{"quantity":1}}', '{}', gen_random_uuid()
          from generate_series((select coalesce(max(sequence), 0) + 1 from events where aggregate_id = $1), $2) as sequence"#;
    sqlx::query(grow).bind(SKU).bind(until).execute(database.pool()).await.unwrap();
}

/// Deletes events without anybody noticing: a fold over their place finds a gap.
async fn lose(database: &testkit::Database, from: i64, to: i64) {
    let mut transaction = database.pool().begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
    let lost = "delete from events where aggregate_id = $1 and sequence between $2 and $3";
    sqlx::query(lost).bind(SKU).bind(from).bind(to).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Polls a lock until some of its stream is cached, which is before it has all of it.
async fn until_cached(
    stream_locks: &StreamLocks<Stock>,
    locked: &mut (impl Future<Output = Result<LockedStreams<'_, Stock>, event_store::ReadError>> + Unpin),
) {
    let mut locked = std::pin::pin!(locked);
    poll_fn(|context| match locked.as_mut().poll(context) {
        Poll::Ready(locked) => panic!("it was locked already, at version {}", locked.unwrap().stream(SKU).version),
        Poll::Pending if stream_locks.cached() > 0 => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
}

fn on_hand(stream: &Versioned<Stock>) -> (i64, i64) {
    let Stock::Tracked(stock) = &stream.state else { panic!("not tracked") };
    (stream.version, stock.on_hand)
}

#[tokio::test]
async fn a_fold_that_was_cancelled_goes_on_where_it_was() {
    let database = testkit::database().await;
    let (_, stream_locks) = cold(&database).await;
    grow(&database, 4_000).await;

    until_cached(&stream_locks, &mut Box::pin(stream_locks.lock(sku()))).await;
    lose(&database, 2, 900).await;

    let locked = stream_locks.lock(sku()).await.unwrap();
    assert_eq!(on_hand(locked.stream(SKU)), (4_000, 4_000));
}

#[tokio::test]
async fn a_fold_of_a_long_stream_holds_up_nobody() {
    let database = testkit::database().await;
    let (_, stream_locks) = cold(&database).await;
    grow(&database, 4_000).await;

    let mut locked = Box::pin(stream_locks.lock(sku()));
    until_cached(&stream_locks, &mut locked).await;

    let locks = "select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 2
                  and database = (select oid from pg_database where datname = current_database())";
    let locks = || async { sqlx::query_scalar::<_, i64>(locks).fetch_one(database.pool()).await.unwrap() };
    testkit::eventually(PATIENCE, || async { locks().await == 0 }).await;
    // Another command that wants it folds it together with this one.
    let one = async { on_hand(locked.await.unwrap().stream(SKU)) };
    let other = async { on_hand(stream_locks.lock(sku()).await.unwrap().stream(SKU)) };
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(one, other) }).await.unwrap();
    assert_eq!(both, ((4_000, 4_000), (4_000, 4_000)));
}

type Row = (i64, i32, String, Vec<u8>);

async fn snapshot(database: &testkit::Database) -> Option<Row> {
    let snapshot = "select version, state_version, state::text, digest from stream_snapshots";
    sqlx::query_as(snapshot).fetch_optional(database.pool()).await.unwrap()
}

async fn until_snapshot_at(database: &testkit::Database, version: i64) -> Row {
    let taken = || async { snapshot(database).await.is_some_and(|taken| taken.0 == version) };
    testkit::eventually(PATIENCE, taken).await;
    snapshot(database).await.unwrap()
}

/// The stream as a process with an empty cache folds it.
async fn folded_by_another(database: &testkit::Database) -> (i64, i64) {
    let (_, stream_locks) = cold(database).await;
    on_hand(stream_locks.lock(sku()).await.unwrap().stream(SKU))
}

#[tokio::test]
async fn a_process_with_an_empty_cache_begins_a_long_stream_with_its_snapshot() {
    let database = testkit::database().await;
    grow(&database, 12_500).await;
    assert_eq!(folded_by_another(&database).await, (12_500, 12_500));
    until_snapshot_at(&database, 10_000).await;

    lose(&database, 1_500, 9_900).await;
    assert_eq!(folded_by_another(&database).await, (12_500, 12_500));
    let (store, _) = cold(&database).await;
    assert_eq!(on_hand(&store.load_from_snapshot(SKU).await.unwrap()), (12_500, 12_500));
}

#[tokio::test]
async fn who_only_reads_leaves_a_snapshot_that_can_not_be_used_as_it_is() {
    let database = testkit::database().await;
    grow(&database, 10_500).await;
    folded_by_another(&database).await;
    until_snapshot_at(&database, 10_000).await;
    let spoil = r#"update stream_snapshots set state = '"Untracked"'"#;
    sqlx::query(spoil).execute(database.pool()).await.unwrap();
    let (store, _) = cold(&database).await;
    assert_eq!(on_hand(&store.load_from_snapshot(SKU).await.unwrap()), (10_500, 10_500));
    assert_eq!(snapshot(&database).await.unwrap().2, r#""Untracked""#);
    assert_eq!(store.load_from_snapshot::<Stock>("another").await.unwrap().version, 0);
}

#[tokio::test]
async fn an_append_that_makes_a_stream_long_has_a_snapshot_taken() {
    let database = testkit::database().await;
    let (store, stream_locks) = cold(&database).await;
    grow(&database, 9_999).await;

    let locked = stream_locks.lock(sku()).await.unwrap();
    let received =
        StockEvent::StockReceived(StockReceived { unit: None, quantity: 5, location: LocationId::default() });
    let event = || NewEvent::new(&received, &Metadata::default()).unwrap();
    let expected_version = locked.stream(SKU).version;
    let events = vec![event(), event()];
    let append = StreamAppend { stream_type: "stock", stream_id: SKU.to_owned(), expected_version, events };
    locked.append(vec![append]).await.unwrap();

    let (_, _, state, _) = until_snapshot_at(&database, 10_001).await;
    let stored = store.load::<Stock>(SKU).await.unwrap();
    assert_eq!(serde_json::from_str::<Stock>(&state).unwrap(), stored.state);
    lose(&database, 1_500, 9_900).await;
    assert_eq!(folded_by_another(&database).await, (10_001, 10_009));
}

#[tokio::test]
async fn a_snapshot_that_can_not_be_used_is_replaced() {
    let database = testkit::database().await;
    grow(&database, 10_500).await;
    folded_by_another(&database).await;
    let right = until_snapshot_at(&database, 10_000).await;

    for spoil in [
        // Of a build that folds otherwise.
        r#"update stream_snapshots set state_version = 2, state = '"Untracked"'"#,
        // Damaged, each column.
        r#"update stream_snapshots set state = '"Untracked"'"#,
        "update stream_snapshots set digest = digest || 'x'::bytea",
        "update stream_snapshots set last_event = gen_random_uuid()",
        "update stream_snapshots set version = 9999",
        "update stream_snapshots set version = 1000000",
        "update stream_snapshots set aggregate_id = 'another'",
        // Rightly kept, but nothing that this build can read.
        r#"update stream_snapshots set state = '{}',
              digest = sha256(uuid_send(last_event) || int4send(state_version) || convert_to('{}', 'UTF8'))"#,
    ] {
        sqlx::query(spoil).execute(database.pool()).await.unwrap();
        assert_eq!(folded_by_another(&database).await, (10_500, 10_500), "{spoil}");
        let again = || async {
            let of_sku =
                "select version, state_version, state::text, digest from stream_snapshots where aggregate_id = $1";
            let of_sku = sqlx::query_as::<_, Row>(of_sku).bind(SKU).fetch_optional(database.pool());
            of_sku.await.unwrap().is_some_and(|taken| taken == right)
        };
        testkit::eventually(PATIENCE, again).await;
        sqlx::query("delete from stream_snapshots where aggregate_id <> $1")
            .bind(SKU)
            .execute(database.pool())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_that_is_ahead_of_a_log_that_lost_commits_is_forgotten() {
    let database = testkit::database().await;
    grow(&database, 10_500).await;
    folded_by_another(&database).await;
    until_snapshot_at(&database, 10_000).await;

    lose(&database, 9_001, 10_500).await;
    assert_eq!(folded_by_another(&database).await, (9_000, 9_000));
    assert_eq!(snapshot(&database).await, None);

    // Others come to stand in the place of what was lost.
    grow(&database, 10_500).await;
    folded_by_another(&database).await;
    until_snapshot_at(&database, 10_000).await;
    lose(&database, 9_001, 10_500).await;
    grow(&database, 10_500).await;
    assert_eq!(folded_by_another(&database).await, (10_500, 10_500));
    let last = "select event_id from events where sequence = 10000";
    let last: uuid::Uuid = sqlx::query_scalar(last).fetch_one(database.pool()).await.unwrap();
    let of_it = "select count(*) = 1 from stream_snapshots where version = 10000 and last_event = $1";
    let of_it = || async { sqlx::query_scalar(of_it).bind(last).fetch_one(database.pool()).await.unwrap() };
    testkit::eventually(PATIENCE, of_it).await;
}

#[tokio::test]
async fn several_folds_of_a_long_stream_at_once_leave_its_last_snapshot() {
    let database = testkit::database().await;
    grow(&database, 21_000).await;
    let folding = (0..3).map(|_| folded_by_another(&database));
    let folded = futures_util::future::join_all(folding).await;
    assert_eq!(folded, [(21_000, 21_000); 3]);
    until_snapshot_at(&database, 20_000).await;
}

#[tokio::test]
async fn a_cached_stream_that_the_log_lost_is_folded_anew() {
    let database = testkit::database().await;
    let (_, stream_locks) = cold(&database).await;
    grow(&database, 3).await;
    assert_eq!(on_hand(stream_locks.lock(sku()).await.unwrap().stream(SKU)), (3, 3));

    // Others wrote more than is read in one go in the place of the last event.
    lose(&database, 3, 3).await;
    grow(&database, 2_500).await;

    let locked = tokio::time::timeout(PATIENCE, stream_locks.lock(sku())).await.unwrap().unwrap();
    assert_eq!(on_hand(locked.stream(SKU)), (2_500, 2_500));
}

fn of_sku() -> EventFilter {
    let (stream_types, stream_id) = (vec!["stock".to_owned()], Some(SKU.to_owned()));
    EventFilter { stream_types, stream_id, ..EventFilter::default() }
}

/// How many rows of the log a session has read; good for comparisons within a transaction.
async fn rows_read(connection: &mut PgConnection) -> i64 {
    let read =
        "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint from pg_stat_xact_user_tables
                 where relname = 'events'";
    sqlx::query_scalar(read).fetch_one(connection).await.unwrap()
}

/// A page, and how many rows of the log were read for it.
async fn counted_page(database: &testkit::Database, filter: &EventFilter, direction: LogDirection) -> (LogPage, i64) {
    let mut transaction = database.pool().begin().await.unwrap();
    let before = rows_read(&mut transaction).await;
    let page = filter.page(&mut transaction, direction, Budget::of(50)).await.unwrap();
    (page, rows_read(&mut transaction).await - before)
}

#[tokio::test]
async fn a_page_far_into_a_long_stream_reads_as_little_as_the_first() {
    let database = testkit::database().await;
    grow(&database, 3_000).await;
    for direction in [LogDirection::OldestFirst, LogDirection::NewestFirst] {
        let (mut filter, mut versions) = (of_sku(), Vec::new());
        loop {
            let (page, rows) = counted_page(&database, &filter, direction).await;
            assert!(rows <= 150, "after {} events a page reads {rows}", versions.len());
            versions.extend(page.events.iter().map(|event| event.version));
            let Some(next) = page.next else { break };
            match direction {
                LogDirection::OldestFirst => filter.after = next,
                LogDirection::NewestFirst => filter.up_to = Some(next),
            }
        }
        if direction == LogDirection::NewestFirst {
            versions.reverse();
        }
        assert!(versions.into_iter().eq(1..=3_000));
    }
}

#[tokio::test]
async fn who_looks_for_what_is_rare_in_a_long_stream_passes_a_part_of_it_with_each_page() {
    let database = testkit::database().await;
    grow(&database, 22_000).await;
    let rare = EventFilter { event_types: vec!["StockCounted".to_owned()], ..of_sku() };
    for direction in [LogDirection::OldestFirst, LogDirection::NewestFirst] {
        let (mut filter, mut pages) = (rare.clone(), 0);
        loop {
            let (page, rows) = counted_page(&database, &filter, direction).await;
            pages += 1;
            assert!(rows <= 10_100 && page.events.is_empty(), "page {pages} reads {rows}");
            match (page.next, direction) {
                (Some(next), LogDirection::OldestFirst) => filter.after = next,
                (Some(next), LogDirection::NewestFirst) => filter.up_to = Some(next),
                (None, _) => break,
            }
        }
        assert_eq!(pages, 3);
    }
}
