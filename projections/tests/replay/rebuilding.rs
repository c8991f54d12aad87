//! Replays that come to their end.

use projections::ReplayPhase;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, all};

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
    assert_eq!((replayed.events, replayed.position, replayed.promoted), (60, position, true));
    assert!(replayed.comparisons.iter().all(|(_, found)| found.is_empty() && found.on_the_move == 0), "{replayed:?}");
    for (name, live) in all().into_iter().zip(live) {
        assert!(!live.is_empty(), "{name}");
        assert_eq!(fixture.rows(&format!("read_model_{name}")).await, live, "{name}");
    }
    let over = &fixture.replays.list().await.unwrap()[0];
    assert_eq!((over.phase, over.running, over.events, over.total), (ReplayPhase::Done, false, 60, 60));
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
    assert_eq!((name.as_str(), replayed.promoted), ("orders", false));
    assert_eq!((found.different, found.only_in_new, found.only_in_old, found.on_the_move), (1, 1, 1, 0), "{found:?}");
    let example = |pk: &str| found.examples.iter().find(|example| example.key.pk == pk).unwrap();
    assert_eq!(example("ORDER#o-1").old.as_deref(), Some("{\"spoilt\":true}"));
    assert!(example("ORDER#o-1").new.as_deref().unwrap().contains("\"orderId\":\"o-1\""));
    assert_eq!((&example("ORDER#o-2").old, example("ORDER#made-up").new.as_ref()), (&None, None));
    assert!(fixture.rows("read_model_orders").await.iter().any(|row| row.contains("spoilt")));
    let waiting = fixture.replays.list().await.unwrap();
    assert_eq!((waiting[0].phase, waiting[0].running), (ReplayPhase::Different, false));
    assert_eq!(waiting[0].comparison.as_ref().unwrap()["orders"]["different"], 1);

    // And when somebody decides that the new one is right, what came meanwhile is in it, too.
    let position = fixture.happens(5).await;
    let replayed = fixture.replay(&["orders"], false).await.unwrap();
    assert_eq!((replayed.promoted, replayed.position), (true, position));
    let rows = fixture.rows("read_model_orders").await;
    assert!(!rows.iter().any(|row| row.contains("spoilt") || row.contains("made-up")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("ORDER#o-5")));
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
    assert_eq!((replayed.events, replayed.position, replayed.promoted), (0, 0, true));
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
    assert!(replaying.await.unwrap().unwrap().promoted);
    assert!(fixture.read_models.exists("orders", read_models::Generation::Previous).await.unwrap());
}
