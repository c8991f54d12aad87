//! The database stopped as `pg_ctl stop -m immediate` stops it, again and again in the middle of full intake.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use testkit::{demo_order, eventually};
use tokio::sync::watch;

use crate::support::{Client, NoAnswer, Ordo, folder};

const CRASHES: usize = 10;
/// Each posts its next order as soon as the one before is answered.
const CLIENTS: usize = 32;
/// How many orders are to be acknowledged between a start and a crash: it is then in the middle of batches.
const ORDERS_BETWEEN: usize = 300;
/// Far above what it takes: a test that hangs is to fail.
const BOUND: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_loses_no_acknowledged_order_and_a_retry_makes_none_twice() {
    tokio::time::timeout(BOUND, crash_and_look()).await.unwrap();
}

async fn crash_and_look() {
    let data_dir = folder();
    let settings = [("ORDO_ROLES", "command-api"), ("ORDO_LOG", "off")];

    // Given: clients that post as fast as they are answered, each order under a key, and again until it is acknowledged.
    let mut ordo = Ordo::up_on(data_dir.path(), &settings).await;
    let (api, address) = watch::channel(ordo.api.clone());
    let intake = Arc::new(Intake { api: address, acknowledged: AtomicUsize::new(0), over: AtomicBool::new(false) });
    let clients: Vec<_> = (0..CLIENTS).map(|nth| tokio::spawn(Arc::clone(&intake).run(nth))).collect();

    // When
    for _ in 0..CRASHES {
        let before = intake.acknowledged.load(Ordering::Relaxed);
        eventually(BOUND, || async { intake.acknowledged.load(Ordering::Relaxed) >= before + ORDERS_BETWEEN }).await;
        stop_immediately(data_dir.path());
        // The platform ends with its database.
        ordo.ended(Duration::from_secs(20)).await.unwrap();
        ordo = Ordo::up_on(data_dir.path(), &settings).await;
        api.send_replace(ordo.api.clone());
    }
    intake.over.store(true, Ordering::Relaxed);

    // Then: what was acknowledged is there, under the id that the answer named, and nothing else is.
    let acknowledged: BTreeMap<String, i64> = join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    let mut database = PgConnection::connect(&ordo.database).await.unwrap();
    let stored: Vec<(String, i64)> =
        sqlx::query_as("select aggregate_id, global_position from events").fetch_all(&mut database).await.unwrap();
    assert_eq!(stored.len(), acknowledged.len());
    assert_eq!(BTreeMap::from_iter(stored), acknowledged);
    println!("{} orders acknowledged over {CRASHES} crashes", acknowledged.len());
}

/// What `pg_ctl stop -m immediate` does: SIGQUIT to the postmaster.
pub(crate) fn stop_immediately(data_dir: &Path) {
    let file = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).unwrap();
    let pid = file.lines().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
}

struct Intake {
    api: watch::Receiver<String>,
    acknowledged: AtomicUsize,
    over: AtomicBool,
}

impl Intake {
    /// Posts orders until it is over, each under a key until it is acknowledged, and says where each of them was stored.
    async fn run(self: Arc<Self>, nth: usize) -> Vec<(String, i64)> {
        // Without an id of its own: one that is made anew each time, if it were not for the key.
        let mut order = demo_order("any");
        order.as_object_mut().unwrap().remove("orderId");
        let mut api = self.api.clone();
        let mut client = Client::new(&api.borrow_and_update());
        let mut orders = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let key = format!("client-{nth}-order-{}", orders.len());
            loop {
                match client.order_once(&order, &key).await {
                    Ok(answer) if answer.status == 201 => {
                        orders.push(acknowledged(&answer.json()));
                        self.acknowledged.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                    // Stored or not: the client cannot know.
                    Err(NoAnswer::NotSent | NoAnswer::Unknown(_)) => {}
                }
                let _ = tokio::time::timeout(Duration::from_millis(50), api.changed()).await;
                client = Client::new(&api.borrow_and_update());
            }
        }
        orders
    }
}

fn acknowledged(answer: &Value) -> (String, i64) {
    (answer["orderId"].as_str().unwrap().to_owned(), answer["position"].as_i64().unwrap())
}
