//! Orders of every kind, of which everything is asked at any moment, while every role is killed again and again, operators decide at
//! random, and the queues and the payment provider are away in turns. Nothing may be left half done, and all who tell of it say the same.

mod clerk;
mod lives;
mod operator;
mod orders;
mod outages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use testkit::eventually;
use tokio::sync::watch;

use self::lives::Shop;
use self::orders::SKUS;
use crate::support::{Client, Deployment, Ordo, Setting, at_rest};

/// `ORDO_CHAOS_ORDERS=1000 ORDO_CHAOS_KILLS=50` takes some minutes; another seed makes other moments.
const ORDERS: usize = 200;
const KILLS: usize = 10;
const SEED: usize = 11;
const CLIENTS: usize = 16;
const OPERATORS: u64 = 3;
/// How long after an order's turn a role dies.
const LATER_MS: std::ops::Range<u64> = 0..300;
/// How long it may take after the last kill until nothing is under way.
const BOUND: Duration = Duration::from_secs(120);
const ROLES: [&str; 3] = ["command-api,projections", "sagas", "notification"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_half_done_whoever_is_killed_and_when() {
    let given = |name: &str, usual| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (orders, kills) = (given("ORDO_CHAOS_ORDERS", ORDERS), given("ORDO_CHAOS_KILLS", KILLS));
    let seed = u64::try_from(given("ORDO_TEST_SEED", SEED)).unwrap();
    println!("{orders} orders, {kills} kills, seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);

    // Given
    let deployment = Deployment::new(&[
        ("ORDO_PAYMENT_TIMEOUT", "2"),
        ("ORDO_PAYMENT_BREAKER_PAUSE", "1"),
        // A step that others keep from its end is an operator's soon.
        ("ORDO_SAGA_DEADLINE", "5"),
        // Every shipment gets an invoice, and every refund a credit note.
        ("ORDO_SELLER_NAME", "Shop Ltd"),
        ("ORDO_SELLER_ADDRESS", "Street 1, 10115 Berlin, Germany"),
        ("ORDO_SELLER_TAX_ID", "DE123456789"),
    ])
    .await;
    let mut roles = join_all(ROLES.map(|role| deployment.serve(role))).await;
    for (sku, units) in SKUS {
        if let Some(units) = units {
            roles[0].client().receive(sku, (units * orders).div_ceil(100)).await;
        }
    }

    // When orders come in and go through their lives, and roles die meanwhile.
    let (api, address) = watch::channel(roles[0].api.clone());
    let (stop, stopped) = watch::channel(false);
    let shop = Arc::new(Shop::new(address, orders));
    let lives = (0..CLIENTS).map(|nth| tokio::spawn(Arc::clone(&shop).run(seed + 1 + nth as u64)));
    let lives: Vec<_> = lives.collect();
    let settings = deployment.settings();
    let deaths = async {
        for kill in 1..=kills {
            // Spread over the orders, the last one when all are there.
            let posted = || async { shop.next.load(Ordering::Relaxed) >= orders * kill / kills };
            eventually(Duration::from_secs(600), posted).await;
            tokio::time::sleep(Duration::from_millis(random.random_range(LATER_MS))).await;
            let nth = random.random_range(0..ROLES.len());
            roles[nth].kill().await;
            roles[nth] = deployment.serve(ROLES[nth]).await;
            if nth == 0 {
                api.send_replace(roles[0].api.clone());
            }
        }
        join_all(lives).await.into_iter().for_each(Result::unwrap);
        stop.send_replace(true);
    };
    let operators = (0..OPERATORS).map(|nth| {
        let random = StdRng::seed_from_u64(seed + 100 + nth);
        operator::decides(&settings, orders, random, stopped.clone())
    });
    let outages = outages::happen(&deployment, StdRng::seed_from_u64(seed + 200), stopped.clone());
    let ((), decisions, outages) = tokio::join!(deaths, join_all(operators), outages);
    let decisions: usize = decisions.into_iter().sum();
    let quiet = std::time::Instant::now();

    // Then
    let client = roles[0].client();
    let told = settled(&deployment, &client, orders).await;
    println!(
        "{decisions} decisions, {outages} outages, at rest {:.1} s after the last: {told}",
        quiet.elapsed().as_secs_f64()
    );
    let happened = what_happened(&deployment).await;
    println!("{happened}");
    assert!(happened.contains(" InvoiceIssued"), "no invoice was issued: {happened}");
    for stuck in told["stuck"].as_array().unwrap() {
        assert_ne!(stuck["reason"], "", "{told}");
    }
    everybody_says_the_same(&deployment, &client, orders).await;
    drop::<Vec<Ordo>>(roles);
}

/// How often each event is in the log.
async fn what_happened(deployment: &Deployment) -> String {
    let counts: Vec<(String, i64)> =
        sqlx::query_as("select event_type, count(*) from events group by event_type order by 2 desc, 1")
            .fetch_all(deployment.database.pool())
            .await
            .unwrap();
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

/// What `ordo verify` says once nothing is under way, while a person gives back what was paid elsewhere.
async fn settled(deployment: &Deployment, client: &Client, orders: usize) -> Value {
    let settings = deployment.settings();
    let rest = tokio::time::timeout(BOUND, async {
        tokio::select! {
            told = at_rest(deployment.database.url(), orders, BOUND * 2) => told,
            () = clerk::gives_back(&settings, client) => unreachable!("a clerk's work is never done"),
        }
    });
    match rest.await {
        Ok(told) => told,
        Err(_) => panic!("under way after {BOUND:?}: {}", operator::list(&settings, "running").await),
    }
}

/// What the payment provider answers late can still get an order that is stuck to its end: then all are asked once more.
async fn everybody_says_the_same(deployment: &Deployment, client: &Client, orders: usize) {
    let settings = deployment.settings();
    let mut told = settled(deployment, client, orders).await;
    for _ in 0..5 {
        let compared = compare(&told, &settings, client, orders).await;
        let now = settled(deployment, client, orders).await;
        if now["position"] == told["position"] {
            return compared.unwrap();
        }
        told = now;
    }
    panic!("orders are still on their way: {told}");
}

/// `ordo verify`, the lists, and each order's own page.
async fn compare(told: &Value, settings: &[Setting<'_>], client: &Client, orders: usize) -> Result<(), String> {
    let mut by_page: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for nth in 0..orders {
        let id = format!("chaos-{nth}");
        let page = client.get(&format!("/orders/{id}/saga")).await.json();
        by_page.entry(page["state"].as_str().unwrap().to_owned()).or_default().push(id);
    }
    let mut listed = 0;
    for (state, kind) in [("completed", "orders"), ("compensated", "orders"), ("stuck", "sagas"), ("failed", "mails")] {
        let list = operator::list(settings, state).await;
        let mut ids: Vec<&str> =
            list[kind].as_array().unwrap().iter().map(|it| it["orderId"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut pages: Vec<&str> = by_page.get(state).into_iter().flatten().map(String::as_str).collect();
        pages.sort_unstable();
        if state == "failed" {
            // An order whose mail was given up can be stuck at something else as well.
            same(pages.iter().all(|id| ids.contains(id)), || format!("{state}: {ids:?}, but {pages:?}"))?;
        } else {
            same(ids == pages, || format!("{state}: {ids:?}, but {pages:?}"))?;
        }
        listed += pages.len();
    }
    same(listed == orders, || format!("{by_page:?}"))?;
    let counted = |state: &str| told["sagas"][state].as_u64().unwrap();
    let stuck = by_page.get("stuck").map_or(0, Vec::len) as u64;
    same(counted("stuck") == stuck, || format!("{stuck} are stuck: {told}"))?;
    let ended = counted("completed") + counted("compensated") + counted("stuck");
    same(ended == orders as u64, || told.to_string())
}

fn same(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
