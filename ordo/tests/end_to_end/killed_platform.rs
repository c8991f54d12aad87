//! `ordo up` killed again and again while orders come in, or its database crashed. The queues lose their messages each time; the orders
//! must not notice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use embedded::inbox::Message;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::demo_order;
use tokio::sync::watch;

use crate::database_crashes::stop_immediately;
use crate::support::{
    Client, LogSummary, NoAnswer, Ordo, at_rest, folder, log_summary, mails_by_order, settled, until_mailed,
};

const ORDERS: usize = 500;
const KILLS: usize = 10;
const CLIENTS: usize = 8;
/// How long the platform lives and how long each client waits between orders, in milliseconds: such that the orders last for
/// about as long as the kills.
const LIFE: Range<u64> = 20..900;
const PACE: Range<u64> = 0..160;
/// How many mails the notification role has in work at once, at the most.
const MAILS_IN_FLIGHT: usize = 64;
/// How long a mail is in work after the mail service has taken it: a commit, on a machine that does much else.
const IN_WORK: Duration = Duration::from_secs(2);
/// Far above what it takes: a test that hangs is to fail.
const BOUND: Duration = Duration::from_secs(120);

/// What dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The platform, as `kill -9` ends it.
    Platform,
    /// Its database, as `pg_ctl stop -m immediate` ends it: commits that did not wait for the disk may be lost.
    Database,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_order_is_lost_however_often_the_platform_is_killed() {
    tokio::time::timeout(BOUND, kill_and_look(Victim::Platform)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_is_lost_or_told_of_twice_however_often_the_database_crashes() {
    tokio::time::timeout(BOUND, kill_and_look(Victim::Database)).await.unwrap();
}

async fn kill_and_look(victim: Victim) {
    // Another seed makes other moments: ORDO_TEST_SEED=7.
    let seed = std::env::var("ORDO_TEST_SEED").map_or(3, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (data_dir, inbox) = (folder(), testkit::inbox().await);
    let inbox_url = inbox.url();
    let settings = [
        ("AWS_ENDPOINT_URL_SESV2", inbox_url.as_str()),
        // Requests for mails are lost with the queues: they are to be made again soon.
        ("ORDO_NOTIFICATION_DEADLINE", "1"),
        ("ORDO_LOG", "warn"),
    ];

    // Given: orders that keep coming, from clients that post again what nobody answered.
    let mut ordo = Ordo::up_on(data_dir.path(), &settings).await;
    let (api, address) = watch::channel(ordo.api.clone());
    let posts = Arc::new(Posts::new(address));
    let clients = (0..CLIENTS).map(|nth| tokio::spawn(Arc::clone(&posts).run(seed + 1 + nth as u64)));
    let clients: Vec<_> = clients.collect();

    // When: it is killed at any moment, and started again.
    let (mut kills, mut posted) = (Vec::new(), 0);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(LIFE))).await;
        let from = Utc::now() - IN_WORK;
        match victim {
            Victim::Platform => ordo.kill().await,
            Victim::Database => {
                stop_immediately(data_dir.path());
                // The platform ends with its database. Until then it may hand over mails that it has claimed.
                ordo.ended(Duration::from_secs(20)).await.unwrap();
            }
        }
        // A mail that was on its way is taken a moment later.
        kills.push(from..Utc::now() + Duration::from_millis(100));
        posted = posts.next.load(Ordering::Relaxed).min(ORDERS);
        ordo = Ordo::up_on(data_dir.path(), &settings).await;
        api.send_replace(ordo.api.clone());
    }
    join_all(clients).await.into_iter().for_each(Result::unwrap);

    // Then: every order that was acknowledged is there once, confirmed and told of.
    until_mailed(&ordo.database, i64::try_from(ORDERS).unwrap()).await;
    let summary = log_summary(&ordo.database).await;
    let orders = i64::try_from(ORDERS).unwrap();
    assert_eq!(summary, LogSummary { orders, complete: orders, events: 5 * orders });
    let client = ordo.client();
    for nth in 0..ORDERS {
        let order = settled(&client, &order_id(nth)).await;
        assert_eq!((order["status"].as_str(), order["version"].as_i64()), (Some("confirmed"), Some(5)), "{order}");
    }

    let mails = inbox.messages();
    let duplicates = mails.len() - mails_by_order(&mails).len();
    let (unknown, sent) = (posts.unknown.load(Ordering::Relaxed), mails.len());
    println!("{ORDERS} orders acknowledged, {posted} of them posted by the last of {KILLS} kills");
    println!("{unknown} posts with an unknown outcome, {sent} mails, {duplicates} of them duplicates");
    assert_eq!(mails_by_order(&mails).len(), ORDERS);
    let verified = at_rest(&ordo.database, ORDERS, BOUND).await;
    assert_eq!(verified["ok"], true, "{verified}");
    assert_only_kills_made_duplicates(&mails, &kills);
}

/// The one window there is: the mail service had accepted the mail, and the kill came before that was recorded.
fn assert_only_kills_made_duplicates(mails: &[Arc<Message>], kills: &[Range<DateTime<Utc>>]) {
    let mut by_id: BTreeMap<&str, Vec<DateTime<Utc>>> = BTreeMap::new();
    // Oldest first.
    for mail in mails.iter().rev() {
        by_id.entry(&mail.headers["X-Ordo-Notification-Id"]).or_default().push(mail.received_at);
    }
    let mut caused = vec![0_usize; kills.len()];
    for (id, times) in by_id {
        for pair in times.windows(2) {
            let cause = kills.iter().position(|kill| kill.contains(&pair[0]) && kill.start <= pair[1]);
            let Some(kill) = cause else { panic!("mail {id} went out twice for no kill: {pair:?} {kills:?}") };
            caused[kill] += 1;
        }
    }
    assert!(caused.iter().all(|mails| *mails <= MAILS_IN_FLIGHT), "more duplicates than mails in flight: {caused:?}");
}

/// The orders to post, and what became of the posts.
struct Posts {
    api: watch::Receiver<String>,
    next: AtomicUsize,
    unknown: AtomicUsize,
}

impl Posts {
    fn new(api: watch::Receiver<String>) -> Self {
        Self { api, next: AtomicUsize::new(0), unknown: AtomicUsize::new(0) }
    }

    /// Posts orders until there are none left, each until it is acknowledged.
    async fn run(self: Arc<Self>, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut api = self.api.clone();
        let mut client = Client::new(&api.borrow_and_update());
        loop {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            if nth >= ORDERS {
                return;
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(PACE))).await;
            let order = demo_order(&order_id(nth));
            loop {
                match client.try_order(&order).await {
                    Ok(answer) if answer.status == 201 => break,
                    Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                    Err(NoAnswer::NotSent) => {}
                    // Stored or not: the client cannot know, and posts it again.
                    Err(NoAnswer::Unknown(_)) => _ = self.unknown.fetch_add(1, Ordering::Relaxed),
                }
                let _ = tokio::time::timeout(Duration::from_millis(100), api.changed()).await;
                client = Client::new(&api.borrow_and_update());
            }
        }
    }
}

fn order_id(nth: usize) -> String {
    format!("killed-{nth}")
}
