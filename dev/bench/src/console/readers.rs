//! Those who look: consoles that follow, and somebody who goes from page to page.

use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::body::Body;
use hdrhistogram::Histogram;
use tokio_util::sync::CancellationToken;

use crate::http_client::ApiClient;
use crate::load::{histogram, micros};

const PATIENCE: Duration = Duration::from_secs(30);

/// Every page of the console that is not about a single thing, and one order.
const PAGES: [&str; 16] = [
    "/",
    "/orders",
    "/orders?status=confirmed&sort=-total",
    "/orders?q=headphones",
    "/orders/read-000000000007",
    "/sagas",
    "/sagas?state=stuck",
    "/bulk-actions",
    "/parked-events",
    "/read-models",
    "/replay",
    "/log",
    "/stock",
    "/sales",
    "/platform",
    "/audit",
];

/// Goes through all pages again and again. Returns the time to the first byte of each.
pub(super) async fn visit_all(console: &str, until: Instant) -> anyhow::Result<Vec<(&'static str, Histogram<u64>)>> {
    let client = ApiClient::new(PATIENCE);
    let mut times: Vec<_> = PAGES.into_iter().map(|page| (page, histogram())).collect();
    while Instant::now() < until {
        for (page, times) in &mut times {
            let (status, took) = client.first_byte(&format!("{console}{page}")).await?;
            ensure!(status.is_success(), "{page} is answered {status}");
            times.saturating_record(micros(took));
        }
    }
    Ok(times)
}

/// Asks for the home page again whenever it is told of changes, as its script does. Returns how often.
pub(super) async fn follow(console: String, token: String, stop: CancellationToken) -> anyhow::Result<u64> {
    let client = ApiClient::new(PATIENCE).with_token(token);
    let mut refreshed = 0;
    let following = async {
        let mut told = client.open(&format!("{console}/changes")).await?;
        while next(&mut told).await {
            client.first_byte(&format!("{console}/")).await?;
            refreshed += 1;
        }
        anyhow::Ok(())
    };
    let ended = stop.run_until_cancelled(following).await;
    ensure!(ended.is_none(), "a console that follows was left: {ended:?}");
    Ok(refreshed)
}

/// Whether more was said.
async fn next(said: &mut Body) -> bool {
    use axum::body::HttpBody;
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *said).poll_frame(context))
        .await
        .is_some_and(|it| it.is_ok())
}
