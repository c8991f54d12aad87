//! The delivery record: at most one decision per notification id, made under its lock.

use std::time::Duration;

use messaging::Template;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

/// What was decided about a mail, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent { recipient: String, provider_message_id: String },
    Failed { reason: String },
}

/// What is found when a mail is about to be sent.
pub(crate) enum Claim {
    /// Somebody decided before.
    Decided(Outcome),
    /// Nobody did, and nobody else can until this delivery is decided or dropped.
    Open(Delivery),
}

/// An undecided delivery, locked by its uncommitted row. Dropping it leaves no trace.
pub(crate) struct Delivery {
    transaction: Transaction<'static, Postgres>,
    pool: PgPool,
    record: Record,
}

/// The record's fixed part.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) notification_id: Uuid,
    pub(crate) order_id: String,
    pub(crate) template: Template,
    /// Where the mail goes; none if it can't go anywhere.
    pub(crate) recipient: Option<String>,
    /// How often the request has been received.
    pub(crate) attempts: u32,
    /// Whether a failure that was recorded is to be forgotten. A mail that was sent never is sent again.
    pub(crate) retry_failed: bool,
}

/// Why a delivery could not be claimed or recorded.
#[derive(Debug, thiserror::Error)]
#[error("the delivery record could not be {doing}")]
pub(crate) struct DeliveryError {
    doing: &'static str,
    source: sqlx::Error,
}

/// How long it may take beyond the hand-over itself.
const MARGIN: Duration = Duration::from_secs(5);

/// How often an outcome is tried to be recorded outside its lost transaction, after waits of 0.1 s, 0.2 s and so on.
const RECORD_TRIES: u32 = 5;

impl Delivery {
    /// Locks the notification id, waiting for whoever has it. `send_timeout` is how long they may need.
    pub(crate) async fn claim(pool: &PgPool, record: Record, send_timeout: Duration) -> Result<Claim, DeliveryError> {
        let failed = |source| DeliveryError { doing: "locked", source };
        let mut transaction = pool.begin_with(begin(send_timeout)).await.map_err(failed)?;
        // The outcome is provisional: the row is not seen by anyone before the real one is in it.
        let inserted = sqlx::query(
            "insert into notification_deliveries (notification_id, order_id, template, recipient, outcome, reason, attempts)
             values ($1, $2, $3, $4, 'failed', 'undecided', $5)
             on conflict (notification_id) do nothing",
        )
        .bind(record.notification_id)
        .bind(&record.order_id)
        .bind(record.template.as_str())
        .bind(&record.recipient)
        .bind(attempts(&record))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if inserted.rows_affected() == 1 {
            return Ok(Claim::Open(Self { transaction, pool: pool.clone(), record }));
        }
        // Locked whatever it says: of two that would try it again, one finds what the other decided.
        let decided: Row = sqlx::query_as(
            "select recipient, outcome, provider_message_id, reason from notification_deliveries
             where notification_id = $1 for update",
        )
        .bind(record.notification_id)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        match Outcome::from(decided) {
            Outcome::Failed { .. } if record.retry_failed => {
                Ok(Claim::Open(Self { transaction, pool: pool.clone(), record }))
            }
            decided @ (Outcome::Sent { .. } | Outcome::Failed { .. }) => Ok(Claim::Decided(decided)),
        }
    }

    /// Records that SES accepted the mail. Should the transaction be lost, that is recorded without it: the mail is out, and
    /// forgetting that sends it again. It is forgotten only if the database stays away through all [`RECORD_TRIES`].
    pub(crate) async fn sent(self, recipient: &str, provider_message_id: &str) -> Result<Outcome, DeliveryError> {
        let outcome = Outcome::Sent { recipient: recipient.into(), provider_message_id: provider_message_id.into() };
        let Self { transaction, pool, record } = self;
        let Err(mut error) = commit(transaction, &record, &outcome).await else { return Ok(outcome) };
        for nth in 1..=RECORD_TRIES {
            let notification_id = record.notification_id;
            tracing::warn!(%notification_id, %error, "the mail was sent and not recorded, recording it again");
            tokio::time::sleep(nth * Duration::from_millis(100)).await;
            match record_alone(&pool, &record, &outcome).await {
                Ok(()) => return Ok(outcome),
                Err(again) => error = again,
            }
        }
        Err(not_written(error))
    }

    /// Records that the mail never will be sent.
    pub(crate) async fn failed(self, reason: String) -> Result<Outcome, DeliveryError> {
        let outcome = Outcome::Failed { reason };
        commit(self.transaction, &self.record, &outcome).await.map_err(not_written)?;
        Ok(outcome)
    }
}

async fn commit(
    mut transaction: Transaction<'static, Postgres>,
    record: &Record,
    outcome: &Outcome,
) -> Result<(), sqlx::Error> {
    write(&mut transaction, record, outcome).await?;
    transaction.commit().await
}

async fn record_alone(pool: &PgPool, record: &Record, outcome: &Outcome) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    write(&mut connection, record, outcome).await
}

fn not_written(source: sqlx::Error) -> DeliveryError {
    DeliveryError { doing: "written", source }
}

/// `begin`, with bounds on every wait, in one round trip.
fn begin(send_timeout: Duration) -> String {
    let bound = (send_timeout + MARGIN).as_millis();
    format!(
        "begin; set local lock_timeout = {bound}; set local statement_timeout = {bound}; \
         set local idle_in_transaction_session_timeout = {bound}"
    )
}

/// Writes the outcome over the provisional row; without one, as a new row.
async fn write(connection: &mut sqlx::PgConnection, record: &Record, outcome: &Outcome) -> Result<(), sqlx::Error> {
    let (name, provider_message_id, reason) = match outcome {
        Outcome::Sent { provider_message_id, .. } => ("sent", Some(provider_message_id), None),
        Outcome::Failed { reason } => ("failed", None, Some(reason)),
    };
    sqlx::query(
        "insert into notification_deliveries
             (notification_id, order_id, template, recipient, outcome, provider_message_id, reason, attempts)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (notification_id) do update
             set recipient = excluded.recipient, outcome = excluded.outcome, provider_message_id = excluded.provider_message_id, reason = excluded.reason",
    )
    .bind(record.notification_id)
    .bind(&record.order_id)
    .bind(record.template.as_str())
    .bind(&record.recipient)
    .bind(name)
    .bind(provider_message_id)
    .bind(reason)
    .bind(attempts(record))
    .execute(connection)
    .await?;
    Ok(())
}

fn attempts(record: &Record) -> i32 {
    i32::try_from(record.attempts).unwrap_or(i32::MAX)
}

#[derive(sqlx::FromRow)]
struct Row {
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
