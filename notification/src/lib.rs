//! Sends mails to customers: requests come over SQS, mails go out over SES, and each request is answered.
//!
//! # One mail per notification id
//! Requests are delivered at least once, so they may come twice. A mail is claimed before it is sent, and its outcome
//! is recorded before the claim is released. A copy of the request waits for that, finds the outcome and only answers
//! it again. Claims are advisory locks of one database session. They end with it: at once if the process dies, and
//! after `send_timeout` and 5 s if it freezes or is cut off. One window remains, between SES accepting the mail and the
//! commit of the record. The mail is sent again if in that window
//! - the process dies, or is stopped,
//! - SES's answer is lost, or comes later than `send_timeout`,
//! - the database is down for longer than the record is retried: once in a batch, and five more times alone after waits
//!   of 0.1, 0.2, 0.3, 0.4 and 0.5 s, each of which waits for a connection as long as the pool allows,
//! - the session of the claims ends, and another process gets a copy of the request before the claims are taken again.
//!
//! SES can't be asked whether it has a mail, and has no idempotency key. Every mail bears its notification id in the
//! header [`NOTIFICATION_ID_HEADER`]: so duplicates can be found and counted.
//!
//! # What happens when SES does not take a mail
//! | SES | here |
//! |---|---|
//! | throttles | all handlers slow down, and the mail is tried again until SES accepts it; no attempt is spent |
//! | gets many mails to one recipient | some go out at once (`recipient_burst`), the others one after each `recipient_spacing`; no attempt is spent |
//! | pauses or suspends the account | the same, with long pauses |
//! | refuses the mail | recorded and answered as failed; the request goes to the dead-letter queue |
//! | fails, or can't be reached | tried again with backoff; after the last attempt it has failed as above |
//!
//! # Who can have a mail sent
//! Only requests that are signed by a known key are looked at. Any other goes to the dead letters. One that somebody sends
//! again is answered again, and its mail is not sent again.
//!
//! # Withdrawn mails
//! A request can withdraw a mail. It is answered with the recorded outcome; if there is none, the mail is recorded as
//! failed and never sent.

mod address;
mod delivery;
mod mail;
mod request_handler;
mod sample;
mod send_rate;
mod ses;
mod settings;

use std::time::Duration;

use aws_sdk_sqs::Client as SqsClient;
use messaging::{
    BatchingProducer, Consumer, InvalidSettings, MessageFailureCounts, MessageSigningKeys, NotificationRequested,
    Producer, Queues,
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use delivery::DeliveryRecordStore;
use request_handler::MailRequestHandler;
use ses::SesMailer;

pub use mail::{MailContent, RenderError};
pub use sample::sample_request;
pub use ses::NOTIFICATION_ID_HEADER;
pub use settings::{MAX_STAFF, NotificationSettings};

/// What the mail says that a request asks for, in the language that the request names.
pub fn render(request: &NotificationRequested) -> Result<MailContent, RenderError> {
    Ok(mail::content(request, request.locale.as_deref())?)
}

/// Whether whoever reads this language (BCP 47) gets mails in it. Others get English.
pub fn is_written_in(locale: &str) -> bool {
    mail::locale::look_up(locale).is_some()
}

/// The languages that mails are written in, by their tags (BCP 47).
pub fn locales() -> impl Iterator<Item = &'static str> {
    mail::locale::LOCALES.iter().map(|locale| locale.tag)
}

/// The most database connections in use: one for all claims, one for failure counts, the others for records.
pub const CONNECTIONS: usize = 2 + delivery::COMMITS;

/// How long releasing the last claims may take at shutdown.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// What notification works with.
#[derive(Debug, Clone)]
pub struct NotificationDependencies {
    /// The database of the delivery records. At most [`CONNECTIONS`] of its connections are in use. They need session
    /// pooling: a pooler in transaction mode would lose the claims.
    pub pool: PgPool,
    pub sqs: SqsClient,
    /// Requests come from `notifications`, answers go to `replies`.
    pub queues: Queues,
    /// Requests are verified with them, answers are signed.
    pub keys: MessageSigningKeys,
    /// Its own retries are switched off for mails: they would send a mail twice.
    pub ses: aws_sdk_sesv2::Client,
}

/// Sends mails until cancelled. Any number of processes may run it. An error means that the settings are invalid.
pub async fn run(
    deps: NotificationDependencies,
    settings: NotificationSettings,
    cancel: CancellationToken,
) -> Result<(), InvalidSettings> {
    settings.validate()?;
    let addresses = settings.addresses()?;
    let NotificationDependencies { pool, sqs, queues, keys, ses } = deps;
    let consumer = Consumer::new(sqs.clone(), queues.notifications, keys.clone(), settings.consumer)?;
    let failures = MessageFailureCounts::new(pool.clone());
    let (deliveries, releasing) = DeliveryRecordStore::start(pool, settings.send_timeout);
    let ses = SesMailer::new(&ses, settings.send_timeout, settings.smtputf8);
    let answers = BatchingProducer::start(Producer::new(sqs, queues.replies, keys, settings.producer.clone()));
    consumer.run(MailRequestHandler::new(deliveries, ses, answers, addresses, &settings), failures, cancel).await;
    // So that no other process has to wait for these claims. A claim whose outcome is still being recorded ends with
    // the process.
    let _ = tokio::time::timeout(RELEASE_TIMEOUT, releasing).await;
    Ok(())
}
