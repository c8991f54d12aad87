//! Large events: what is read, queued or stored together is bounded by its bytes, and nothing is left out.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bounds::Budget;
use cqrs_es::Aggregate;
use domain::ids::NoteId;
use domain::order::event::NoteAdded;
use domain::order::{Order, OrderEvent};
use event_store::read::{read_after, read_by_stream, read_filtered};
use event_store::{
    AppendError, AppendQueueSettings, EventFilter, EventStore, Metadata, NewEvent, StoredEvent, StreamAppend,
    Subscriber, SubscriberError,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LARGE: usize = 250_000;

/// Text that does not become smaller when it is stored.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    };
    (0..bytes).map(letter).collect()
}

fn note(text: &str) -> NewEvent {
    let note = NoteAdded { note_id: NoteId::parse("n").unwrap(), text: text.to_owned(), author: None };
    NewEvent::new(&OrderEvent::NoteAdded(note), &Metadata::default()).unwrap()
}

fn append(id: &str, events: Vec<NewEvent>) -> StreamAppend {
    StreamAppend { stream_type: Order::TYPE, stream_id: id.to_owned(), expected_version: 0, events }
}

/// A log with so many orders of one event each.
async fn log(orders: usize, bytes: usize) -> (testkit::Database, EventStore) {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let text = noise(bytes);
    for order in 0..orders {
        store.append(vec![append(&format!("{order:03}"), vec![note(&text)])]).await.unwrap();
    }
    (database, store)
}

fn bytes(events: &[StoredEvent]) -> usize {
    events.iter().map(|event| event.payload.get().len()).sum()
}

/// Notes what it is handed, unless that is more than it bears.
#[derive(Clone)]
struct Batches {
    bears: usize,
    seen: Arc<Mutex<Vec<Batch>>>,
}

/// The position of each event, and its bytes.
type Batch = Vec<(i64, usize)>;

impl Batches {
    fn bearing(bears: usize) -> Self {
        Self { bears, seen: Arc::default() }
    }

    fn seen(&self) -> Vec<Batch> {
        self.seen.lock().unwrap().clone()
    }

    /// Has the log handed to it until it has seen so many events, each once and in order.
    async fn follow(&self, store: &EventStore, events: usize) {
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (store, batches, stop) = (store.clone(), self.clone(), stop.clone());
            async move { store.subscribe(batches, stop).await }
        });
        testkit::eventually(PATIENCE, || async { self.seen().concat().len() >= events }).await;
        stop.cancel();
        running.await.unwrap();
        let positions: Vec<i64> = self.seen().concat().into_iter().map(|(position, _)| position).collect();
        assert_eq!(positions, (1..=i64::try_from(events).unwrap()).collect::<Vec<_>>());
    }
}

#[async_trait]
impl Subscriber for Batches {
    fn name(&self) -> &str {
        "batches"
    }

    async fn handle(&mut self, events: &[StoredEvent], _: &mut PgConnection) -> Result<(), SubscriberError> {
        if events.len() > self.bears {
            return Err(SubscriberError::unavailable("too much at once"));
        }
        let batch = events.iter().map(|event| (event.position, event.payload.get().len())).collect();
        self.seen.lock().unwrap().push(batch);
        Ok(())
    }
}

#[tokio::test]
async fn a_batch_of_large_events_has_few_of_them() {
    let (_database, store) = log(60, LARGE).await;
    let batches = Batches::bearing(usize::MAX);
    batches.follow(&store, 60).await;
    for batch in batches.seen() {
        let bytes: usize = batch.iter().map(|(_, bytes)| bytes).sum();
        assert!(bytes <= Budget::BYTES, "{} events of {bytes} bytes together", batch.len());
    }
    store.close().await;
}

#[tokio::test]
async fn an_event_that_is_larger_than_a_batch_gets_its_turn() {
    let (_database, store) = log(3, Budget::BYTES + 1).await;
    let batches = Batches::bearing(usize::MAX);
    batches.follow(&store, 3).await;
    assert!(batches.seen().iter().all(|batch| batch.len() == 1));
    store.close().await;
}

#[tokio::test]
async fn a_copy_begins_with_few_events_in_case_the_one_before_died_of_many() {
    let (_database, store) = log(300, 10).await;
    let batches = Batches::bearing(usize::MAX);
    batches.follow(&store, 300).await;
    let sizes: Vec<usize> = batches.seen().iter().map(Vec::len).collect();
    assert_eq!(sizes, [250, 50]);
    store.close().await;
}

#[tokio::test]
async fn what_can_not_be_handled_at_once_is_handled_in_smaller_batches() {
    let (_database, store) = log(40, 10).await;
    let batches = Batches::bearing(8);
    batches.follow(&store, 40).await;
    store.close().await;
}

#[tokio::test]
async fn pages_of_large_events_are_short_and_leave_nothing_out() {
    let (database, store) = log(60, LARGE).await;
    let mut connection = database.pool().acquire().await.unwrap();
    for budget in [Budget::of(1_000), Budget::of(7), Budget::of(1_000).with_bytes(1)] {
        let most = if budget.bytes() == 1 { LARGE * 2 } else { budget.bytes() };
        let (mut seen, mut position) = (Vec::new(), 0);
        loop {
            let page = read_after(&mut connection, position, budget).await.unwrap();
            assert!(page.events.len() <= budget.pieces() && bytes(&page.events) <= most, "{budget:?}");
            seen.extend(page.events.iter().map(|event| event.position));
            if !page.more {
                break;
            }
            position = *seen.last().unwrap();
        }
        assert_eq!(seen, (1..=60).collect::<Vec<i64>>(), "{budget:?}");

        let (mut seen, mut last) = (Vec::new(), (String::new(), String::new(), 0));
        loop {
            let page = read_by_stream(&mut connection, (&last.0, &last.1, last.2), budget).await.unwrap();
            assert!(page.events.len() <= budget.pieces() && bytes(&page.events) <= most, "{budget:?}");
            let Some(event) = page.events.last() else { break };
            last = (event.stream_type.clone(), event.stream_id.clone(), event.version);
            seen.extend(page.events.into_iter().map(|event| event.position));
        }
        assert_eq!(seen, (1..=60).collect::<Vec<i64>>(), "{budget:?}");
    }
    let few = EventFilter { stream_id: Some("007".to_owned()), ..EventFilter::default() };
    let page = read_filtered(&mut connection, &few, Budget::of(10)).await.unwrap();
    assert_eq!((page.events.len(), page.more), (1, false));
    store.close().await;
}

#[tokio::test]
async fn of_several_streams_those_are_read_that_fit_each_as_a_whole() {
    let (database, store) = (testkit::database().await, noise(LARGE));
    let (text, store) = (store, EventStore::start(database.pool().clone(), AppendQueueSettings::default()));
    let ids: Vec<String> = (0..10).map(|order| format!("{order}")).collect();
    for (order, id) in ids.iter().enumerate() {
        // One of them is larger than what fits.
        let events = if order == 4 { 20 } else { 5 };
        store.append(vec![append(id, (0..events).map(|_| note(&text)).collect())]).await.unwrap();
    }
    let (mut left, mut rounds) = ([ids.clone(), vec!["nobody".to_owned()]].concat(), 0);
    loop {
        let some = store.read_streams::<Order>(&left, Budget::of(1_000)).await.unwrap();
        if some.is_empty() {
            break;
        }
        rounds += 1;
        for (id, events) in &some {
            assert_eq!(events.len(), if id == "4" { 20 } else { 5 }, "{id}");
            assert!(events.iter().map(|event| event.version).eq(1..=i64::try_from(events.len()).unwrap()));
        }
        assert!(some.len() == 1 || some.values().map(|events| bytes(events)).sum::<usize>() <= 2 * Budget::BYTES);
        left.retain(|id| !some.contains_key(id));
    }
    assert_eq!(left, ["nobody"]);
    assert!(rounds >= 4, "{rounds}");
    let all = store.read_streams::<Order>(&ids, Budget::of(usize::MAX).with_bytes(usize::MAX)).await.unwrap();
    assert_eq!(all.len(), 10);
    store.close().await;
}

#[tokio::test]
async fn commands_wait_within_their_bytes_and_are_stored_in_statements_of_a_few_megabytes() {
    let database = testkit::database().await;
    let settings = AppendQueueSettings { queue_bytes: 8 << 20, ..AppendQueueSettings::default() };
    let store = EventStore::start(database.pool().clone(), settings);
    store.append(vec![append("first", vec![note("first")])]).await.unwrap();
    // There is room for 33 of them; one is larger than all the room there is.
    let text = noise(LARGE);
    let commands: Vec<_> = (0..50).map(|order| append(&format!("{order}"), vec![note(&text)])).collect();
    let patient = append("patient", vec![note(&text)]);
    let huge = append("huge", vec![note(&text.repeat(35))]);
    // The lock keeps the writer busy, so that the queue fills.
    let mut blocker = database.pool().begin().await.unwrap();
    sqlx::query("select events_lock()").execute(&mut *blocker).await.unwrap();
    let ask = |store: EventStore, command| tokio::spawn(async move { store.append(vec![command]).await });
    let asked: Vec<_> = commands.into_iter().map(|command| ask(store.clone(), command)).collect();
    testkit::eventually(PATIENCE, || async { asked.iter().filter(|asked| asked.is_finished()).count() >= 17 }).await;
    // Those who have nobody to be refused to wait for room.
    let (patient, huge) = (ask(store.waiting_when_full(), patient), ask(store.waiting_when_full(), huge));
    blocker.rollback().await.unwrap();

    let mut stored = 0_i64;
    for asked in asked {
        match asked.await.unwrap() {
            Ok(_) => stored += 1,
            Err(error) => assert!(matches!(error, AppendError::QueueFull), "{error}"),
        }
    }
    assert_eq!(stored, 33);
    patient.await.unwrap().unwrap();
    huge.await.unwrap().unwrap();
    let statements = "select count(*), sum(octet_length(payload::text))::bigint from events group by xmin::text";
    let statements: Vec<(i64, i64)> = sqlx::query_as(statements).fetch_all(database.pool()).await.unwrap();
    assert_eq!(statements.iter().map(|(events, _)| events).sum::<i64>(), stored + 3);
    for (events, bytes) in statements {
        let most = i64::try_from(Budget::BYTES).unwrap();
        assert!(events == 1 || bytes <= most, "{events} events of {bytes} bytes in one statement");
    }
    store.close().await;
}
