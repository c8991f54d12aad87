//! The queues, and their attributes.
//!
//! `{prefix}-notifications.fifo` carries requests to notification, `{prefix}-replies.fifo` its answers; each has a
//! dead-letter queue. A message's group is its order, so one order's messages keep their order and orders do not wait
//! for each other.

mod events_queue;
mod maintain;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::create_queue::CreateQueueError;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use crate::consumer::ConsumerSettings;
use crate::dead_letters::DeadLetterOrigin;
use crate::error::CallError;
use crate::settings::{InvalidSettings, SettingsValidator};

pub use events_queue::{EventsQueue, find_or_create_events_queue};
pub use maintain::{QueuesHealth, maintain};

/// How long SQS may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// The queues of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queues {
    /// Requests to notification.
    pub notifications: Queue,
    /// Answers to the fulfilment saga.
    pub replies: Queue,
}

impl Queues {
    /// The queue that dead letters of this origin came from.
    pub fn of(&self, origin: DeadLetterOrigin) -> &Queue {
        match origin {
            DeadLetterOrigin::Notifications => &self.notifications,
            DeadLetterOrigin::Replies => &self.replies,
        }
    }
}

/// A queue and its dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub name: String,
    pub url: String,
    pub dead_letter_url: String,
}

/// What queues are named and how they are set up in SQS.
#[derive(Debug, Clone)]
pub struct QueueProvisioningSettings {
    /// The prefix of the queues' names, so that several platforms can share an account.
    pub prefix: String,
    /// The visibility timeout for readers that set none. Consumers set their own.
    pub visibility_timeout: Duration,
    /// How long SQS keeps a message.
    pub retention: Duration,
    /// How long SQS keeps a dead letter.
    pub dead_letter_retention: Duration,
    /// After so many receives, 1 to 1,000, SQS itself moves a message to the dead-letter queue. Consumers do that
    /// earlier, with a reason; this is for messages that crash their consumer.
    pub max_receive_count: u32,
}

impl Default for QueueProvisioningSettings {
    fn default() -> Self {
        Self {
            prefix: "ordo".into(),
            visibility_timeout: Duration::from_secs(30),
            retention: days(4),
            // SQS's maximum: people look at dead letters late, and moving a message does not restart its retention.
            dead_letter_retention: days(14),
            max_receive_count: Self::receives_for(ConsumerSettings::default().max_attempts),
        }
    }
}

impl QueueProvisioningSettings {
    /// The `max_receive_count` for consumers with so many attempts. It is much higher, because SQS also counts receives
    /// without an attempt: a message is returned each time that one before it in its group fails.
    pub fn receives_for(max_attempts: u32) -> u32 {
        max_attempts.saturating_mul(20).clamp(100, 1000)
    }

    /// The error names every setting outside SQS's limits.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let mut checks = SettingsValidator::default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        // SQS takes 80 characters, and the longest ending here has 23.
        let prefix_holds = (1..=57).contains(&self.prefix.len()) && self.prefix.chars().all(plain);
        checks.require("prefix", format!("{:?}", self.prefix), prefix_holds, "1 to 57 characters of A-Z a-z 0-9 _ -");
        checks.within(
            "visibility_timeout",
            self.visibility_timeout,
            Duration::from_secs(1)..=Duration::from_secs(43_200),
        );
        checks.within("retention", self.retention, Duration::from_secs(60)..=days(14));
        checks.within("dead_letter_retention", self.dead_letter_retention, Duration::from_secs(60)..=days(14));
        checks.within("max_receive_count", self.max_receive_count, 1..=1000);
        checks.done()
    }
}

/// Creates missing queues, and sets the attributes of existing ones. Idempotent.
pub async fn ensure(client: &Client, settings: &QueueProvisioningSettings) -> Result<Queues, QueueSetupError> {
    settings.validate()?;
    Ok(Queues {
        notifications: ensure_pair(client, settings, "notifications").await?,
        replies: ensure_pair(client, settings, "replies").await?,
    })
}

/// Finds the existing queues, for roles that may not create any.
pub async fn find(client: &Client, settings: &QueueProvisioningSettings) -> Result<Queues, QueueSetupError> {
    settings.validate()?;
    Ok(Queues {
        notifications: find_pair(client, settings, "notifications").await?,
        replies: find_pair(client, settings, "replies").await?,
    })
}

/// Finds the queues, and creates them as [`ensure`] does if any is missing. It needs no right to create queues as long
/// as all exist.
pub async fn find_or_create(client: &Client, settings: &QueueProvisioningSettings) -> Result<Queues, QueueSetupError> {
    match find(client, settings).await {
        Err(QueueSetupError::Find { name, source }) if source.is_missing_queue() => {
            tracing::warn!(queue = name, "the queue is not there: making it");
            ensure(client, settings).await
        }
        found => found,
    }
}

/// Why queues could not be created, found or adjusted.
#[derive(Debug, thiserror::Error)]
pub enum QueueSetupError {
    #[error("the queue settings are invalid")]
    Settings {
        #[from]
        source: InvalidSettings,
    },
    #[error("queue `{name}` could not be created")]
    Create { name: String, source: CallError },
    #[error("queue `{name}` could not be found")]
    Find { name: String, source: CallError },
    #[error("queue `{name}` exists with other attributes, which could not be changed")]
    Adjust { name: String, source: CallError },
    #[error("the attributes of queue `{name}` could not be read")]
    Describe { name: String, source: CallError },
    #[error("SQS answered without the {what} of queue `{name}`")]
    Incomplete { name: String, what: &'static str },
}

async fn ensure_pair(
    client: &Client,
    settings: &QueueProvisioningSettings,
    what: &str,
) -> Result<Queue, QueueSetupError> {
    let (name, dead_letter_name) = names(settings, what);
    let dead_letter_url =
        ensure_one(client, &dead_letter_name, &attributes(settings, settings.dead_letter_retention)).await?;
    let dead_letter_arn = arn(client, &dead_letter_name, &dead_letter_url).await?;
    let mut live = attributes(settings, settings.retention);
    // The count is a JSON number: AWS takes a string as well, other servers do not.
    let redrive =
        serde_json::json!({ "deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": settings.max_receive_count });
    live.insert(Attribute::RedrivePolicy, redrive.to_string());
    let url = ensure_one(client, &name, &live).await?;
    Ok(Queue { name, url, dead_letter_url })
}

async fn find_pair(
    client: &Client,
    settings: &QueueProvisioningSettings,
    what: &str,
) -> Result<Queue, QueueSetupError> {
    let (name, dead_letter_name) = names(settings, what);
    let url = find_one(client, &name).await?;
    let dead_letter_url = find_one(client, &dead_letter_name).await?;
    Ok(Queue { name, url, dead_letter_url })
}

fn names(settings: &QueueProvisioningSettings, what: &str) -> (String, String) {
    (format!("{}-{what}.fifo", settings.prefix), format!("{}-{what}-dlq.fifo", settings.prefix))
}

/// The attributes that can be set on new and on existing queues.
fn attributes(settings: &QueueProvisioningSettings, retention: Duration) -> HashMap<Attribute, String> {
    HashMap::from([
        // High-throughput mode: limits and deduplication per group, not per queue.
        (Attribute::DeduplicationScope, "messageGroup".into()),
        (Attribute::FifoThroughputLimit, "perMessageGroupId".into()),
        (Attribute::VisibilityTimeout, settings.visibility_timeout.as_secs().to_string()),
        (Attribute::MessageRetentionPeriod, retention.as_secs().to_string()),
    ])
}

async fn ensure_one(
    client: &Client,
    name: &str,
    attributes: &HashMap<Attribute, String>,
) -> Result<String, QueueSetupError> {
    // FIFO can only be set when the queue is created.
    let mut creation = attributes.clone();
    creation.insert(Attribute::FifoQueue, "true".into());
    let created = client.create_queue().queue_name(name).set_attributes(Some(creation)).send().await;
    match created {
        Ok(created) => created.queue_url.ok_or_else(|| incomplete(name, "address")),
        Err(error) if exists_otherwise(&error) => {
            let url = find_one(client, name).await?;
            let adjusted = client.set_queue_attributes().queue_url(&url).set_attributes(Some(attributes.clone()));
            adjusted
                .send()
                .await
                .map_err(|source| QueueSetupError::Adjust { name: name.into(), source: source.into() })?;
            tracing::info!(queue = name, "queue attributes changed to the settings");
            Ok(url)
        }
        Err(source) => Err(QueueSetupError::Create { name: name.into(), source: source.into() }),
    }
}

fn exists_otherwise(error: &SdkError<CreateQueueError>) -> bool {
    // Servers differ in which of the two codes they use.
    let named = matches!(error.code(), Some("QueueAlreadyExists" | "QueueNameExists"));
    named || error.as_service_error().is_some_and(CreateQueueError::is_queue_name_exists)
}

async fn find_one(client: &Client, name: &str) -> Result<String, QueueSetupError> {
    let found = client.get_queue_url().queue_name(name).send().await;
    let found = found.map_err(|source| QueueSetupError::Find { name: name.into(), source: source.into() })?;
    found.queue_url.ok_or_else(|| incomplete(name, "address"))
}

async fn arn(client: &Client, name: &str, url: &str) -> Result<String, QueueSetupError> {
    let described = client.get_queue_attributes().queue_url(url).attribute_names(Attribute::QueueArn).send().await;
    let described =
        described.map_err(|source| QueueSetupError::Describe { name: name.into(), source: source.into() })?;
    let arn = described.attributes.and_then(|mut attributes| attributes.remove(&Attribute::QueueArn));
    arn.ok_or_else(|| incomplete(name, "ARN"))
}

fn incomplete(name: &str, what: &'static str) -> QueueSetupError {
    QueueSetupError::Incomplete { name: name.into(), what }
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}
