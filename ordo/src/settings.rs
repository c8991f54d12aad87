//! Every setting of the product, in one table: `read` below. It is what `ordo config check` prints and what `docs/reference/settings.md` lists.
//!
//! A value comes from the first place that has it: a flag of the command line, the environment, the settings file, the default.
//! In the file a setting bears its name in lower case without `ORDO_`; underscores may be tables:
//! `ORDO_NOTIFICATIONS_BATCH_SIZE` is `notifications_batch_size = 5`, or `batch_size = 5` under `[notifications]`.

mod database_url;
mod kinds;
mod payment;
mod reading;
mod sources;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::http::Limits;
pub use database_url::DatabaseUrl;
use domain::order::OrderLimits;
use event_store::AppendSettings;
pub use kinds::{KeptIn, LogFormat, Role};
use kinds::{
    database_url, endpoint, host_names, kept_in, log_filter, log_format, mail_address, name, roles, seconds, sender,
    socket_address, whole,
};
use messaging::{Backoff, ConsumerSettings};
pub use payment::{Payment, PaymentProvider, StripeKey};
use projections::LiveSettings;
use reading::Reading;
pub use reading::{Entry, Loaded, Mistake, Mistakes, Source};
pub use sources::Sources;

/// What the platform was told, checked: nothing behind this looks at the environment again.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database, where one was named.
    pub database_url: Option<DatabaseUrl>,
    /// Connections in the pool.
    pub database_connections: u32,
    /// Connections in the pool of those who only read.
    pub read_connections: u32,
    /// How long a read may take, and how long it may wait for a connection.
    pub read_timeout: Duration,
    /// Where the HTTP API listens.
    pub listen: SocketAddr,
    /// Under which hosts it may be asked besides the usual ones, if that was said.
    pub allowed_hosts: Option<Vec<String>>,
    /// How many connections one address may have to it.
    pub connections_per_address: usize,
    /// How many clients may follow the live stream from one address.
    pub streams_per_address: usize,
    /// Which parts of the platform this process runs; at least one, each once.
    pub roles: Vec<Role>,
    /// Where SQS, SES and DynamoDB are.
    pub aws: Aws,
    /// What every queue's name begins with.
    pub queue_prefix: String,
    /// Where the read models are kept.
    pub read_models: KeptIn,
    /// What the name of every table in DynamoDB begins with.
    pub dynamodb_prefix: String,
    /// Whom mails come from.
    pub mail_from: String,
    /// Whom mails go to when an order names nobody.
    pub mail_default_recipient: String,
    /// How many commands may wait for the event store before it answers 503.
    pub append_queue: usize,
    /// How much may hang on one order.
    pub order_limits: OrderLimits,
    /// How far behind orders may be before new ones are answered 503; zero: however far.
    pub max_lag: Duration,
    /// How much of its time sealing the log may take, in percent; 0: it is not sealed.
    pub sealing_percent: u32,
    /// For how long a copy's share of the events stays its own when it gives no sign of life.
    pub lease: Duration,
    /// How long units stay set aside for an order that is not confirmed.
    pub reservation_hold: Duration,
    /// How long a step of a saga is tried before it is stuck.
    pub saga_deadline: Duration,
    /// How long the saga waits for notification's answer before it asks again.
    pub notification_deadline: Duration,
    /// The consumer of requests for mails.
    pub notifications: Consumer,
    /// The consumer of the answers to the saga.
    pub replies: Consumer,
    /// Who takes the customers' money.
    pub payment: Payment,
    /// Which log lines are written, as tracing's filter directives.
    pub log: String,
    /// How they look.
    pub log_format: LogFormat,
}

/// Where SQS, SES and DynamoDB are; without an endpoint, where AWS has them in that region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// The AWS region.
    pub region: String,
    /// SQS, if not AWS's own.
    pub sqs_endpoint: Option<String>,
    /// SES, if not AWS's own.
    pub ses_endpoint: Option<String>,
    /// DynamoDB, if not AWS's own.
    pub dynamodb_endpoint: Option<String>,
}

/// How one queue is consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
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

impl Consumer {
    /// The same for the consumer itself, with what cannot be set left as it comes.
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
            error_backoff: Backoff { first, most: self.error_backoff },
            ..usual
        }
    }
}

impl Settings {
    /// Reads every setting, or says everything that is wrong with them.
    pub fn load(sources: Sources) -> Result<Loaded, Mistakes> {
        let mut reading = Reading::of(sources);
        let settings = read(&mut reading);
        reading.finish(settings)
    }
}

/// The table: name, default, what is allowed, what it means.
fn read(table: &mut Reading) -> Settings {
    Settings {
        database_url: table.secret(
            "DATABASE_URL",
            &database_url(),
            "The Postgres database, postgres://user:password@host:port/name. `up` starts one of its own without it",
        ),
        database_connections: table.value("ORDO_DATABASE_CONNECTIONS", 32, &whole(4..=500), "Connections in the pool"),
        read_connections: table.value(
            "ORDO_READ_CONNECTIONS",
            16,
            &whole(2..=500),
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
        connections_per_address: table.value(
            "ORDO_CONNECTIONS_PER_ADDRESS",
            Limits::default().per_address,
            &whole(1..=Limits::default().connections),
            "Connections that one address may have to it, of 5,000 in all; a proxy in front is one address",
        ),
        streams_per_address: table.value(
            "ORDO_STREAMS_PER_ADDRESS",
            LiveSettings::default().per_address,
            &whole(1..=1_000),
            "Clients that may follow the live stream from one address, of 1,000 in all; a proxy in front is one address",
        ),
        roles: table.value("ORDO_ROLES", Role::ALL.to_vec(), &roles(), "Which parts of the platform this process runs"),
        aws: aws(table),
        queue_prefix: table.value(
            "ORDO_QUEUE_PREFIX",
            "ordo".to_owned(),
            &name(),
            "What every queue's name begins with",
        ),
        read_models: read_models(table),
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
        append_queue: table.value(
            "ORDO_APPEND_QUEUE",
            AppendSettings::default().queue,
            &whole(1..=1_000_000),
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
            &whole(0..=100),
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
        log: table.value("ORDO_LOG", "info".to_owned(), &log_filter(), "Which log lines are written"),
        log_format: table.value(
            "ORDO_LOG_FORMAT",
            LogFormat::Auto,
            &log_format(),
            "How they look; auto is text on a terminal and JSON elsewhere",
        ),
    }
}

fn read_models(table: &mut Reading) -> KeptIn {
    const NAME: &str = "ORDO_READ_MODELS";
    let meaning = "Where the read models are kept; after a change, `ordo replay --all` builds them there";
    let kept_in = table.value(NAME, KeptIn::Postgres, &kept_in(), meaning);
    if kept_in == KeptIn::Dynamodb && !cfg!(feature = "dynamodb") {
        table.refuse(
            NAME,
            "dynamodb is not part of this program: build it with `--features dynamodb`, or keep postgres",
        );
    }
    kept_in
}

fn order_limits(table: &mut Reading) -> OrderLimits {
    let OrderLimits { notes, shipments, cancellations, returns, refunds, bytes } = OrderLimits::default();
    let many = || whole(1..=1_000_000);
    OrderLimits {
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
        returns: table.value("ORDO_ORDER_RETURNS", returns, &many(), "Returns that one order takes"),
        refunds: table.value(
            "ORDO_ORDER_REFUNDS",
            refunds,
            &many(),
            "Refunds that one order takes, those of returns among them; what came back is refunded all the same",
        ),
        bytes: table.value(
            "ORDO_ORDER_BYTES",
            bytes,
            &whole(10_000..=1_000_000_000),
            "Bytes that an order's notes, shipments, cancellations, returns and refunds take together: their texts, and 40 for each and each line of it",
        ),
    }
}

/// What can be set for each queue, under that queue's names.
fn consumer(table: &mut Reading, names: [&'static str; 6], at_once: usize) -> Consumer {
    let [batch_size, wait_seconds, visibility_timeout, error_backoff, concurrency, max_attempts] = names;
    let (half_a_minute, twelve_hours) = (Duration::from_secs(30), 43_200);
    Consumer {
        batch_size: table.value(batch_size, 10, &whole(1..=10), "Messages per receive call"),
        wait_seconds: table.value(wait_seconds, 20, &whole(0..=20), "Seconds a receive call waits for a message"),
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
        concurrency: table.value(concurrency, at_once, &whole(1..=1000), "Messages handled at the same time"),
        max_attempts: table.value(
            max_attempts,
            5,
            &whole(1..=1000),
            "How often a message is tried before it becomes a dead letter",
        ),
    }
}

/// The standard names of the AWS SDKs; the endpoint of one service goes before the one of all.
fn aws(table: &mut Reading) -> Aws {
    let every_service =
        table.optional("AWS_ENDPOINT_URL", &endpoint(), "SQS, SES and DynamoDB, if they are not AWS's own");
    let sqs = table.optional("AWS_ENDPOINT_URL_SQS", &endpoint(), "SQS alone; goes before AWS_ENDPOINT_URL");
    let ses = table.optional("AWS_ENDPOINT_URL_SESV2", &endpoint(), "SES alone; goes before AWS_ENDPOINT_URL");
    let dynamodb =
        table.optional("AWS_ENDPOINT_URL_DYNAMODB", &endpoint(), "DynamoDB alone; goes before AWS_ENDPOINT_URL");
    Aws {
        region: table.value("AWS_REGION", "us-east-1".to_owned(), &name(), "The AWS region"),
        sqs_endpoint: sqs.or_else(|| every_service.clone()),
        ses_endpoint: ses.or_else(|| every_service.clone()),
        dynamodb_endpoint: dynamodb.or(every_service),
    }
}
