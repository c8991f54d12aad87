//! The table of all settings. `ordo config list` prints it, and the documentation shows it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use domain::order::OrderGrowthLimits;
use event_store::AppendQueueSettings;
use projections::LiveStreamSettings;

use super::choices::{self, LogFormat, PlatformRole, ReadModelStoreKind};
use super::database_url::database_url;
use super::mistakes::SettingMistakes;
use super::reader::SettingsReader;
use super::sources::RawSettings;
use super::value_types::{
    endpoint, host_names, integer, locations, log_filter, mail_address, mail_addresses, mail_locale, message_keys,
    name, seconds, sender, socket_address, truth,
};
use super::{
    AwsSettings, QueueConsumerSettings, Settings, SettingsWithSources, access, authentication, edge, payment,
    publication, seller, webhooks,
};
use crate::http::ConnectionLimits;

impl Settings {
    /// Reads every setting, or says everything that is wrong with them.
    pub fn load(sources: RawSettings) -> Result<SettingsWithSources, SettingMistakes> {
        let mut reader = SettingsReader::of(sources);
        let settings = read(&mut reader);
        let entries = reader.finish()?;
        Ok(SettingsWithSources { settings: Settings { shown: entries.clone().into(), ..settings }, entries })
    }
}

/// Each setting with its name, default, type and meaning.
fn read(table: &mut SettingsReader) -> Settings {
    Settings {
        shown: Arc::default(),
        database_url: table.secret(
            "DATABASE_URL",
            &database_url(),
            "The Postgres database, postgres://user:password@host:port/name. `up` starts one of its own without it",
        ),
        database_connections: table.value("ORDO_DATABASE_CONNECTIONS", 48, &integer(4..=500), "Connections in the pool"),
        read_connections: table.value(
            "ORDO_READ_CONNECTIONS",
            16,
            &integer(2..=500),
            "Connections beside these that answer GETs, with the role projections",
        ),
        read_timeout: table.value(
            "ORDO_READ_TIMEOUT",
            Duration::from_secs(5),
            &seconds(1..=300),
            "How long a statement of a GET may take, and how long it may wait for a connection; then the answer is 503",
        ),
        listen: table.value(
            "ORDO_LISTEN",
            SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            &socket_address(),
            "Where the HTTP API listens",
        ),
        allowed_hosts: table.optional(
            "ORDO_ALLOWED_HOSTS",
            &host_names(),
            "Hosts under which it may be asked, besides addresses, localhost and names without a dot; `*`: any. Without it these alone where it listens on loopback, elsewhere any",
        ),
        access: access::read(table),
        edge: edge::read(table),
        connections_per_address: table.value(
            "ORDO_CONNECTIONS_PER_ADDRESS",
            ConnectionLimits::default().per_address,
            &integer(1..=ConnectionLimits::default().connections),
            "Connections that one address may have to it, of 5,000 in all; a proxy in front is one address",
        ),
        streams_per_address: table.value(
            "ORDO_STREAMS_PER_ADDRESS",
            LiveStreamSettings::default().per_address,
            &integer(1..=1_000),
            "Clients that may follow the live stream from one address, of 1,000 in all; a proxy in front is one address unless it is trusted",
        ),
        streams_per_principal: table.value(
            "ORDO_STREAMS_PER_PRINCIPAL",
            LiveStreamSettings::default().per_principal,
            &integer(1..=1_000),
            "Clients that may follow the live stream as one principal, of 1,000 in all",
        ),
        roles: table.value("ORDO_ROLES", PlatformRole::ALL.to_vec(), &choices::roles(), "Which parts of the platform this process runs"),
        aws: aws(table),
        queue_prefix: table.value(
            "ORDO_QUEUE_PREFIX",
            "ordo".to_owned(),
            &name(),
            "What the names of the queues between sagas and notification begin with",
        ),
        message_keys: table.secret(
            "ORDO_MESSAGE_KEYS",
            &message_keys(),
            "What the messages between sagas and notification are signed with: the first key signs, all verify. `serve` needs it for these roles, `up` makes one",
        ),
        read_models: read_model_store(table),
        dynamodb_prefix: table.value(
            "ORDO_DYNAMODB_PREFIX",
            "ordo".to_owned(),
            &name(),
            "What the name of every table in DynamoDB begins with",
        ),
        mail_from: table.value(
            "ORDO_MAIL_FROM",
            "orders@ordo.example".to_owned(),
            &sender(),
            "Whom mails come from; SES must know it as verified",
        ),
        mail_default_recipient: table.value(
            "ORDO_MAIL_DEFAULT_RECIPIENT",
            "customer@ordo.example".to_owned(),
            &mail_address(),
            "Whom mails go to when an order names no address",
        ),
        mail_staff: table
            .optional(
                "ORDO_MAIL_STAFF",
                &mail_addresses(),
                "Who works in the shop and gets a mail about each order that is confirmed; sagas and notification need it",
            )
            .unwrap_or_default(),
        mail_staff_locale: table.value(
            "ORDO_MAIL_STAFF_LOCALE",
            "en".to_owned(),
            &mail_locale(),
            "The language of the mails to staff",
        ),
        mail_smtputf8: table.value(
            "ORDO_MAIL_SMTPUTF8",
            false,
            &truth(),
            "Whether the mail service takes addresses with more than ASCII before the @; SES does not, the inbox of `up` does in any case",
        ),
        append_queue: table.value(
            "ORDO_APPEND_QUEUE",
            AppendQueueSettings::default().queue,
            &integer(1..=1_000_000),
            "Commands that may wait for the event store; more are answered 503",
        ),
        order_limits: order_limits(table),
        max_lag: table.value(
            "ORDO_MAX_LAG",
            Duration::ZERO,
            &seconds(0..=86_400),
            "How long orders may wait for the sagas, or for their mails, before new ones are answered 503; 0: for any time",
        ),
        sealing_percent: table.value(
            "ORDO_SEALING_PERCENT",
            1,
            &integer(0..=100),
            "How much of its time the one process that seals the log may spend on it, in percent; 0: this process never does",
        ),
        lease: table.value(
            "ORDO_LEASE",
            Duration::from_secs(10),
            &seconds(1..=300),
            "How long a copy that gives no sign of life keeps its share of the events; then others take it over",
        ),
        reservation_hold: table.value(
            "ORDO_RESERVATION_HOLD",
            Duration::from_secs(1_800),
            &seconds(1..=86_400),
            "How long units stay set aside for an order that is not confirmed; then they go back and the order is rejected",
        ),
        locations: table.optional(
            "ORDO_LOCATIONS",
            &locations(),
            "The locations that orders are served from where there is a choice, the preferred one first; `default` is the one of units without a location. Others come after them, by name",
        ),
        saga_deadline: table.value(
            "ORDO_SAGA_DEADLINE",
            Duration::from_secs(600),
            &seconds(1..=86_400),
            "How long a step of a saga is tried before it is stuck and waits for an operator",
        ),
        notification_deadline: table.value(
            "ORDO_NOTIFICATION_DEADLINE",
            Duration::from_secs(15),
            &seconds(1..=3600),
            "How long the saga waits for a mail to be reported before it asks again",
        ),
        notifications: consumer(
            table,
            [
                "ORDO_NOTIFICATIONS_BATCH_SIZE",
                "ORDO_NOTIFICATIONS_WAIT_SECONDS",
                "ORDO_NOTIFICATIONS_VISIBILITY_TIMEOUT",
                "ORDO_NOTIFICATIONS_ERROR_BACKOFF",
                "ORDO_NOTIFICATIONS_CONCURRENCY",
                "ORDO_NOTIFICATIONS_MAX_ATTEMPTS",
            ],
            // A mail is mostly waited for: for its claim, SES, its record and the queue. A crash doubles so many at the most.
            64,
        ),
        replies: consumer(
            table,
            [
                "ORDO_REPLIES_BATCH_SIZE",
                "ORDO_REPLIES_WAIT_SECONDS",
                "ORDO_REPLIES_VISIBILITY_TIMEOUT",
                "ORDO_REPLIES_ERROR_BACKOFF",
                "ORDO_REPLIES_CONCURRENCY",
                "ORDO_REPLIES_MAX_ATTEMPTS",
            ],
            // Those that come together are recorded together.
            64,
        ),
        payment: payment::read(table),
        webhooks: webhooks::read(table),
        publication: publication::read(table),
        seller: seller::read(table),
        order_numbers: seller::read_order_numbers(table),
        document_url: seller::read_document_url(table),
        authentication: authentication::read(table),
        log: table.value("ORDO_LOG", "info".to_owned(), &log_filter(), "Which log lines are written"),
        log_format: table.value(
            "ORDO_LOG_FORMAT",
            LogFormat::Auto,
            &choices::log_format(),
            "How they look; auto is text on a terminal and JSON elsewhere",
        ),
    }
}

fn read_model_store(table: &mut SettingsReader) -> ReadModelStoreKind {
    const NAME: &str = "ORDO_READ_MODELS";
    let meaning = "Where the read models are kept; after a change, `ordo replay --all` builds them there";
    let store = table.value(NAME, ReadModelStoreKind::Postgres, &choices::read_model_store(), meaning);
    if store == ReadModelStoreKind::Dynamodb && !cfg!(feature = "dynamodb") {
        table.refuse(
            NAME,
            "dynamodb is not part of this program: build it with `--features dynamodb`, or keep postgres",
        );
    }
    store
}

fn order_limits(table: &mut SettingsReader) -> OrderGrowthLimits {
    let OrderGrowthLimits {
        notes,
        shipments,
        cancellations,
        edits,
        tracking_changes,
        holds,
        returns,
        receipts,
        refunds,
        resends,
        bytes,
    } = OrderGrowthLimits::default();
    let many = || integer(1..=1_000_000);
    OrderGrowthLimits {
        notes: table.value("ORDO_ORDER_NOTES", notes, &many(), "Notes that one order takes"),
        shipments: table.value(
            "ORDO_ORDER_SHIPMENTS",
            shipments,
            &many(),
            "Shipments that one order takes; the one that leaves nothing to be sent is taken all the same",
        ),
        cancellations: table.value(
            "ORDO_ORDER_CANCELLATIONS",
            cancellations,
            &many(),
            "Cancellations of some of it that one order takes; the one that leaves nothing to be sent is taken all the same",
        ),
        edits: table.value(
            "ORDO_ORDER_EDITS",
            edits,
            &integer(1..=1_000),
            "Edits that one order takes, rejected ones among them",
        ),
        tracking_changes: table.value(
            "ORDO_ORDER_TRACKING_CHANGES",
            tracking_changes,
            &many(),
            "Changes of the tracking of shipments that one order takes",
        ),
        holds: table.value(
            "ORDO_ORDER_HOLDS",
            holds,
            &integer(1..=100),
            "Holds that one order takes, released ones among them",
        ),
        returns: table.value("ORDO_ORDER_RETURNS", returns, &many(), "Returns that one order takes"),
        receipts: table.value(
            "ORDO_ORDER_RECEIPTS",
            receipts,
            &many(),
            "Receipts of returns that one order takes; the one that leaves nothing to come of its return is taken all the same",
        ),
        refunds: table.value(
            "ORDO_ORDER_REFUNDS",
            refunds,
            &many(),
            "Refunds that one order takes, those of returns among them; what came back is refunded all the same",
        ),
        resends: table.value(
            "ORDO_ORDER_RESENDS",
            resends,
            &many(),
            "Mails about one order that are sent once more because somebody asked for it",
        ),
        bytes: table.value(
            "ORDO_ORDER_BYTES",
            bytes,
            &integer(10_000..=1_000_000_000),
            "Bytes that an order's notes, shipments, cancellations, edits, holds, returns and refunds take together: their texts, and 40 for each and each line of it. A shipment also needs room for what it takes from named locations",
        ),
    }
}

/// What can be set for each queue, under that queue's names.
fn consumer(table: &mut SettingsReader, names: [&'static str; 6], at_once: usize) -> QueueConsumerSettings {
    let [batch_size, wait_seconds, visibility_timeout, error_backoff, concurrency, max_attempts] = names;
    let (half_a_minute, twelve_hours) = (Duration::from_secs(30), 43_200);
    QueueConsumerSettings {
        batch_size: table.value(batch_size, 10, &integer(1..=10), "Messages per receive call"),
        wait_seconds: table.value(wait_seconds, 20, &integer(0..=20), "Seconds a receive call waits for a message"),
        visibility_timeout: table.value(
            visibility_timeout,
            half_a_minute,
            &seconds(1..=twelve_hours),
            "How long a received message stays hidden from others; renewed while work goes on",
        ),
        error_backoff: table.value(
            error_backoff,
            half_a_minute,
            &seconds(1..=300),
            "The longest wait between receive calls while they fail",
        ),
        concurrency: table.value(concurrency, at_once, &integer(1..=1000), "Messages handled at the same time"),
        max_attempts: table.value(
            max_attempts,
            5,
            &integer(1..=1000),
            "How often a message is tried before it becomes a dead letter",
        ),
    }
}

/// The standard names of the AWS SDKs; the endpoint of one service goes before the one of all.
fn aws(table: &mut SettingsReader) -> AwsSettings {
    let every_service =
        table.optional("AWS_ENDPOINT_URL", &endpoint(), "SQS, SNS, SES and DynamoDB, if they are not AWS's own");
    let sqs = table.optional("AWS_ENDPOINT_URL_SQS", &endpoint(), "SQS alone; goes before AWS_ENDPOINT_URL");
    let sns = table.optional("AWS_ENDPOINT_URL_SNS", &endpoint(), "SNS alone; goes before AWS_ENDPOINT_URL");
    let ses = table.optional("AWS_ENDPOINT_URL_SESV2", &endpoint(), "SES alone; goes before AWS_ENDPOINT_URL");
    let dynamodb =
        table.optional("AWS_ENDPOINT_URL_DYNAMODB", &endpoint(), "DynamoDB alone; goes before AWS_ENDPOINT_URL");
    AwsSettings {
        region: table.value("AWS_REGION", "us-east-1".to_owned(), &name(), "The AWS region"),
        sqs_endpoint: sqs.or_else(|| every_service.clone()),
        sns_endpoint: sns.or_else(|| every_service.clone()),
        ses_endpoint: ses.or_else(|| every_service.clone()),
        dynamodb_endpoint: dynamodb.or(every_service),
    }
}
