//! Replays that are stopped, cancelled, failed or refused.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::order::OrderEvent;
use domain::order::parse::PostedOrder;
use projections::{ReplayError, ReplayPhase};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, all};

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
        folded.store(progress.phase == ReplayPhase::Indexing, Ordering::SeqCst);
        if progress.phase == ReplayPhase::Indexing {
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
    assert_eq!(fixture.replays.find(id).await.unwrap().phase, ReplayPhase::Done);
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
    assert!(!fixture.replay(&["orders"], true).await.unwrap().promoted);
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
    assert!(replay.run(&CancellationToken::new(), |_| ()).await.unwrap().promoted);
}
