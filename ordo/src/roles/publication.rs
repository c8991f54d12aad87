//! The publication of events by a process with the role webhooks.

use event_store::EventStore;
use publication::{PublicationHealth, PublicationMetrics, PublicationTarget};

use super::RoleTasks;
use crate::aws;
use crate::connections::SharedClients;
use crate::health::HealthCheck;
use crate::settings::Settings;

/// Begins to publish, if the settings name a queue or a topic. Each is published to by itself: one that is away holds up no other.
pub(super) async fn start(
    settings: &Settings,
    connections: &SharedClients,
    store: &EventStore,
    running: &mut RoleTasks,
    checks: &mut Vec<HealthCheck>,
) -> Option<PublicationMetrics> {
    let published = &settings.publication;
    let mut targets = Vec::new();
    if let Some(name) = published.queue.clone() {
        targets.push(PublicationTarget::Queue { sqs: connections.sqs.clone(), name });
    }
    if let Some(topic) = &published.topic {
        let sns = aws::sns(&settings.aws, topic.region()).await;
        targets.push(PublicationTarget::Topic { sns, arn: topic.to_string() });
    }
    if targets.is_empty() {
        return None;
    }
    let (mut watches, metrics) = (Vec::new(), PublicationMetrics::default());
    for target in targets {
        let health = PublicationHealth::default();
        watches.push(health.clone());
        let (events, stop) = (published.events.clone(), running.stop.clone());
        let following = publication::follow(store.clone(), target, events, health, metrics.clone(), stop);
        running.spawn("publication", following);
    }
    checks.push(HealthCheck::publication(watches));
    Some(metrics)
}
