//! Publication: the events of orders on a FIFO queue of SQS or a FIFO topic of SNS, for other programs.
//!
//! - [`follow`] follows the log by a subscription of its own and has each event sent. Its checkpoint moves once the target has all of
//!   them.
//! - `publisher` sends them, so that the events of an order arrive in their order.
//! - `target` is the queue or the topic.
//! - `message` is what is sent of an event.
//!
//! Each event is sent at least once, whatever process dies. SQS and SNS drop what they get again within five minutes.

mod health;
mod message;
mod metrics;
mod publisher;
mod target;

use std::time::Duration;

use access_control::Role;
use error_chain::error_chain;
use event_store::EventStore;
use tokio_util::sync::CancellationToken;

pub use health::PublicationHealth;
pub use metrics::PublicationMetrics;
pub use target::PublicationTarget;

use self::publisher::EventPublisher;

/// The connections to the database that [`follow`] uses at the same time: for a batch, and for the renewal of a lease.
pub const CONNECTIONS: u32 = 2;

/// How long it waits to look for the target again.
const BACKOFF: Duration = Duration::from_secs(1);

/// What is published.
#[derive(Debug, Clone)]
pub struct PublicationSettings {
    /// The events that are published; empty: all.
    pub event_types: Vec<String>,
    /// Whose view of the events is published.
    pub role: Role,
}

/// Publishes new events until told to stop. Any number of copies share the work. The first time it begins with what is stored from now
/// on.
pub async fn follow(
    store: EventStore,
    target: PublicationTarget,
    settings: PublicationSettings,
    health: PublicationHealth,
    metrics: PublicationMetrics,
    stop: CancellationToken,
) {
    let publisher = EventPublisher::new(target.clone(), settings, health.clone(), metrics);
    tokio::join!(until_found(&target, &health, &stop), store.subscribe(publisher, stop.clone()));
}

/// Looks for the target, so that one that is missing is noticed before there is anything to send.
async fn until_found(target: &PublicationTarget, health: &PublicationHealth, stop: &CancellationToken) {
    while let Err(error) = target.open().await {
        let problem = format!("the {target} can't be used: {}", error_chain(&error));
        tracing::warn!("{problem}");
        health.set(Some(problem));
        if stop.run_until_cancelled(tokio::time::sleep(BACKOFF)).await.is_none() {
            return;
        }
    }
    health.set(None);
}
