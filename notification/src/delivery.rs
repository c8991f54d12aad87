//! Delivery records: at most one outcome per notification id.
//!
//! A mail is claimed before it is sent ([`claims`]), and its outcome is recorded before the claim is released
//! ([`records`]). Both are done for many mails at once.

mod claims;
mod records;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use messaging::NotificationTemplate;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use claims::{ClaimGuard, ClaimResult, MailClaims};
use records::OutcomeRecorder;

pub(crate) use records::COMMITS;

/// The recorded outcome of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    Sent { recipient: String, provider_message_id: String },
    Failed { reason: String },
}

/// The reason of withdrawn mails. It is stored in records, so it must not change.
const WITHDRAWN: &str = "withdrawn before it was sent";

impl DeliveryOutcome {
    pub(crate) fn is_withdrawn(&self) -> bool {
        matches!(self, Self::Failed { reason } if reason == WITHDRAWN)
    }

    /// Whether a retry of failed mails leaves it as it is.
    fn is_final(&self) -> bool {
        matches!(self, Self::Sent { .. }) || self.is_withdrawn()
    }
}

/// How far the delivery of a mail is: its outcome is recorded, or the caller has claimed it.
pub(crate) enum DeliveryState {
    /// The mail has an outcome.
    Decided(DeliveryOutcome),
    /// The mail has none, and no one else can send it until this delivery is recorded or dropped.
    Open(ClaimedMail),
}

/// A claimed mail without an outcome. Dropping it only releases the claim.
pub(crate) struct ClaimedMail {
    claim: ClaimGuard,
    records: OutcomeRecorder,
    record: PendingDelivery,
}

/// The part of a record that is known before the mail is sent.
#[derive(Debug, Clone)]
pub(crate) struct PendingDelivery {
    pub(crate) notification_id: Uuid,
    pub(crate) order_id: String,
    pub(crate) template: NotificationTemplate,
    /// `None`: the request has no valid address.
    pub(crate) recipient: Option<String>,
    /// Which attempt this is, from 1.
    pub(crate) attempts: u32,
    /// Whether to send the mail although a failure is recorded. A sent or withdrawn mail is never sent again.
    pub(crate) retry_failed: bool,
}

/// Why a mail could not be claimed, or its outcome not be recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DeliveryRecordError {
    #[error("the mail could not be claimed")]
    Claim { source: Arc<sqlx::Error> },
    #[error("the mail is in work elsewhere")]
    Taken,
    #[error("the delivery record could not be written")]
    Write { source: Arc<sqlx::Error> },
    #[error("this process is about to end")]
    Ending,
}

/// How long a mail may be claimed beyond the time for sending it.
const MARGIN: Duration = Duration::from_secs(5);

/// How often a mail is checked that another process has claimed. That is rare: it takes two copies of a request at the
/// same time.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Claims mails and records their outcomes.
pub(crate) struct DeliveryRecordStore {
    claims: MailClaims,
    records: OutcomeRecorder,
    claim_timeout: Duration,
}

impl DeliveryRecordStore {
    /// `send_timeout`: how long sending a mail may take. The task ends when this and all deliveries are dropped and all
    /// claims are released.
    pub(crate) fn start(pool: PgPool, send_timeout: Duration) -> (Self, JoinHandle<()>) {
        let claim_timeout = send_timeout + MARGIN;
        let (claims, claiming) = MailClaims::start(pool.clone(), claim_timeout);
        let records = OutcomeRecorder::start(pool, claim_timeout);
        (Self { claims, records, claim_timeout }, claiming)
    }

    /// Claims the mail. If another process has claimed it, waits for as long as that may take.
    pub(crate) async fn claim(&self, record: &PendingDelivery) -> Result<DeliveryState, DeliveryRecordError> {
        let waiting = async {
            loop {
                match self.claims.claim(record.notification_id).await? {
                    ClaimResult::Decided(outcome, _) if outcome.is_final() || !record.retry_failed => {
                        return Ok(DeliveryState::Decided(outcome));
                    }
                    ClaimResult::Decided(_, claim) | ClaimResult::Free(claim) => {
                        let (records, record) = (self.records.clone(), record.clone());
                        return Ok(DeliveryState::Open(ClaimedMail { claim, records, record }));
                    }
                    ClaimResult::Elsewhere => tokio::time::sleep(POLL_INTERVAL).await,
                }
            }
        };
        tokio::time::timeout(self.claim_timeout, waiting).await.unwrap_or(Err(DeliveryRecordError::Taken))
    }
}

impl ClaimedMail {
    /// Records that SES accepted the mail.
    pub(crate) async fn sent(
        self,
        recipient: &str,
        provider_message_id: String,
    ) -> Result<DeliveryOutcome, DeliveryRecordError> {
        self.record(DeliveryOutcome::Sent { recipient: recipient.into(), provider_message_id }).await
    }

    /// Records that the mail will never be sent.
    pub(crate) async fn failed(self, reason: String) -> Result<DeliveryOutcome, DeliveryRecordError> {
        self.record(DeliveryOutcome::Failed { reason }).await
    }

    /// Records that the mail was withdrawn.
    pub(crate) async fn withdrawn(self) -> Result<DeliveryOutcome, DeliveryRecordError> {
        self.failed(WITHDRAWN.to_owned()).await
    }

    /// The claim is released once the outcome is recorded, even if the caller is dropped.
    async fn record(self, outcome: DeliveryOutcome) -> Result<DeliveryOutcome, DeliveryRecordError> {
        self.records.write(self.record, outcome.clone(), self.claim).await?;
        Ok(outcome)
    }
}

/// The result of a query, or an error if it takes too long.
async fn within<T>(bound: Duration, query: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let silent = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {bound:?}")));
    tokio::time::timeout(bound, query).await.map_err(silent)?
}

#[derive(sqlx::FromRow)]
struct DeliveryRecordRow {
    notification_id: Uuid,
    recipient: Option<String>,
    outcome: String,
    provider_message_id: Option<String>,
    reason: Option<String>,
}

impl From<DeliveryRecordRow> for DeliveryOutcome {
    fn from(row: DeliveryRecordRow) -> Self {
        // The constraints of the table define which columns each outcome has.
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
        let (deliveries, _claiming) = DeliveryRecordStore::start(database.pool().clone(), Duration::from_secs(1));
        let [one, other, third] = [1, 2, 3].map(record);
        let (one, other) = (open(&deliveries, &one).await, open(&deliveries, &other).await);

        // Postgres has no text with a NUL in it.
        let (bad, good) = tokio::join!(one.failed("\0".into()), other.sent("ada@example.com", "m-1".into()));

        assert!(matches!(bad, Err(DeliveryRecordError::Write { .. })), "{bad:?}");
        assert!(matches!(good, Ok(DeliveryOutcome::Sent { .. })), "{good:?}");
        open(&deliveries, &record(1)).await.failed("undecided until now".into()).await.unwrap();
        open(&deliveries, &third).await.failed("after it".into()).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_sent_stays_sent_whatever_is_recorded_later() {
        let database = testkit::database().await;
        let (ours, _) = DeliveryRecordStore::start(database.pool().clone(), Duration::from_secs(1));
        let (theirs, _) = DeliveryRecordStore::start(database.pool().clone(), Duration::from_secs(1));
        let ours_open = open(&ours, &record(1)).await;
        // The claim is lost, and another process has it.
        let ending = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1
                      and database = (select oid from pg_database where datname = current_database())";
        sqlx::query(ending).execute(database.pool()).await.unwrap();
        open(&theirs, &record(1)).await.sent("ada@example.com", "m-1".into()).await.unwrap();

        ours_open.failed("refused".into()).await.unwrap();

        let DeliveryState::Decided(outcome) = ours.claim(&record(1)).await.unwrap() else { panic!("it is decided") };
        let sent = DeliveryOutcome::Sent { recipient: "ada@example.com".into(), provider_message_id: "m-1".into() };
        assert_eq!(outcome, sent);
    }

    async fn open(deliveries: &DeliveryRecordStore, record: &PendingDelivery) -> ClaimedMail {
        match deliveries.claim(record).await.unwrap() {
            DeliveryState::Open(delivery) => delivery,
            DeliveryState::Decided(outcome) => panic!("it is decided: {outcome:?}"),
        }
    }

    fn record(nth: u128) -> PendingDelivery {
        PendingDelivery {
            notification_id: Uuid::from_u128(nth << 64),
            order_id: "o-1".into(),
            template: NotificationTemplate::OrderConfirmed,
            recipient: Some("ada@example.com".into()),
            attempts: 1,
            retry_failed: false,
        }
    }
}
