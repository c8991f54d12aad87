//! The settings. [`Settings::load`] reads them with the table in `table.rs`.
//!
//! A value comes from the first source that has it: a flag of the command line, the environment, the settings file, the default.
//! In the file a setting has its name in lower case without `ORDO_`; underscores may be tables:
//! `ORDO_NOTIFICATIONS_BATCH_SIZE` is `notifications_batch_size = 5`, or `batch_size = 5` under `[notifications]`.

mod access;
mod authentication;
mod choices;
mod database_url;
mod edge;
mod mistakes;
mod open_id;
mod payment;
mod publication;
mod reader;
mod seller;
mod sources;
mod table;
mod value_types;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access_control::AuthenticationSettings;
use anyhow::Context;
use domain::document::Seller;
use domain::ids::LocationId;
use domain::order::OrderGrowthLimits;
use domain::order_number::OrderNumberFormat;
use messaging::{ConsumerSettings, ExponentialBackoff, MessageSigningKeys};
use sagas::DocumentUrl;

pub use self::access::AccessPolicySettings;
pub use self::choices::{LogFormat, PlatformRole, ReadModelStoreKind};
pub use self::database_url::DatabaseUrl;
pub use self::edge::EdgeSettings;
pub use self::mistakes::{SettingMistake, SettingMistakes};
pub use self::payment::{PaymentProvider, PaymentSettings, StripeKey};
pub use self::publication::{EventsSettings, TopicArn};
pub use self::reader::EffectiveSetting;
pub use self::sources::{RawSettings, SettingSource};
pub use self::webhooks::WebhookDeliverySettings;

/// The settings, and where each value came from.
#[derive(Debug)]
pub struct SettingsWithSources {
    pub settings: Settings,
    /// One entry per setting, in the table's order.
    pub entries: Vec<EffectiveSetting>,
}

impl SettingsWithSources {
    #[must_use]
    pub(crate) fn source_of(&self, name: &str) -> SettingSource {
        self.entries.iter().find(|entry| entry.name == name).map_or(SettingSource::Default, |entry| entry.source)
    }
}

/// All settings, checked. Nothing else reads the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What was read, with secrets hidden: to be shown.
    pub shown: Arc<[EffectiveSetting]>,
    pub database_url: Option<DatabaseUrl>,
    /// Connections in the pool.
    pub database_connections: u32,
    /// Connections of GET requests.
    pub read_connections: u32,
    /// How long a read may take, and how long it may wait for a connection.
    pub read_timeout: Duration,
    /// Where the HTTP API listens.
    pub listen: SocketAddr,
    /// The hosts that requests may name besides the usual ones.
    pub allowed_hosts: Option<Vec<String>>,
    /// Who may call what.
    pub access: AccessPolicySettings,
    /// How it is offered to the network.
    pub edge: EdgeSettings,
    /// How many connections one address may have to it.
    pub connections_per_address: usize,
    /// How many clients may follow the live stream from one address.
    pub streams_per_address: usize,
    /// How many of its clients may follow the live stream as one principal.
    pub streams_per_principal: usize,
    /// Which parts of the platform this process runs; at least one, each once.
    pub roles: Vec<PlatformRole>,
    /// Where SQS, SES and DynamoDB are.
    pub aws: AwsSettings,
    /// What every queue's name begins with.
    pub queue_prefix: String,
    /// What messages are signed with.
    pub message_keys: Option<MessageSigningKeys>,
    /// Where the read models are kept.
    pub read_models: ReadModelStoreKind,
    /// What the name of every table in DynamoDB begins with.
    pub dynamodb_prefix: String,
    pub mail_from: String,
    /// The recipient of mails of orders that name none.
    pub mail_default_recipient: String,
    /// Who works in the shop and gets a mail about each new order; nobody, if there is none.
    pub mail_staff: Vec<String>,
    /// The language of their mails.
    pub mail_staff_locale: String,
    /// Whether the mail service takes addresses with more than ASCII before the `@`.
    pub mail_smtputf8: bool,
    /// How many commands may wait for the event store before it answers 503.
    pub append_queue: usize,
    /// How much one order may accumulate.
    pub order_limits: OrderGrowthLimits,
    /// How far behind orders may be before new ones are answered 503; zero: no limit.
    pub max_lag: Duration,
    /// How much of its time sealing the log may take, in percent; 0: it is not sealed.
    pub sealing_percent: u32,
    /// How long a copy keeps its partitions without a sign of life.
    pub lease: Duration,
    /// How long units stay set aside for an order that is not confirmed.
    pub reservation_hold: Duration,
    /// The locations that orders are served from where there is a choice, the preferred one first.
    pub locations: Option<Vec<LocationId>>,
    /// How long a step of a saga is tried before it is stuck.
    pub saga_deadline: Duration,
    /// How long the saga waits for notification's answer before it asks again.
    pub notification_deadline: Duration,
    /// The consumer of requests for mails.
    pub notifications: QueueConsumerSettings,
    /// The consumer of the answers to the saga.
    pub replies: QueueConsumerSettings,
    pub payment: PaymentSettings,
    pub webhooks: WebhookDeliverySettings,
    /// What is published for other programs.
    pub publication: EventsSettings,
    /// Who sells; `None`: no invoices are issued.
    pub seller: Option<Seller>,
    /// How the series of order numbers are named; `None`: orders get no numbers.
    pub order_numbers: Option<OrderNumberFormat>,
    /// Where customers find their invoices and credit notes; `None`: mails link to none.
    pub document_url: Option<DocumentUrl>,
    /// Which credentials are accepted.
    pub authentication: AuthenticationSettings,
    /// Which log lines are written, as tracing's filter directives.
    pub log: String,
    pub log_format: LogFormat,
}

impl Settings {
    /// What messages are signed with; an error that names the setting if there is nothing.
    pub(crate) fn message_keys(&self) -> anyhow::Result<&MessageSigningKeys> {
        self.message_keys.as_ref().context(
            "ORDO_MESSAGE_KEYS is not set: messages are signed with it, and nobody else's are taken. Make a key for all \
             processes: \"$(date +%F):$(openssl rand -base64 32)\"",
        )
    }
}

/// Where SQS, SNS, SES and DynamoDB are; without an endpoint, where AWS has them in that region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    pub region: String,
    /// SQS, if not AWS's own.
    pub sqs_endpoint: Option<String>,
    /// SNS, if not AWS's own.
    pub sns_endpoint: Option<String>,
    /// SES, if not AWS's own.
    pub ses_endpoint: Option<String>,
    /// DynamoDB, if not AWS's own.
    pub dynamodb_endpoint: Option<String>,
}

/// How one queue is consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConsumerSettings {
    /// Messages per receive call.
    pub batch_size: usize,
    /// How many seconds a receive call waits for the first message.
    pub wait_seconds: u32,
    /// How long a received message stays hidden from other consumers.
    pub visibility_timeout: Duration,
    /// The longest wait between receive calls while they fail.
    pub error_backoff: Duration,
    /// Messages handled at the same time.
    pub concurrency: usize,
    /// How often a message is tried before it becomes a dead letter.
    pub max_attempts: u32,
}

impl QueueConsumerSettings {
    /// The settings of the consumer; the rest are defaults.
    #[must_use]
    pub fn settings(&self) -> ConsumerSettings {
        let usual = ConsumerSettings::default();
        let first = usual.error_backoff.first.min(self.error_backoff);
        ConsumerSettings {
            batch_size: self.batch_size,
            wait_seconds: self.wait_seconds,
            visibility_timeout: self.visibility_timeout,
            concurrency: self.concurrency,
            max_attempts: self.max_attempts,
            error_backoff: ExponentialBackoff { first, most: self.error_backoff },
            ..usual
        }
    }
}
