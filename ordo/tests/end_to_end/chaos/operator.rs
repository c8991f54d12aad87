//! An operator who decides about orders, mostly about those that are stuck.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::watch;

use crate::support::{Setting, run};

const PAUSE_MS: std::ops::Range<u64> = 100..600;
const VERBS: [&[&str]; 6] = [
    &["retry"],
    &["retry", "--input", "paymentToken=tok_ok"],
    &["skip"],
    &["compensate"],
    &["mark-succeeded", "--reference", "by-hand"],
    &["mark-failed"],
];

/// Decides until told to stop, and says how many decisions were taken.
pub(super) async fn decides(
    settings: &[Setting<'_>],
    orders: usize,
    mut random: StdRng,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let mut decisions = 0;
    loop {
        let pause = Duration::from_millis(random.random_range(PAUSE_MS));
        if tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
            return decisions;
        }
        let stuck = list(settings, "stuck").await;
        let stuck = stuck["sagas"].as_array().unwrap();
        let order = if !stuck.is_empty() && random.random_bool(0.8) {
            stuck[random.random_range(0..stuck.len())]["orderId"].as_str().unwrap().to_owned()
        } else {
            format!("chaos-{}", random.random_range(0..orders))
        };
        let (verb, more) = VERBS[random.random_range(0..VERBS.len())].split_first().unwrap();
        let mut line = vec!["saga", verb, &order, "--reason", "by chance", "--actor", "ada"];
        line.extend(more);
        let decided = run(&line, settings).await;
        // It is taken, or refused in one line.
        let refused = decided.code == 1 && decided.err.starts_with("ordo: ") && decided.err.lines().count() == 1;
        assert!(decided.code == 0 || refused, "{line:?}: {decided:?}");
        decisions += usize::from(decided.code == 0);
    }
}

/// What `ordo saga list` says of a state.
pub(super) async fn list(settings: &[Setting<'_>], state: &str) -> Value {
    list_by(settings, ["--state", state]).await
}

/// What `ordo saga list` says of those that wait for a step.
pub(super) async fn list_step(settings: &[Setting<'_>], step: &str) -> Value {
    list_by(settings, ["--step", step]).await
}

async fn list_by(settings: &[Setting<'_>], filter: [&str; 2]) -> Value {
    let told = run(&["saga", "list", filter[0], filter[1], "--json", "--limit", "10000"], settings).await;
    assert_eq!(told.code, 0, "{told:?}");
    serde_json::from_str(&told.out).unwrap()
}
