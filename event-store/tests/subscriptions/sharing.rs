//! Copies share the partitions, and whatever becomes of a copy, everything is handled exactly once and in order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use event_store::operations::{checkpoints, lease_holders};
use event_store::{ExclusiveLease, LeaseSettings, PARTITIONS, partition_of};
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    Copy, Handled, LONG, NAME, PATIENCE, Recorder, SHORT, append, database, eventually_handled, eventually_shared,
    handled, shares, store,
};

/// Everything once, and each stream in order.
fn assert_once_and_in_order(handled: &[Handled], events: usize) {
    assert_eq!(handled.len(), events);
    assert_eq!(handled.iter().map(|row| row.position).collect::<HashSet<_>>().len(), events, "twice");
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for row in handled {
        let last = versions.entry(&row.stream).or_default();
        assert_eq!(row.version, *last + 1, "{row:?}");
        *last = row.version;
    }
}

#[tokio::test]
async fn two_copies_share_the_partitions_and_together_handle_everything_once() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let one = Copy::start(pool, "one", LONG);
    eventually_shared(pool, &[16]).await;
    let other = Copy::start(pool, "other", LONG);
    eventually_shared(pool, &[8, 8]).await;

    // When
    let writer = store(pool, LONG);
    let mut last = 0;
    for version in 0..5 {
        for stream in 0..40 {
            last = append(&writer, &format!("s-{stream}"), version).await;
        }
    }
    testkit::eventually(PATIENCE, || async { handled(pool).await.len() >= 200 }).await;

    // Then
    writer.until_passed(NAME, last).await.unwrap();
    assert_eq!(checkpoints(pool).await.unwrap()[NAME], last);
    let all = handled(pool).await;
    assert_once_and_in_order(&all, 200);
    let mut copies: [HashSet<&str>; PARTITIONS] = Default::default();
    all.iter().for_each(|row| {
        copies[partition_of(&row.stream)].insert(&row.copy);
    });
    assert!(copies.iter().all(|copies| copies.len() <= 1), "a partition was with both: {copies:?}");
    assert_eq!(copies.iter().flatten().collect::<HashSet<_>>().len(), 2);
    one.stop().await;
    other.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn a_copy_that_stops_hands_its_share_over_at_once() {
    let database = database().await;
    let pool = database.pool();
    let (one, other) = (Copy::start(pool, "one", LONG), Copy::start(pool, "other", LONG));
    // The one that came first looks again only after a third of its lease, unless it is told.
    eventually_shared(pool, &[8, 8]).await;

    one.stop().await;

    eventually_shared(pool, &[16]).await;
    let writer = store(pool, LONG);
    for stream in 0..20 {
        append(&writer, &format!("s-{stream}"), 0).await;
    }
    testkit::eventually(PATIENCE, || async { handled(pool).await.len() >= 20 }).await;
    assert!(handled(pool).await.iter().all(|row| row.copy == "other"));
    other.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn a_copy_that_is_started_again_after_a_crash_does_not_wait_for_the_lease_of_the_one_before() {
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let crashes = Copy::start(pool, "crashes", LONG);
    append(&writer, "a", 0).await;
    eventually_handled(pool, "a", &[1]).await;

    crashes.crash().await;
    append(&writer, "a", 1).await;
    let again = Copy::start(pool, "again", LONG);

    eventually_handled(pool, "a", &[1, 2]).await;
    again.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn the_share_of_a_copy_that_is_not_heard_of_moves_when_its_lease_has_run_out() {
    let database = database().await;
    let pool = database.pool();
    let (one, other) = (Copy::start(pool, "one", SHORT), Copy::start(pool, "other", SHORT));
    eventually_shared(pool, &[8, 8]).await;

    one.fall_silent().await;
    let died = Instant::now();
    eventually_shared(pool, &[16]).await;

    // The rest is for a machine that does much else.
    assert!(died.elapsed() < SHORT + Duration::from_secs(3), "{:?}", died.elapsed());
    let writer = store(pool, LONG);
    for stream in 0..20 {
        append(&writer, &format!("s-{stream}"), 0).await;
    }
    testkit::eventually(PATIENCE, || async { handled(pool).await.len() >= 20 }).await;
    assert_once_and_in_order(&handled(pool).await, 20);
    other.stop().await;
    writer.close().await;
}

/// A copy in a thread and with connections of its own, which stands still in the middle of its first batch, as a process that is
/// stopped does: it does not even renew its leases.
struct Frozen {
    is_frozen: mpsc::Receiver<()>,
    thaw: mpsc::Sender<()>,
    stop: CancellationToken,
    thread: thread::JoinHandle<()>,
}

impl Frozen {
    fn start(url: &str, lease: Duration) -> Self {
        let ((freezing, is_frozen), (thaw, thawed)) = (mpsc::channel(), mpsc::channel());
        let thawed = std::sync::Mutex::new(thawed);
        let (url, stop) = (url.to_owned(), CancellationToken::new());
        let check = Arc::new(move |_: &_| {
            let _ = freezing.send(());
            // An error: it may go on, this time and from then on.
            let _ = thawed.lock().unwrap().recv();
            Ok(())
        });
        let thread = thread::spawn({
            let stop = stop.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let store = store(&PgPool::connect(&url).await.unwrap(), lease);
                    store.subscribe(Recorder { name: NAME, copy: "frozen", check }, stop).await;
                    store.close().await;
                });
            }
        });
        Self { is_frozen, thaw, stop, thread }
    }
}

#[tokio::test]
async fn a_copy_that_freezes_just_before_its_commit_holds_the_others_up_for_its_lease_only() {
    // Given: somebody who holds everything, has moved on in a transaction, and says nothing more.
    let database = database().await;
    let pool = database.pool();
    let mut frozen = PgConnection::connect(database.url()).await.unwrap();
    let partitions = "insert into subscription_partitions (subscription, partition) select $1, generate_series(0, 15)";
    sqlx::query(partitions).bind(NAME).execute(&mut frozen).await.unwrap();
    let (owner, all, fences) = (Uuid::now_v7(), Vec::from_iter(0_i16..16), vec![0_i64; 16]);
    let take = "select count(*) from take_partitions($1, $2, $3, $4, $5, false)";
    let take = sqlx::query(take).bind(NAME).bind(owner).bind(&all).bind(&fences).bind(1_000_i64);
    take.execute(&mut frozen).await.unwrap();
    let mut transaction = frozen.begin().await.unwrap();
    let advance = sqlx::query("select advance_subscription($1, $2, $3, $4, 0)").bind(NAME).bind(owner).bind(&all);
    advance.bind(vec![1_i64; 16]).execute(&mut *transaction).await.unwrap();
    let froze = Instant::now();

    // When
    let writer = store(pool, LONG);
    append(&writer, "a", 0).await;
    let other = Copy::start(pool, "other", SHORT);

    // Then: far sooner than the server's own bounds, half a minute and more.
    eventually_handled(pool, "a", &[1]).await;
    assert!(froze.elapsed() < SHORT + Duration::from_secs(15), "{:?}", froze.elapsed());
    other.stop().await;
    writer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_freezes_loses_its_share_and_what_it_wrote_when_it_wakes_up() {
    // Given: a copy that is alone, in the middle of a batch, with a row written that the next to write it has to wait for.
    let database = database().await;
    let pool = database.pool();
    sqlx::query("create unique index on handled (position)").execute(pool).await.unwrap();
    let writer = store(pool, LONG);
    let frozen = Frozen::start(database.url(), SHORT);
    append(&writer, "a", 0).await;
    append(&writer, "b", 0).await;
    let (is_frozen, thaw, stop, thread) = (frozen.is_frozen, frozen.thaw, frozen.stop, frozen.thread);
    tokio::task::spawn_blocking(move || is_frozen.recv().unwrap()).await.unwrap();

    // When: another takes over, and the first wakes up.
    let other = Copy::start(pool, "other", SHORT);
    eventually_handled(pool, "a", &[1]).await;
    eventually_handled(pool, "b", &[1]).await;
    drop(thaw);

    // Then: nothing it had written stays, and it takes part again.
    eventually_shared(pool, &[8, 8]).await;
    for stream in 0..20 {
        append(&writer, &format!("s-{stream}"), 0).await;
    }
    testkit::eventually(PATIENCE, || async { handled(pool).await.len() >= 22 }).await;
    let all = handled(pool).await;
    assert_once_and_in_order(&all, 22);
    let first: Vec<_> = all.iter().filter(|row| row.stream == "a" || row.stream == "b").collect();
    assert!(first.iter().all(|row| row.copy == "other"), "{first:?}");
    stop.cancel();
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    other.stop().await;
    writer.close().await;
}

#[tokio::test]
async fn a_batch_may_take_longer_than_a_lease() {
    let database = database().await;
    let pool = database.pool();
    // Waits in the database, for a lock that the test holds.
    let mut held = pool.begin().await.unwrap();
    sqlx::query("lock table handled").execute(&mut *held).await.unwrap();
    let copy = Copy::start(pool, "patient", SHORT);
    eventually_shared(pool, &[16]).await;
    let writer = store(pool, LONG);
    append(&writer, "a", 0).await;
    let began = Instant::now();
    while began.elapsed() < SHORT * 3 {
        assert_eq!(shares(pool).await, [16]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let owners =
        || async { lease_holders(pool).await.unwrap().into_iter().map(|holder| holder.owner).collect::<Vec<_>>() };
    let owner = owners().await;
    held.rollback().await.unwrap();
    eventually_handled(pool, "a", &[1]).await;
    assert_eq!(owners().await, owner);
    copy.stop().await;
    writer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_stream_stays_in_order_while_copies_come_stop_and_die() {
    const VERSIONS: i64 = 60;
    const STREAMS: usize = 16;
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let writing = tokio::spawn({
        let writer = writer.clone();
        async move {
            for version in 0..VERSIONS {
                for stream in 0..STREAMS {
                    append(&writer, &format!("s-{stream}"), version).await;
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    });
    let mut copies = vec![Copy::start(pool, "0", SHORT)];
    for (nth, name) in ["1", "2", "3", "4", "5"].into_iter().enumerate() {
        copies.push(Copy::start(pool, name, SHORT));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let leaves = copies.remove(0);
        match nth % 3 {
            0 => leaves.crash().await,
            1 => leaves.stop().await,
            _ => leaves.fall_silent().await,
        }
    }
    writing.await.unwrap();
    let events = STREAMS * usize::try_from(VERSIONS).unwrap();
    testkit::eventually(PATIENCE, || async { handled(pool).await.len() >= events }).await;
    assert_once_and_in_order(&handled(pool).await, events);
    for copy in copies {
        copy.stop().await;
    }
    writer.close().await;
}

#[tokio::test]
async fn a_rebuild_that_takes_everything_and_dies_holds_the_copies_up_for_its_lease_only() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let copy = Copy::start(pool, "copy", SHORT);
    eventually_shared(pool, &[16]).await;

    // When: it goes without a word.
    let settings = LeaseSettings { lease: Duration::from_secs(2) };
    let mut connection = pool.acquire().await.unwrap();
    drop(ExclusiveLease::acquire(&mut connection, NAME, settings).await.unwrap());

    // Then: while the lease runs nothing is handled, and then everything is.
    let writer = store(pool, LONG);
    append(&writer, "a", 0).await;
    let holder = || async { lease_holders(pool).await.unwrap().remove(0) };
    while holder().await.exclusive && holder().await.alive {
        assert!(handled(pool).await.is_empty() || !holder().await.exclusive);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually_handled(pool, "a", &[1]).await;
    assert!(!holder().await.exclusive);
    copy.stop().await;
    writer.close().await;
}
