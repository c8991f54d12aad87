//! The publication of events by a process with the role webhooks.

use event_store::EventStore;
use publication::{PublicationHealth, PublicationMetrics};

use super::RoleTasks;
use crate::connections::SharedClients;
use crate::health::HealthCheck;
use crate::settings::Settings;

/// Begins to publish, if the settings name a queue.
pub(super) fn start(
    settings: &Settings,
    connections: &SharedClients,
    store: &EventStore,
    running: &mut RoleTasks,
    checks: &mut Vec<HealthCheck>,
) -> Option<PublicationMetrics> {
    let settings = settings.publication.clone()?;
    let (health, metrics) = (PublicationHealth::default(), PublicationMetrics::default());
    checks.push(HealthCheck::publication(health.clone()));
    let (sqs, stop) = (connections.sqs.clone(), running.stop.clone());
    let following = publication::follow(store.clone(), sqs, settings, health, metrics.clone(), stop);
    running.spawn("publication", following);
    Some(metrics)
}
