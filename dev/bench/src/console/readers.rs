//! Those who look: consoles that follow, and somebody who goes from page to page.

use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::body::Body;
use tokio_util::sync::CancellationToken;

use super::PageHistograms;
use crate::http_client::ApiClient;
use crate::load::{histogram, micros};

const PATIENCE: Duration = Duration::from_secs(30);

/// Every page of the console that is not about a single thing.
const PAGES: [&str; 22] = [
    "/",
    "/orders",
    "/orders?status=confirmed",
    "/orders?currency=USD&sort=-total",
    "/orders?sort=-updated",
    "/orders?q=headphones",
    "/sagas",
    "/sagas?state=stuck",
    "/bulk-actions",
    "/bulk-actions/new?kind=retry_sagas",
    "/parked-events",
    "/dead-letters",
    "/read-models",
    "/read-models/orders",
    "/replay",
    "/log",
    "/log?type=OrderCancelled",
    "/log/1",
    "/stock",
    "/sales",
    "/platform",
    "/audit",
];

/// These, and those of one order.
pub(super) fn pages(order_id: &str) -> Vec<String> {
    let of_order = [
        format!("/orders/{order_id}"),
        format!("/orders/{order_id}?asOf=3"),
        format!("/orders/{order_id}/changes?from=1&to=3"),
        format!("/orders/{order_id}/events/1"),
        format!("/read-models/orders?pk=ORDER%23{order_id}"),
        format!("/read-models/steps?projection=orders&streamId={order_id}"),
        format!("/log?streamType=order&streamId={order_id}"),
    ];
    PAGES.map(str::to_owned).into_iter().chain(of_order).collect()
}

/// Goes through all pages again and again. Returns the time to the first byte of each.
pub(super) async fn visit_all(console: &str, pages: &[String], until: Instant) -> anyhow::Result<PageHistograms> {
    let (console, client) = (console.trim_end_matches('/'), ApiClient::new(PATIENCE));
    let mut times: PageHistograms = pages.iter().map(|page| (page.clone(), histogram())).collect();
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
    let (console, client) = (console.trim_end_matches('/'), ApiClient::new(PATIENCE).with_token(token));
    let mut refreshed = 0;
    let following = async {
        let mut told = client.open(&format!("{console}/changes")).await?;
        while next(&mut told).await {
            let (status, _) = client.first_byte(&format!("{console}/")).await?;
            ensure!(status.is_success(), "a console that follows is answered {status}");
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
