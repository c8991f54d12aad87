//! Tells customers by mail: requests come over SQS, mails go out over SES, and each request is answered.
//!
//! # One mail per notification id
//! Requests come at least once, and so may come twice. A mail is handed over inside a database transaction that began by
//! inserting its delivery record; a copy of the request waits for that transaction, finds the outcome and only answers it
//! again. One window remains, between SES accepting the mail and the record being committed. The mail is sent again if in it
//! - the process dies, or has to stop before it is through,
//! - SES's answer is lost, or comes later than `send_timeout`,
//! - the database is away for longer than the record is tried for: the commit, and five more tries after waits of 0.1, 0.2, 0.3,
//!   0.4 and 0.5 s, each of which waits for a connection as long as the pool allows.
//!
//! SES has no way to ask whether it has a mail, and no idempotency key. Every mail bears its notification id in the header [`NOTIFICATION_ID_HEADER`]: such doubles can be told and counted.
//!
//! # What happens when SES does not take a mail
//! | SES | here |
//! |---|---|
//! | throttles | all workers slow down, the mail is tried again until it goes; no attempt is spent |
//! | pauses or suspends the account | the same, with long pauses |
//! | refuses the mail | recorded and answered as failed; the request goes to the dead-letter queue |
//! | fails, or can't be reached | tried again with backoff; after the last attempt, failed as above |

mod address;
mod delivery;
mod mail;
mod pace;
mod ses;
mod settings;
mod worker;

use aws_sdk_sqs::Client as SqsClient;
use messaging::{Consumer, InvalidSettings, JoinedProducer, Producer, Queues};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub use ses::NOTIFICATION_ID_HEADER;
pub use settings::NotificationSettings;

/// What notification works with.
#[derive(Debug, Clone)]
pub struct NotificationDeps {
    /// The database of the delivery records. Each mail in work holds one connection: it needs as many as the consumer's
    /// `concurrency`.
    pub pool: PgPool,
    /// For both queues.
    pub sqs: SqsClient,
    /// Where requests come from and answers go.
    pub queues: Queues,
    /// Its own retries are switched off for every mail: they would send twice.
    pub ses: aws_sdk_sesv2::Client,
}

/// Sends mails until cancelled; any number of copies may run. An error means that the settings are out of bounds.
pub async fn run(
    deps: NotificationDeps,
    settings: NotificationSettings,
    cancel: CancellationToken,
) -> Result<(), InvalidSettings> {
    settings.validate()?;
    let addresses = settings.addresses()?;
    let NotificationDeps { pool, sqs, queues, ses } = deps;
    let consumer = Consumer::new(sqs.clone(), queues.notifications, settings.consumer)?;
    let answers = JoinedProducer::start(Producer::new(sqs, queues.replies.url, settings.producer.clone()));
    consumer.run(worker::Worker::new(pool, ses, answers, addresses, &settings), cancel).await;
    Ok(())
}
