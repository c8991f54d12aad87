//! The log in bulk: what comes out is what is there, in order, and goes into an empty log as it was.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::convert::Infallible;

use bounds::Budget;
use event_store::bulk::{CopyOutOrder, ImportSource, ImportSummary, LogImportError, copy_in, copy_out};
use event_store::{BorrowedEvent, EventFilter, StoredEvent};
use sqlx::{Connection, PgConnection};
use testkit::Database;

/// Streams a, b and c of orders, and a SKU, three events each, by turns.
async fn filled() -> Database {
    let database = testkit::database().await;
    let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        select kind, id, version, 'Event' || version, '1.0', format(E'{ \"n\" : %s,\n\"text\":\"ä\\\\u0000\"}', version)::json,
               case version when 2 then E'{\"correlationId\": \"0af7\", \"note\": \"\\\\u0000\"}' else '{}' end::json
          from generate_series(1, 3) as version,
               (values ('order', 'a'), ('order', 'b'), ('order', 'c'), ('stock', 'it''s \\ a')) as stream(kind, id)
         order by version, id";
    sqlx::query(insert).execute(database.pool()).await.unwrap();
    database
}

async fn read(database: &Database, selection: &EventFilter, order: CopyOutOrder) -> Vec<StoredEvent> {
    let mut connection = database.pool().acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let mut events = Vec::new();
    let mut out = copy_out(&mut transaction, selection, order).await.unwrap();
    while let Some(event) = out.next().await.unwrap() {
        events.push(event.read().unwrap().to_stored().unwrap());
    }
    drop(out);
    // It is ready for the next statement.
    transaction.commit().await.unwrap();
    events
}

#[tokio::test]
async fn an_export_has_the_same_events_as_single_reads() {
    let database = filled().await;
    let copied = read(&database, &EventFilter::default(), CopyOutOrder::ByPosition).await;
    let one_by_one = {
        let mut connection = database.pool().acquire().await.unwrap();
        event_store::read::read_after(&mut connection, 0, Budget::of(100)).await.unwrap().events
    };
    assert_eq!(copied.len(), 12);
    for (copied, read) in copied.iter().zip(&one_by_one) {
        assert_eq!(copied.borrowed(), read.borrowed());
    }
}

#[tokio::test]
async fn streams_come_one_after_another_if_that_is_asked_for() {
    let database = filled().await;
    let events = read(&database, &EventFilter::default(), CopyOutOrder::ByStream).await;
    let streams: Vec<_> = events.iter().map(|event| (event.stream_id.as_str(), event.version)).collect();
    let one = |id| [(id, 1), (id, 2), (id, 3)];
    assert_eq!(streams, [one("a"), one("b"), one("c"), one(r"it's \ a")].concat());
}

#[tokio::test]
async fn an_export_with_filters_has_matching_events_only() {
    let database = filled().await;
    let all = read(&database, &EventFilter::default(), CopyOutOrder::ByPosition).await;
    let position = |index: usize| all[index].position;
    let text = |text: &str| Some(text.to_owned());
    for (selection, count) in [
        (EventFilter::after(position(4)), 7),
        (EventFilter { up_to: Some(position(4)), ..EventFilter::default() }, 5),
        (EventFilter { stream_types: vec!["stock".to_owned()], ..EventFilter::default() }, 3),
        (EventFilter { stream_id: text(r"it's \ a"), ..EventFilter::default() }, 3),
        (EventFilter { stream_id: text("' or true --"), ..EventFilter::default() }, 0),
        (EventFilter { stream_id: text("a\0"), ..EventFilter::default() }, 0),
        (EventFilter { event_types: vec!["Event1".into(), "Event3".into()], ..EventFilter::default() }, 8),
        (EventFilter { trace_id: text("0af7"), ..EventFilter::default() }, 4),
        (EventFilter { trace_id: text("0af"), ..EventFilter::default() }, 0),
        (EventFilter { recorded_from: Some(all[6].recorded_at), ..EventFilter::default() }, 6),
        (EventFilter { recorded_until: Some(all[5].recorded_at), ..EventFilter::default() }, 6),
        (EventFilter { recorded_until: Some(chrono::DateTime::<chrono::Utc>::MAX_UTC), ..EventFilter::default() }, 12),
        (EventFilter { recorded_from: Some(chrono::DateTime::<chrono::Utc>::MIN_UTC), ..EventFilter::default() }, 12),
    ] {
        let events = read(&database, &selection, CopyOutOrder::ByPosition).await;
        assert_eq!(events.len(), count, "{selection:?}");
        let kept = |event: &&StoredEvent| selection.matches(&event.stream_type, &event.stream_id, &event.event_type);
        assert_eq!(events.iter().filter(kept).count(), count, "{selection:?}");
    }
}

#[tokio::test]
async fn nothing_comes_out_of_an_empty_log() {
    let database = testkit::database().await;
    assert!(read(&database, &EventFilter::default(), CopyOutOrder::ByPosition).await.is_empty());
}

/// Events from memory.
struct Memory(std::vec::IntoIter<StoredEvent>, Option<StoredEvent>);

impl Memory {
    fn of(events: Vec<StoredEvent>) -> Self {
        Self(events.into_iter(), None)
    }
}

impl ImportSource for Memory {
    type Error = Infallible;

    async fn next(&mut self) -> Result<Option<BorrowedEvent<'_>>, Infallible> {
        self.1 = self.0.next();
        Ok(self.1.as_ref().map(StoredEvent::borrowed))
    }
}

async fn put(database: &Database, events: Vec<StoredEvent>) -> Result<ImportSummary, LogImportError<Infallible>> {
    let connection = PgConnection::connect(database.url()).await.unwrap();
    copy_in(connection, &mut Memory::of(events)).await
}

#[tokio::test]
async fn an_exported_log_is_imported_unchanged_and_the_next_event_follows_it() {
    let (from, to) = (filled().await, testkit::database().await);
    let before = read(&from, &EventFilter::after(2), CopyOutOrder::ByPosition).await;
    // Positions may have gaps, and need not begin at 1.
    let last = before.last().unwrap().position;
    let done = put(&to, before.clone()).await.unwrap();
    assert_eq!(done, ImportSummary { events: 10, last_position: last });

    let after = read(&to, &EventFilter::default(), CopyOutOrder::ByPosition).await;
    assert_eq!(after.len(), before.len());
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after.borrowed(), before.borrowed());
    }
    let append =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  values ('order', 'd', 1, 'E', '1.0', '{}', '{}') returning global_position";
    let next: i64 = sqlx::query_scalar(append).fetch_one(to.pool()).await.unwrap();
    assert_eq!(next, last + 1);
}

#[tokio::test]
async fn a_log_that_has_events_takes_none() {
    let database = filled().await;
    let events = read(&database, &EventFilter::default(), CopyOutOrder::ByPosition).await;
    let refused = put(&database, events).await;
    assert!(matches!(refused, Err(LogImportError::NotEmpty)), "{refused:?}");
}

#[tokio::test]
async fn an_import_with_one_bad_event_stores_none() {
    let (from, to) = (filled().await, testkit::database().await);
    let mut events = read(&from, &EventFilter::default(), CopyOutOrder::ByPosition).await;
    events.push(events[0].clone());
    let refused = put(&to, events).await;
    assert!(matches!(refused, Err(LogImportError::Database(_))), "{refused:?}");
    assert!(read(&to, &EventFilter::default(), CopyOutOrder::ByPosition).await.is_empty());
}
