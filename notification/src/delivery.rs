//! The delivery record: at most one decision per notification id.
//!
//! A mail is claimed before it is handed over ([`claims`]), and what came of it is recorded before the claim is let go
//! ([`records`]). Both are done for many mails at once.

mod claims;
mod records;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use messaging::Template;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use claims::{Claims, Found, Held};
use records::Records;

pub(crate) use records::COMMITS;

/// What was decided about a mail, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent { recipient: String, provider_message_id: String },
    Failed { reason: String },
}

/// Why a mail was not sent that was asked for and then not wanted: records bear it, so it stays as it is.
const WITHDRAWN: &str = "withdrawn before it was sent";

impl Outcome {
    /// Whether nobody is to get the mail any more.
    pub(crate) fn is_withdrawn(&self) -> bool {
        matches!(self, Self::Failed { reason } if reason == WITHDRAWN)
    }

    /// Whether it stands even if the mail is to be tried again.
    fn is_final(&self) -> bool {
        matches!(self, Self::Sent { .. }) || self.is_withdrawn()
    }
}

/// What is found when a mail is about to be sent.
pub(crate) enum Claim {
    /// Somebody decided before.
    Decided(Outcome),
    /// Nobody did, and nobody else can until this delivery is decided or dropped.
    Open(Delivery),
}

/// An undecided delivery that is this process's alone. Dropping it leaves no trace.
pub(crate) struct Delivery {
    held: Held,
    records: Records,
    record: Record,
}

/// The record's fixed part.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) notification_id: Uuid,
    pub(crate) order_id: String,
    pub(crate) template: Template,
    /// Where the mail goes; none if it can't go anywhere.
    pub(crate) recipient: Option<String>,
    /// Which attempt this is, from 1.
    pub(crate) attempts: u32,
    /// Whether a failure that was recorded is to be forgotten. A mail that was sent or withdrawn never is sent again.
    pub(crate) retry_failed: bool,
}

/// Why a delivery could not be claimed or recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error("the mail could not be claimed")]
    Claim { source: Arc<sqlx::Error> },
    #[error("the mail is in work elsewhere")]
    Taken,
    #[error("the delivery record could not be written")]
    Write { source: Arc<sqlx::Error> },
    #[error("this process is about to end")]
    Ending,
}

/// How long a mail may be in work beyond the hand-over itself.
const MARGIN: Duration = Duration::from_secs(5);

/// How often a mail that is in work elsewhere is looked at. That is rare: two copies of a request, handled at the same time.
const LOOK: Duration = Duration::from_millis(100);

/// All deliveries of this process.
pub(crate) struct Deliveries {
    claims: Claims,
    records: Records,
    patience: Duration,
}

impl Deliveries {
    /// `send_timeout` is how long a hand-over may take. The task ends, with every claim let go, once the deliveries and this are
    /// dropped.
    pub(crate) fn start(pool: PgPool, send_timeout: Duration) -> (Self, JoinHandle<()>) {
        let patience = send_timeout + MARGIN;
        let (claims, claiming) = Claims::start(pool.clone(), patience);
        let records = Records::start(pool, patience);
        (Self { claims, records, patience }, claiming)
    }

    /// Claims the mail, waiting for whoever has it for as long as they may need.
    pub(crate) async fn claim(&self, record: &Record) -> Result<Claim, DeliveryError> {
        let waiting = async {
            loop {
                match self.claims.claim(record.notification_id).await? {
                    Found::Decided(outcome, _) if outcome.is_final() || !record.retry_failed => {
                        return Ok(Claim::Decided(outcome));
                    }
                    Found::Decided(_, held) | Found::Free(held) => {
                        let (records, record) = (self.records.clone(), record.clone());
                        return Ok(Claim::Open(Delivery { held, records, record }));
                    }
                    Found::Elsewhere => tokio::time::sleep(LOOK).await,
                }
            }
        };
        tokio::time::timeout(self.patience, waiting).await.unwrap_or(Err(DeliveryError::Taken))
    }
}

impl Delivery {
    /// Records that SES accepted the mail.
    pub(crate) async fn sent(self, recipient: &str, provider_message_id: String) -> Result<Outcome, DeliveryError> {
        self.decided(Outcome::Sent { recipient: recipient.into(), provider_message_id }).await
    }

    /// Records that the mail never will be sent.
    pub(crate) async fn failed(self, reason: String) -> Result<Outcome, DeliveryError> {
        self.decided(Outcome::Failed { reason }).await
    }

    /// Records that the mail is not wanted any more.
    pub(crate) async fn withdrawn(self) -> Result<Outcome, DeliveryError> {
        self.failed(WITHDRAWN.to_owned()).await
    }

    /// The claim goes along: it is let go when the outcome is recorded, also if nobody waits for that any more.
    async fn decided(self, outcome: Outcome) -> Result<Outcome, DeliveryError> {
        self.records.write(self.record, outcome.clone(), self.held).await?;
        Ok(outcome)
    }
}

/// What the server answers, if it does so in time.
async fn within<T>(bound: Duration, asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let silent = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {bound:?}")));
    tokio::time::timeout(bound, asking).await.map_err(silent)?
}

#[derive(sqlx::FromRow)]
struct Row {
    notification_id: Uuid,
    recipient: Option<String>,
    outcome: String,
    provider_message_id: Option<String>,
    reason: Option<String>,
}

impl From<Row> for Outcome {
    fn from(row: Row) -> Self {
        // The table's constraints say which columns go with which outcome.
        if row.outcome == "sent" {
            Self::Sent {
                recipient: row.recipient.unwrap_or_default(),
                provider_message_id: row.provider_message_id.unwrap_or_default(),
            }
        } else {
            Self::Failed { reason: row.reason.unwrap_or_default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_outcome_that_cannot_be_recorded_keeps_no_other_from_it() {
        let database = testkit::database().await;
        let (deliveries, _claiming) = Deliveries::start(database.pool().clone(), Duration::from_secs(1));
        let [one, other, third] = [1, 2, 3].map(record);
        let (one, other) = (open(&deliveries, &one).await, open(&deliveries, &other).await);

        // Postgres has no text with a NUL in it.
        let (bad, good) = tokio::join!(one.failed("\0".into()), other.sent("ada@example.com", "m-1".into()));

        assert!(matches!(bad, Err(DeliveryError::Write { .. })), "{bad:?}");
        assert!(matches!(good, Ok(Outcome::Sent { .. })), "{good:?}");
        open(&deliveries, &record(1)).await.failed("undecided until now".into()).await.unwrap();
        open(&deliveries, &third).await.failed("after it".into()).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_sent_stays_sent_whatever_is_recorded_later() {
        let database = testkit::database().await;
        let (ours, _) = Deliveries::start(database.pool().clone(), Duration::from_secs(1));
        let (theirs, _) = Deliveries::start(database.pool().clone(), Duration::from_secs(1));
        let ours_open = open(&ours, &record(1)).await;
        // The claim is lost, and another process has it.
        let ending = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1
                      and database = (select oid from pg_database where datname = current_database())";
        sqlx::query(ending).execute(database.pool()).await.unwrap();
        open(&theirs, &record(1)).await.sent("ada@example.com", "m-1".into()).await.unwrap();

        ours_open.failed("refused".into()).await.unwrap();

        let Claim::Decided(outcome) = ours.claim(&record(1)).await.unwrap() else { panic!("it is decided") };
        let sent = Outcome::Sent { recipient: "ada@example.com".into(), provider_message_id: "m-1".into() };
        assert_eq!(outcome, sent);
    }

    async fn open(deliveries: &Deliveries, record: &Record) -> Delivery {
        match deliveries.claim(record).await.unwrap() {
            Claim::Open(delivery) => delivery,
            Claim::Decided(outcome) => panic!("it is decided: {outcome:?}"),
        }
    }

    fn record(nth: u128) -> Record {
        Record {
            notification_id: Uuid::from_u128(nth << 64),
            order_id: "o-1".into(),
            template: Template::OrderConfirmed,
            recipient: Some("ada@example.com".into()),
            attempts: 1,
            retry_failed: false,
        }
    }
}
