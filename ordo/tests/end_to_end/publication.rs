//! Events on a queue for other programs, however often the platform is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use testkit::demo_order;

use crate::support::{Ordo, PATIENCE, folder, run, settled};

const KILLS: usize = 10;
const ORDERS: usize = 60;
const QUEUE: &str = "ordo-events.fifo";

/// Takes all that a queue has, and returns the versions of each order in the order in which they came.
async fn take(sqs: &str, queue: &str, versions: &mut BTreeMap<String, Vec<i64>>) {
    let client = testkit::sqs_client(sqs);
    let url = client.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap();
    loop {
        let receive = client.receive_message().queue_url(&url).max_number_of_messages(10);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return;
        }
        for message in messages {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            let order = event["subject"].as_str().unwrap().to_owned();
            versions.entry(order).or_default().push(event["data"]["version"].as_i64().unwrap());
            let receipt = message.receipt_handle.unwrap();
            client.delete_message().queue_url(&url).receipt_handle(receipt).send().await.unwrap();
        }
    }
}

/// Has a platform with these settings publish orders of a run while it is killed again and again, and reads a queue to which their
/// events come: none is lost, and none comes before an earlier one of its order.
pub(crate) async fn nothing_is_lost_or_overtaken(run: &str, settings: &[(&str, &str)], sqs: &str, queue: &str) {
    // Given
    let seed = std::env::var("ORDO_TEST_SEED").map_or(7, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let data_dir = folder();
    let settings: Vec<_> = [("ORDO_LOG", "warn"), ("ORDO_LEASE", "1")].into_iter().chain(settings.to_vec()).collect();
    let mut ordo = Ordo::up_on(data_dir.path(), &settings).await;

    // When
    let mut posted = 0;
    for _ in 0..KILLS {
        let client = ordo.client();
        for _ in 0..ORDERS / KILLS {
            assert_eq!(client.order(&demo_order(&format!("{run}-{posted}"))).await.status, 201);
            posted += 1;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
        ordo.kill().await;
        ordo = Ordo::up_on(data_dir.path(), &settings).await;
    }

    // Then
    let client = ordo.client();
    for nth in 0..ORDERS {
        settled(&client, &format!("{run}-{nth}")).await;
    }
    let (mut versions, until) = (BTreeMap::new(), tokio::time::Instant::now() + PATIENCE);
    let complete = |versions: &BTreeMap<String, Vec<i64>>| {
        versions.len() == ORDERS && versions.values().all(|versions| versions.contains(&5))
    };
    while !complete(&versions) {
        assert!(tokio::time::Instant::now() < until, "{versions:?}");
        take(sqs, queue, &mut versions).await;
    }
    let mut repeats = 0;
    for (order, versions) in versions {
        let mut highest = 0;
        for version in &versions {
            assert!(*version <= highest + 1, "{order}: {versions:?}");
            highest = highest.max(*version);
        }
        repeats += versions.len() - versions.iter().collect::<BTreeSet<_>>().len();
    }
    println!("{ORDERS} orders, {KILLS} kills, {repeats} events that came again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_or_overtaken_however_often_the_platform_is_killed() {
    let sqs = testkit::sqs().await;
    let url = sqs.url();
    let settings = [("AWS_ENDPOINT_URL_SQS", url.as_str()), ("ORDO_EVENTS_QUEUE", QUEUE)];
    nothing_is_lost_or_overtaken("published", &settings, &url, QUEUE).await;
}

#[tokio::test]
async fn a_process_with_the_role_makes_the_queue_and_counts_what_it_publishes() {
    let (ordo, publishes) = (Ordo::up(&[("ORDO_EVENTS_QUEUE", QUEUE)]).await, "ordo_publication_events_total");
    let client = ordo.client();
    assert_eq!(client.order(&demo_order("o-1")).await.status, 201);
    settled(&client, "o-1").await;
    let published = async |name: &str| {
        let metrics = client.get("/metrics").await.text().to_owned();
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    testkit::eventually(PATIENCE, || async { published(publishes).await >= Some(5) }).await;
    let checks = client.get("/health/ready").await.json()["checks"].clone();
    let names: Vec<_> = checks.as_array().unwrap().iter().filter_map(|check| check["name"].as_str()).collect();
    assert!(names.contains(&"publication"), "{names:?}");

    let settings = [("DATABASE_URL", ordo.database.as_str()), ("AWS_ENDPOINT_URL_SQS", ordo.sqs.as_str())];
    let settings = [settings[0], settings[1], ("ORDO_EVENTS_QUEUE", QUEUE)];
    let migrated = run(&["migrate", "--queues"], &settings).await;
    assert!(migrated.err.contains("the queue ordo-events.fifo is there"), "{migrated:?}");
}
