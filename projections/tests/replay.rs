//! Replays: one pass for several read models, differences, going back, going on after a stop, cancelling, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cqrs_es::Aggregate;
use domain::ids::NoteId;
use domain::order::event::{NoteAdded, OrderConfirmed};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderEvent};
use domain::stock::{Stock, StockEvent, StockReceived};
use event_store::{EventStore, Metadata, NewEvent, StoreSettings, StreamAppend};
use projections::{Phase, REGISTRY, ReplayError, Replayed, Replays, Wanted};
use read_models::ReadModels;
use sqlx::PgPool;
use testkit::Database;
use tokio_util::sync::CancellationToken;

struct Fixture {
    database: Database,
    store: EventStore,
    replays: Replays,
    read_models: Arc<dyn ReadModels>,
}

impl Fixture {
    async fn new() -> Self {
        let database = testkit::database().await;
        let read_models = testkit::read_models(database.pool());
        projections::create_tables(&*read_models).await.unwrap();
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let replays = Replays::new(database.pool().clone(), Arc::clone(&read_models));
        Self { database, store, replays, read_models }
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    async fn append(&self, kind: &'static str, id: &str, from: i64, events: Vec<NewEvent>) -> i64 {
        let stream = StreamAppend { stream_type: kind, stream_id: id.to_owned(), expected_version: from, events };
        self.store.append(vec![stream]).await.unwrap().position
    }

    /// An order that is confirmed, and a SKU that is received.
    async fn happens(&self, nth: usize) -> i64 {
        let id = format!("o-{nth}");
        let created = PostedOrder::parse(testkit::demo_order(&id).to_string().as_bytes()).unwrap().content;
        let event = |event: OrderEvent| NewEvent::new(&event, &Metadata::default()).unwrap();
        let events =
            vec![event(OrderEvent::OrderCreated(created)), event(OrderEvent::OrderConfirmed(OrderConfirmed {}))];
        self.append(Order::TYPE, &id, 0, events).await;
        let received = StockEvent::StockReceived(StockReceived { quantity: 5 });
        let received = NewEvent::new(&received, &Metadata::default()).unwrap();
        self.append(Stock::TYPE, &format!("sku-{nth}"), 0, vec![received]).await
    }

    async fn open(&self, projections: &[&str], compare: bool) -> Result<projections::Replay, ReplayError> {
        let projections = projections.iter().map(|name| (*name).to_owned()).collect();
        self.replays.open(&Wanted { projections, compare }).await
    }

    async fn replay(&self, projections: &[&str], compare: bool) -> Result<Replayed, ReplayError> {
        self.open(projections, compare).await?.run(&CancellationToken::new(), |_| ()).await
    }

    /// Has the live read models follow the log up to a position.
    async fn follow(&self, position: i64) {
        let stop = CancellationToken::new();
        let running = tokio::spawn(projections::run(self.store.clone(), Arc::clone(&self.read_models), stop.clone()));
        for projection in REGISTRY {
            self.store.until_passed(projection.name, position).await.unwrap();
        }
        stop.cancel();
        running.await.unwrap();
    }

    async fn rows(&self, table: &str) -> Vec<String> {
        let rows = format!("select row_to_json(t)::text from {table} t order by pk, sk");
        sqlx::query_scalar(&rows).fetch_all(self.pool()).await.unwrap()
    }

    /// Everything that a replay may leave behind.
    async fn traces(&self) -> Vec<String> {
        let traces = "select tablename::text from pg_tables where tablename like 'read\\_model\\_%\\_next'
                      union all select 'tally of ' || read_model from read_model_tallies
                      union all select 'replay ' || phase from replays";
        sqlx::query_scalar(traces).fetch_all(self.pool()).await.unwrap()
    }
}

fn all() -> Vec<&'static str> {
    REGISTRY.iter().map(|projection| projection.name).collect()
}

#[tokio::test]
async fn all_read_models_are_rebuilt_in_one_pass_and_are_what_the_live_ones_were() {
    // Given
    let fixture = Fixture::new().await;
    let mut position = 0;
    for nth in 0..20 {
        position = fixture.happens(nth).await;
    }
    fixture.follow(position).await;
    let mut live = Vec::new();
    for name in all() {
        live.push(fixture.rows(&format!("read_model_{name}")).await);
    }

    // When
    let replayed = fixture.replay(&all(), true).await.unwrap();

    // Then: each event was folded once, whoever followed it.
    assert_eq!((replayed.events, replayed.position, replayed.swapped), (60, position, true));
    assert!(replayed.comparisons.iter().all(|(_, found)| found.is_empty() && found.on_the_move == 0), "{replayed:?}");
    for (name, live) in all().into_iter().zip(live) {
        assert!(!live.is_empty(), "{name}");
        assert_eq!(fixture.rows(&format!("read_model_{name}")).await, live, "{name}");
    }
    let over = &fixture.replays.list().await.unwrap()[0];
    assert_eq!((over.phase, over.running, over.events, over.total), (Phase::Done, false, 60, 60));
}

#[tokio::test]
async fn differences_are_told_with_examples_and_leave_the_live_one_in_its_place_until_somebody_decides() {
    // Given: one item was changed, one removed, and one made up.
    let fixture = Fixture::new().await;
    let mut position = 0;
    for nth in 0..5 {
        position = fixture.happens(nth).await;
    }
    fixture.follow(position).await;
    for spoil in [
        "update read_model_orders set item = '{\"spoilt\":true}' where pk = 'ORDER#o-1' and sk = '#META'",
        "delete from read_model_orders where pk = 'ORDER#o-2' and sk = '#META'",
        "insert into read_model_orders (pk, sk, version, item) values ('ORDER#made-up', '#META', 1, '{}')",
    ] {
        sqlx::query(spoil).execute(fixture.pool()).await.unwrap();
    }

    // When
    let replayed = fixture.replay(&["orders"], true).await.unwrap();

    // Then
    let (name, found) = &replayed.comparisons[0];
    assert_eq!((name.as_str(), replayed.swapped), ("orders", false));
    assert_eq!((found.different, found.only_in_new, found.only_in_old, found.on_the_move), (1, 1, 1, 0), "{found:?}");
    let example = |pk: &str| found.examples.iter().find(|example| example.key.pk == pk).unwrap();
    assert_eq!(example("ORDER#o-1").old.as_deref(), Some("{\"spoilt\":true}"));
    assert!(example("ORDER#o-1").new.as_deref().unwrap().contains("\"orderId\":\"o-1\""));
    assert_eq!((&example("ORDER#o-2").old, example("ORDER#made-up").new.as_ref()), (&None, None));
    assert!(fixture.rows("read_model_orders").await.iter().any(|row| row.contains("spoilt")));
    let waiting = fixture.replays.list().await.unwrap();
    assert_eq!((waiting[0].phase, waiting[0].running), (Phase::Different, false));
    assert_eq!(waiting[0].comparison.as_ref().unwrap()["orders"]["different"], 1);

    // And when somebody decides that the new one is right, what came meanwhile is in it, too.
    let position = fixture.happens(5).await;
    let replayed = fixture.replay(&["orders"], false).await.unwrap();
    assert_eq!((replayed.swapped, replayed.position), (true, position));
    let rows = fixture.rows("read_model_orders").await;
    assert!(!rows.iter().any(|row| row.contains("spoilt") || row.contains("made-up")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("ORDER#o-5")));
}

#[tokio::test]
async fn the_generation_before_takes_its_place_again_with_all_that_came_since() {
    // Given: a rebuild that mends something.
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let spoil = "update read_model_orders set gsi1sk = 'before' where pk = 'ORDER#o-0' and sk = '#META'";
    sqlx::query(spoil).execute(fixture.pool()).await.unwrap();
    fixture.replay(&["orders"], false).await.unwrap();
    let mended = fixture.rows("read_model_orders").await;
    assert!(!mended[0].contains("before"));
    let position = fixture.happens(1).await;
    fixture.follow(position).await;
    let after = fixture.rows("read_model_orders").await;

    // When
    let went_back = fixture.replays.roll_back("orders").await.unwrap();

    // Then
    assert_eq!(went_back, position);
    let back = fixture.rows("read_model_orders").await;
    assert!(back[0].contains("before") && back.len() == after.len(), "{back:?}");
    assert_eq!(back[1..], after[1..]);
    // It goes on from there, and so does the way back.
    let position = fixture.happens(2).await;
    fixture.follow(position).await;
    assert_eq!(fixture.replays.roll_back("orders").await.unwrap(), position);
    let forth = fixture.rows("read_model_orders").await;
    assert!(!forth[0].contains("before") && forth.iter().any(|row| row.contains("ORDER#o-2")), "{forth:?}");
}

#[tokio::test]
async fn a_replay_that_was_stopped_goes_on_where_it_was() {
    let fixture = Fixture::new().await;
    let mut position = 0;
    for nth in 0..5 {
        position = fixture.happens(nth).await;
    }
    fixture.follow(position).await;
    let live = fixture.rows("read_model_orders").await;

    // Stopped when the log is folded.
    let stop = CancellationToken::new();
    let replay = fixture.open(&["orders"], true).await.unwrap();
    let (id, folded) = (replay.state().id, AtomicBool::new(false));
    let stopped = replay.run(&stop, |progress| {
        folded.store(progress.phase == Phase::Indexing, Ordering::SeqCst);
        if progress.phase == Phase::Indexing {
            stop.cancel();
        }
    });
    assert!(matches!(stopped.await, Err(ReplayError::Stopped)));
    assert!(folded.load(Ordering::SeqCst));
    let state = fixture.replays.find(id).await.unwrap();
    assert_eq!((state.events, state.total), (10, 10));

    // What comes meanwhile is in it, and nothing is folded twice.
    let position = fixture.happens(5).await;
    let goes_on = || async { fixture.open(&["orders"], false).await };
    testkit::eventually(std::time::Duration::from_secs(60), || async { goes_on().await.is_ok() }).await;
    let replayed = loop {
        match fixture.replay(&["orders"], false).await {
            Err(ReplayError::AlreadyRunning(_)) => tokio::task::yield_now().await,
            replayed => break replayed.unwrap(),
        }
    };
    assert_eq!((replayed.events, replayed.position), (12, position));
    assert_eq!(fixture.replays.find(id).await.unwrap().phase, Phase::Done);
    let rows = fixture.rows("read_model_orders").await;
    assert_eq!(rows[..live.len()], live);
}

#[tokio::test]
async fn a_cancelled_replay_leaves_no_trace() {
    // Given: one that waits for a decision, one that was stopped, one that is under way.
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let live = fixture.rows("read_model_orders").await;
    sqlx::query("update read_model_orders set gsi1sk = 'other'").execute(fixture.pool()).await.unwrap();
    assert!(!fixture.replay(&["orders"], true).await.unwrap().swapped);
    assert!(!fixture.traces().await.is_empty());

    fixture.replays.cancel("orders").await.unwrap();
    assert_eq!(fixture.traces().await, [] as [String; 0]);

    let refused = fixture.replays.cancel("orders").await.unwrap_err().to_string();
    assert_eq!(refused, "no replay of orders is under way");

    // Under way: it notices by itself.
    let replay = fixture.open(&all(), false).await.unwrap();
    let id = replay.state().id;
    sqlx::query("update replays set cancelling = true").execute(fixture.pool()).await.unwrap();
    let cancelled = replay.run(&CancellationToken::new(), |_| ()).await;
    assert!(matches!(cancelled, Err(ReplayError::Cancelled)), "{cancelled:?}");
    assert_eq!(fixture.traces().await, [] as [String; 0]);
    assert!(matches!(fixture.replays.find(id).await, Err(ReplayError::NoReplay(_))));
    assert_eq!(fixture.rows("read_model_orders").await.len(), live.len());
}

#[tokio::test]
async fn what_can_t_be_rebuilt_or_taken_back_is_refused_in_clear_words() {
    let fixture = Fixture::new().await;
    fixture.happens(0).await;
    let said = |error: ReplayError| error.to_string();

    let known = all().join(", ");
    let unknown = said(fixture.open(&["odrers"], false).await.unwrap_err());
    assert_eq!(unknown, format!("there is no projection odrers; there are: {known}"));
    assert_eq!(said(fixture.open(&[], false).await.unwrap_err()), "no projection is named");
    let gone = said(fixture.replays.roll_back("orders").await.unwrap_err());
    assert_eq!(
        gone,
        "there is no previous generation of orders: it has not been rebuilt, or the generation was dropped"
    );

    // A second one of the same projection, whatever else it is of.
    let first = fixture.open(&["orders"], false).await.unwrap();
    let (id, running) = (first.state().id, async |id| fixture.replays.find(id).await.unwrap().running);
    assert!(running(id).await);
    let second = said(fixture.open(&["orders"], false).await.unwrap_err());
    assert_eq!(second, "orders is being rebuilt already");
    assert_eq!(said(fixture.open(&all(), false).await.unwrap_err()), "orders is being rebuilt already");
    assert_eq!(said(fixture.replays.roll_back("orders").await.unwrap_err()), "orders is being rebuilt already");
    assert_eq!(
        said(fixture.replays.estimate(&["orders".into()]).await.unwrap_err()),
        "orders is being rebuilt already"
    );
    // Another one can be.
    fixture.replay(&["stock"], false).await.unwrap();

    // Left where it was, it is in the way of others, and says so.
    first.close().await;
    assert!(!running(id).await);
    let other = said(fixture.open(&["orders", "stock"], false).await.unwrap_err());
    assert_eq!(other, "the replay of orders that was begun is not over: go on with that one, or cancel it");
    fixture.replay(&["orders"], false).await.unwrap();

    // The generation before is kept until it is dropped.
    sqlx::query("drop table read_model_orders_previous").execute(fixture.pool()).await.unwrap();
    let gone = said(fixture.replays.roll_back("orders").await.unwrap_err());
    assert!(gone.starts_with("there is no previous generation of orders"), "{gone}");
}

#[tokio::test]
async fn a_dry_run_says_what_there_is_to_do_and_changes_nothing() {
    let fixture = Fixture::new().await;
    for nth in 0..3 {
        fixture.happens(nth).await;
    }
    let estimate = fixture.replays.estimate(&["orders".to_owned()]).await.unwrap();
    assert_eq!((estimate.events, estimate.sample, estimate.begun), (6, 6, None));
    assert!(estimate.expected.is_some());
    let all: Vec<String> = all().into_iter().map(str::to_owned).collect();
    assert_eq!(fixture.replays.estimate(&all).await.unwrap().events, 9);
    assert_eq!(fixture.traces().await, [] as [String; 0]);
    assert_eq!(fixture.rows("read_model_orders").await, [] as [String; 0]);

    let empty = Fixture::new().await;
    let estimate = empty.replays.estimate(&all).await.unwrap();
    assert_eq!((estimate.events, estimate.expected), (0, None));
}

#[tokio::test]
async fn an_empty_log_is_rebuilt_too() {
    let fixture = Fixture::new().await;
    let replayed = fixture.replay(&all(), true).await.unwrap();
    assert_eq!((replayed.events, replayed.position, replayed.swapped), (0, 0, true));
}

#[tokio::test]
async fn an_event_that_is_not_known_stops_the_replay_and_the_live_one_stays() {
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let live = fixture.rows("read_model_orders").await;
    let unknown =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                   values ('order', 'o-0', 3, 'OrderTeleported', '1.0', '{\"OrderTeleported\":{}}', '{}')";
    sqlx::query(unknown).execute(fixture.pool()).await.unwrap();

    let failed = fixture.replay(&["orders"], false).await.unwrap_err();

    assert!(matches!(failed, ReplayError::Project(_)), "{failed:?}");
    assert_eq!(fixture.rows("read_model_orders").await, live);
    let state = &fixture.replays.list().await.unwrap()[0];
    assert!(state.error.as_deref().unwrap().contains("OrderTeleported"), "{state:?}");
    fixture.replays.cancel("orders").await.unwrap();
    assert_eq!(fixture.traces().await, [] as [String; 0]);
}

#[tokio::test]
async fn a_replay_that_can_t_change_places_yet_holds_up_no_reader() {
    // Given: somebody who reads for long.
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let mut reader = fixture.pool().begin().await.unwrap();
    sqlx::query("select * from read_model_orders").execute(&mut *reader).await.unwrap();

    // When
    let replay = fixture.open(&["orders"], false).await.unwrap();
    let replaying = tokio::spawn(async move { replay.run(&CancellationToken::new(), |_| ()).await });
    let waits = "select exists (select from pg_locks where not granted and relation = 'read_model_orders'::regclass
                    and database = (select oid from pg_database where datname = current_database()))";
    let is_waiting = || async { sqlx::query_scalar::<_, bool>(waits).fetch_one(fixture.pool()).await.unwrap() };
    testkit::eventually(std::time::Duration::from_secs(60), is_waiting).await;

    // Then: others read while it waits, and it gets there when the long one has ended.
    assert_eq!(fixture.rows("read_model_orders").await.len(), 2);
    assert!(!replaying.is_finished());
    reader.rollback().await.unwrap();
    assert!(replaying.await.unwrap().unwrap().swapped);
    assert!(fixture.read_models.exists("orders", read_models::Generation::Previous).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_breaks_off_while_it_is_read_leaves_no_half_folded_order() {
    // Given: orders of ten events each, more than are under way between those who read, fold and write.
    const ORDERS: i64 = 4_000;
    let fixture = Fixture::new().await;
    let created = PostedOrder::parse(testkit::demo_order("o").to_string().as_bytes()).unwrap().content;
    let created = serde_json::to_string(&OrderEvent::OrderCreated(created)).unwrap();
    let fill = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                select 'order', 'o-' || nth, version, case version when 1 then 'OrderCreated' else 'NoteAdded' end, '1.0',
                       case version when 1 then $2::json
                            else json_build_object('NoteAdded', json_build_object('noteId', 'n-' || version, 'text', repeat('x', 400)))
                       end, '{}'
                  from generate_series(1, $1) as nth, generate_series(1, 10) as version";
    sqlx::query(fill).bind(ORDERS).bind(&created).execute(fixture.pool()).await.unwrap();

    // When: nobody writes, so that the reader waits, and then loses its connection.
    let replay = fixture.open(&["orders"], false).await.unwrap();
    let mut writer = fixture.pool().begin().await.unwrap();
    sqlx::query("select * from replays for update").execute(&mut *writer).await.unwrap();
    let replaying = tokio::spawn(async move { replay.run(&CancellationToken::new(), |_| ()).await });
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and wait_event = 'ClientWrite' and query like 'copy (select%'";
    let ended = || async { sqlx::query_scalar::<_, i64>(end).fetch_one(fixture.pool()).await.unwrap() == 1 };
    testkit::eventually(std::time::Duration::from_secs(60), ended).await;
    writer.rollback().await.unwrap();
    let broken = replaying.await.unwrap();
    assert!(matches!(broken, Err(ReplayError::Database(_))), "{broken:?}");

    // Then: it goes on, and every order is whole.
    let replayed = fixture.replay(&["orders"], false).await.unwrap();
    assert_eq!(replayed.events, 40_000);
    let whole = "select count(*) from read_model_orders where sk = '#META' and (item ->> 'version')::int = 10";
    assert_eq!(sqlx::query_scalar::<_, i64>(whole).fetch_one(fixture.pool()).await.unwrap(), ORDERS);
    assert_eq!(fixture.rows("read_model_orders").await.len(), 4_000 * 11);
}

#[tokio::test]
async fn what_another_build_has_folded_is_not_gone_on_with() {
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let left = fixture.open(&["orders"], false).await.unwrap();
    let id = left.state().id;
    left.close().await;
    sqlx::query("update replays set build = 'another'").execute(fixture.pool()).await.unwrap();

    let replay = fixture.open(&["orders"], true).await.unwrap();

    assert_ne!(replay.state().id, id);
    assert!(matches!(fixture.replays.find(id).await, Err(ReplayError::NoReplay(_))));
    assert!(replay.run(&CancellationToken::new(), |_| ()).await.unwrap().swapped);
}

#[tokio::test]
async fn what_was_parked_when_a_generation_was_replaced_is_in_it_when_it_comes_back() {
    // Given: an order whose item can't be read, so that what happens to it is parked, and another one after it.
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let spoil =
        "update read_model_orders set item = json_build_object('was', item) where pk = 'ORDER#o-0' and sk = '#META'";
    sqlx::query(spoil).execute(fixture.pool()).await.unwrap();
    let note = NoteAdded { note_id: NoteId::parse("n").unwrap(), text: "parked".into(), author: None };
    let note = NewEvent::new(&OrderEvent::NoteAdded(note), &Metadata::default()).unwrap();
    fixture.append(Order::TYPE, "o-0", 2, vec![note]).await;
    let position = fixture.happens(1).await;
    fixture.follow(position).await;
    assert_eq!(event_store::operations::parked_events(fixture.pool(), Some("orders")).await.unwrap().len(), 1);
    fixture.replay(&["orders"], false).await.unwrap();
    let rebuilt = fixture.rows("read_model_orders").await;

    // When: the item is mended where it is kept, and that generation comes back.
    let mend = "update read_model_orders_previous set item = item -> 'was' where pk = 'ORDER#o-0' and sk = '#META'";
    sqlx::query(mend).execute(fixture.pool()).await.unwrap();
    fixture.replays.roll_back("orders").await.unwrap();

    // Then
    assert_eq!(fixture.rows("read_model_orders").await, rebuilt);
}
