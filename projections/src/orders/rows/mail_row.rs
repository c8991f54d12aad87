//! The row of a mail.

use chrono::{DateTime, Utc};
use domain::order::MailOutcome;
use domain::order::event::{NotificationFailed, NotificationSent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::RecordedOrderEvent;

/// A mail to the customer: sent, or given up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Mail)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct MailRow {
    notification_id: Uuid,
    template: String,
    status: MailOutcome,
    pub(in crate::orders) at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl MailRow {
    pub(in crate::orders) fn sent(recorded: &RecordedOrderEvent, sent: &NotificationSent) -> Self {
        Self {
            notification_id: sent.notification_id,
            template: sent.template.name().to_owned(),
            status: MailOutcome::Sent,
            at: recorded.recorded_at,
            recipient: Some(sent.recipient.clone()),
            provider_message_id: Some(sent.provider_message_id.clone()),
            reason: None,
        }
    }

    pub(in crate::orders) fn failed(recorded: &RecordedOrderEvent, failed: &NotificationFailed) -> Self {
        Self {
            notification_id: failed.notification_id,
            template: failed.template.name().to_owned(),
            status: MailOutcome::Failed,
            at: recorded.recorded_at,
            recipient: None,
            provider_message_id: None,
            reason: Some(failed.reason.clone()),
        }
    }
}
