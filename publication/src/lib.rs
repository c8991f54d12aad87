//! Publication: the events of orders on a FIFO queue of SQS, for other programs.
//!
//! - [`follow`] follows the log by a subscription of its own and has each event sent. Its checkpoint moves once the queue has all of them.
//! - `publisher` sends them, so that the events of an order arrive in their order.
//! - `message` is what is sent of an event.
//!
//! Each event is sent at least once, whatever process dies. The queue drops what it gets again within five minutes.

mod health;
mod message;
mod metrics;
mod publisher;

use std::time::Duration;

use access_control::Role;
use error_chain::error_chain;
use event_store::EventStore;
use messaging::queues::find_or_create_events_queue;
use tokio_util::sync::CancellationToken;

pub use health::PublicationHealth;
pub use metrics::PublicationMetrics;

use self::publisher::EventPublisher;

/// The connections to the database that [`follow`] uses at the same time: for a batch, and for the renewal of a lease.
pub const CONNECTIONS: u32 = 2;

/// The name of the subscription.
const SUBSCRIPTION: &str = "events-queue";
/// How long it waits to look for the queue again.
const BACKOFF: Duration = Duration::from_secs(1);

/// What is published, and where.
#[derive(Debug, Clone)]
pub struct PublicationSettings {
    /// The name of the queue, with its ending `.fifo`.
    pub queue: String,
    /// The events that are published; empty: all.
    pub event_types: Vec<String>,
    /// Whose view of the events is published.
    pub role: Role,
}

/// Publishes new events until told to stop. Any number of copies share the work. The first time it begins with what is stored from now
/// on.
pub async fn follow(
    store: EventStore,
    sqs: aws_sdk_sqs::Client,
    settings: PublicationSettings,
    health: PublicationHealth,
    metrics: PublicationMetrics,
    stop: CancellationToken,
) {
    let until_found = until_found(&sqs, &settings.queue, &health, &stop);
    let publisher = EventPublisher::new(sqs.clone(), settings.clone(), health.clone(), metrics);
    tokio::join!(until_found, store.subscribe(publisher, stop.clone()));
}

/// Looks for the queue, so that one that is missing is noticed before there is anything to send.
async fn until_found(sqs: &aws_sdk_sqs::Client, queue: &str, health: &PublicationHealth, stop: &CancellationToken) {
    while let Err(error) = find_or_create_events_queue(sqs, queue).await {
        let problem = format!("the queue {queue} can't be used: {}", error_chain(&error));
        tracing::warn!("{problem}");
        health.set(Some(problem));
        if stop.run_until_cancelled(tokio::time::sleep(BACKOFF)).await.is_none() {
            return;
        }
    }
    health.set(None);
}
