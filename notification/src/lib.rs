//! Tells customers by mail: requests come over SQS, mails go out over SES, and each request is answered.
//!
//! # One mail per notification id
//! Requests come at least once, and so may come twice. A mail is claimed before it is handed over, and its outcome is recorded
//! before the claim is let go; a copy of the request waits for that, finds the outcome and only answers it again. Claims are locks
//! of one session of the database, which end with it: when the process dies they are gone at once, when it freezes or is cut off
//! after `send_timeout` and 5 s. One window remains, between SES accepting the mail and the record being committed. The mail is
//! sent again if in it
//! - the process dies, or has to stop before it is through,
//! - SES's answer is lost, or comes later than `send_timeout`,
//! - the database is away for longer than the record is tried for: once with others, and five more times alone after waits of 0.1,
//!   0.2, 0.3, 0.4 and 0.5 s, each of which waits for a connection as long as the pool allows,
//! - the session of the claims ends, and another copy of the request comes to another process before the claims are taken anew.
//!
//! SES has no way to ask whether it has a mail, and no idempotency key. Every mail bears its notification id in the header [`NOTIFICATION_ID_HEADER`]: such doubles can be told and counted.
//!
//! # What happens when SES does not take a mail
//! | SES | here |
//! |---|---|
//! | throttles | all workers slow down, the mail is tried again until it goes; no attempt is spent |
//! | is asked for many mails to one recipient | some go out at once (`recipient_burst`), each of the others has a turn of its own and comes again then; no attempt is spent |
//! | pauses or suspends the account | the same, with long pauses |
//! | refuses the mail | recorded and answered as failed; the request goes to the dead-letter queue |
//! | fails, or can't be reached | tried again with backoff; after the last attempt, failed as above |
//!
//! # A mail that is not wanted any more
//! A request can withdraw a mail: it is answered with what is recorded of it, or that it failed, and then it is never sent.

mod address;
mod delivery;
mod mail;
mod pace;
mod ses;
mod settings;
mod worker;

use std::time::Duration;

use aws_sdk_sqs::Client as SqsClient;
use messaging::{Consumer, Failures, InvalidSettings, JoinedProducer, Producer, Queues};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use delivery::Deliveries;
use ses::Ses;
use worker::Worker;

pub use ses::NOTIFICATION_ID_HEADER;
pub use settings::NotificationSettings;

/// How many database connections it uses at once: one for all claims, one for failures, the others for records.
pub const CONNECTIONS: usize = 2 + delivery::COMMITS;

/// How long the last claims may take to be let go at the end.
const LAST_CLAIMS: Duration = Duration::from_secs(1);

/// What notification works with.
#[derive(Debug, Clone)]
pub struct NotificationDeps {
    /// The database of the delivery records. [`CONNECTIONS`] of its connections are in use at the most, by session: what is between
    /// here and the server must not share them out by transaction.
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
    let failures = Failures::kept_in(pool.clone());
    let (deliveries, letting_go) = Deliveries::start(pool, settings.send_timeout);
    let ses = Ses::new(&ses, settings.send_timeout);
    let answers = JoinedProducer::start(Producer::new(sqs, queues.replies.url, settings.producer.clone()));
    consumer.run(Worker::new(deliveries, ses, answers, addresses, &settings), failures, cancel).await;
    // So that nobody has to wait for a claim of ours. If an outcome is still being recorded, its claim goes with the process.
    let _ = tokio::time::timeout(LAST_CLAIMS, letting_go).await;
    Ok(())
}
