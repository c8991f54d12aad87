//! What the roles need goes away for a while, now one and now the other.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::watch;

use crate::support::Deployment;

const AWAY_MS: std::ops::Range<u64> = 300..4_000;
const THERE_MS: std::ops::Range<u64> = 500..3_000;

/// Goes on until told to stop, and says how often something was away. Then everything is there.
pub(super) async fn happen(deployment: &Deployment, mut random: StdRng, mut stop: watch::Receiver<bool>) -> usize {
    let mut outages = 0;
    loop {
        let there = Duration::from_millis(random.random_range(THERE_MS));
        if tokio::time::timeout(there, stop.wait_for(|stop| *stop)).await.is_ok() {
            return outages;
        }
        let away = Duration::from_millis(random.random_range(AWAY_MS));
        if outages % 2 == 0 {
            deployment.queues.fall_silent();
            tokio::time::sleep(away).await;
            deployment.queues.come_back();
        } else {
            the_provider_is_silent(deployment, away).await;
        }
        outages += 1;
    }
}

/// The sandbox keeps its books in a table: while that is locked, it does not answer.
async fn the_provider_is_silent(deployment: &Deployment, away: Duration) {
    let mut transaction = deployment.database.pool().begin().await.unwrap();
    sqlx::query("lock table sandbox_payments in access exclusive mode").execute(&mut *transaction).await.unwrap();
    tokio::time::sleep(away).await;
    transaction.rollback().await.unwrap();
}
