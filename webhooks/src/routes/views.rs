//! What operators see of webhooks.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::deliveries::WebhookDelivery;
use crate::endpoint::WebhookEndpoint;
use crate::replay::WebhookReplay;
use crate::secret::WebhookSecret;

/// An endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointView {
    id: Uuid,
    url: String,
    description: String,
    /// The events that it is told of; empty: all.
    event_types: Vec<String>,
    /// It gets of each event what this role sees.
    role: String,
    enabled: bool,
    created_at: DateTime<Utc>,
    /// It is told of the events after this position.
    from_position: i64,
    disabled_at: Option<DateTime<Utc>>,
    /// `operator`, `gone` (it answered 410) or `failing` (for too long).
    disabled_because: Option<String>,
    /// The position of the first event that it missed while it was disabled. A replay from there, or from before, clears it.
    missed_from: Option<i64>,
    /// The first of its failures since the last success.
    failing_since: Option<DateTime<Utc>>,
    /// How many there are.
    failures: i32,
    /// When it asked to be called again.
    not_before: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation signs as well.
    previous_secret_until: Option<DateTime<Utc>>,
    /// What deliveries are signed with. It is in the answer that makes it, and in no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointList)]
pub(super) struct EndpointList {
    pub(super) items: Vec<EndpointView>,
}

/// A delivery, and what its last attempt came to.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryView {
    id: i64,
    /// Of the event in the log.
    pub(super) position: i64,
    order_id: String,
    /// The header `webhook-id`.
    event_id: Uuid,
    #[serde(rename = "type")]
    event_type: String,
    /// `pending`, `delivered` or `failed` (given up).
    state: String,
    attempts: i32,
    created_at: DateTime<Utc>,
    attempted_at: Option<DateTime<Utc>>,
    /// When it is tried next. `null`: it has ended, or waits for an earlier one of its order.
    next_attempt_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    duration_ms: Option<i32>,
    /// The status of the last answer. `null`: there was none.
    status: Option<i16>,
    /// The first 1,024 bytes of its body.
    answer: Option<String>,
    /// Why the last attempt failed.
    error: Option<String>,
}

/// A page of deliveries, the latest event first.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeliveryPage)]
pub(super) struct DeliveryPage {
    pub(super) items: Vec<DeliveryView>,
    /// The cursor of the next page. `null`: this is the last page.
    pub(super) cursor: Option<String>,
}

/// A replay.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookReplay)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReplayView {
    id: Uuid,
    /// The positions of the first and the last event.
    from: i64,
    to: i64,
    /// The events up to here have deliveries.
    reached: i64,
    /// How many deliveries it has made so far.
    deliveries: i64,
    created_at: DateTime<Utc>,
    /// When the last of its deliveries was made. They are sent after that, too.
    ended_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookReplayList)]
pub(super) struct ReplayList {
    pub(super) items: Vec<ReplayView>,
}

impl EndpointView {
    pub(super) fn of(endpoint: WebhookEndpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            event_types: endpoint.event_types,
            role: endpoint.role,
            enabled: endpoint.disabled_at.is_none(),
            created_at: endpoint.created_at,
            from_position: endpoint.from_position,
            disabled_at: endpoint.disabled_at,
            disabled_because: endpoint.disabled_because,
            missed_from: endpoint.missed_from,
            failing_since: endpoint.failing_since,
            failures: endpoint.failures,
            not_before: endpoint.not_before,
            previous_secret_until: endpoint.previous_secret_until,
            secret: None,
        }
    }

    pub(super) fn with_secret(self, secret: &WebhookSecret) -> Self {
        Self { secret: Some(secret.expose()), ..self }
    }
}

impl From<WebhookDelivery> for DeliveryView {
    fn from(delivery: WebhookDelivery) -> Self {
        Self {
            id: delivery.id,
            position: delivery.position,
            order_id: delivery.order_id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            state: delivery.state,
            attempts: delivery.attempts,
            created_at: delivery.created_at,
            attempted_at: delivery.attempted_at,
            next_attempt_at: delivery.next_attempt_at,
            ended_at: delivery.ended_at,
            duration_ms: delivery.duration_ms,
            status: delivery.status,
            answer: delivery.answer,
            error: delivery.error,
        }
    }
}

impl From<WebhookReplay> for ReplayView {
    fn from(replay: WebhookReplay) -> Self {
        Self {
            id: replay.id,
            from: replay.from_position,
            to: replay.to_position,
            reached: replay.reached,
            deliveries: replay.deliveries,
            created_at: replay.created_at,
            ended_at: replay.ended_at,
        }
    }
}

// The command line shows the same as HTTP. What is in a view can always be written as JSON.
impl WebhookEndpoint {
    /// The endpoint as `GET /webhooks/{id}` answers it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(EndpointView::of(self.clone())).unwrap_or_default()
    }
}

impl WebhookDelivery {
    /// The delivery as `GET /webhooks/{id}/deliveries` answers it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(DeliveryView::from(self.clone())).unwrap_or_default()
    }
}

impl WebhookReplay {
    /// The replay as `GET /webhooks/{id}/replays` answers it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(ReplayView::from(self.clone())).unwrap_or_default()
    }
}
