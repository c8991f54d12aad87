//! Records outcomes, many of them in one statement and so in one commit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use sqlx::PgPool;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::claims::ClaimGuard;
use super::{DeliveryOutcome, DeliveryRecordError, PendingDelivery, within};

/// The most outcomes of one statement.
const MAX_BATCH: usize = 256;

/// The most concurrent commits. Meanwhile outcomes gather for the next batch: so batches grow with the load, and none
/// waits to be full.
pub(crate) const COMMITS: usize = 2;

/// How often an outcome is retried alone after its batch failed, with waits of 0.1 s, 0.2 s and so on.
const TRIES: u32 = 5;

/// Records outcomes. Clones share the batches.
#[derive(Debug, Clone)]
pub(super) struct OutcomeRecorder {
    decisions: UnboundedSender<DecidedMail>,
}

#[derive(Debug)]
struct DecidedMail {
    record: PendingDelivery,
    outcome: DeliveryOutcome,
    /// Released after the record is committed or given up.
    _claim: ClaimGuard,
    written: oneshot::Sender<Result<(), DeliveryRecordError>>,
}

impl OutcomeRecorder {
    /// `bound`: how long one try may take. The task ends with the last clone.
    pub(super) fn start(pool: PgPool, bound: Duration) -> Self {
        let (decisions, decided) = unbounded_channel();
        tokio::spawn(async move {
            let batches = stream::unfold(decided, |mut decided| async {
                let mut batch = Vec::new();
                let some = decided.recv_many(&mut batch, MAX_BATCH).await > 0;
                some.then_some((batch, decided))
            });
            batches.for_each_concurrent(COMMITS, |batch| write(&pool, bound, batch)).await;
        });
        Self { decisions }
    }

    /// `Ok`: the outcome is committed. A sent mail without a record would be sent again: so it is given up only if the
    /// database is down for all [`TRIES`].
    pub(super) async fn write(
        &self,
        record: PendingDelivery,
        outcome: DeliveryOutcome,
        claim: ClaimGuard,
    ) -> Result<(), DeliveryRecordError> {
        let (written, answered) = oneshot::channel();
        let decision = DecidedMail { record, outcome, _claim: claim, written };
        self.decisions.send(decision).map_err(|_| DeliveryRecordError::Ending)?;
        answered.await.unwrap_or(Err(DeliveryRecordError::Ending))
    }
}

async fn write(pool: &PgPool, bound: Duration, mut batch: Vec<DecidedMail>) {
    // Ordered by id, so that two batches can't deadlock.
    batch.sort_unstable_by_key(|decision| decision.record.notification_id);
    match insert(pool, bound, &batch).await {
        Ok(()) => batch.into_iter().for_each(|decision| _ = decision.written.send(Ok(()))),
        Err(error) => {
            let error = Arc::new(error);
            tracing::warn!(mails = batch.len(), %error, "mails were decided and not recorded, recording each again");
            join_all(batch.into_iter().map(|decision| write_alone(pool, bound, decision, Arc::clone(&error)))).await;
        }
    }
}

async fn write_alone(pool: &PgPool, bound: Duration, decision: DecidedMail, mut source: Arc<sqlx::Error>) {
    for nth in 1..=TRIES {
        tokio::time::sleep(nth * Duration::from_millis(100)).await;
        match insert(pool, bound, std::slice::from_ref(&decision)).await {
            Ok(()) => {
                let _ = decision.written.send(Ok(()));
                return;
            }
            Err(error) => source = Arc::new(error),
        }
    }
    let _ = decision.written.send(Err(DeliveryRecordError::Write { source }));
}

/// A sent mail stays sent. A row may exist already, if the commit's answer or the claim was lost.
async fn insert(pool: &PgPool, bound: Duration, batch: &[DecidedMail]) -> Result<(), sqlx::Error> {
    let mut columns = DeliveryColumns::default();
    batch.iter().for_each(|decision| columns.push(decision));
    let inserting = sqlx::query(
        "insert into notification_deliveries
             (notification_id, order_id, template, recipient, outcome, provider_message_id, reason, attempts)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[])
         on conflict (notification_id) do update
             set recipient = excluded.recipient, outcome = excluded.outcome,
                 provider_message_id = excluded.provider_message_id, reason = excluded.reason
             where notification_deliveries.outcome <> 'sent'",
    )
    .bind(columns.ids)
    .bind(columns.orders)
    .bind(columns.templates)
    .bind(columns.recipients)
    .bind(columns.outcomes)
    .bind(columns.provider_ids)
    .bind(columns.reasons)
    .bind(columns.attempts)
    .execute(pool);
    within(bound, inserting).await.map(drop)
}

#[derive(Default)]
struct DeliveryColumns<'a> {
    ids: Vec<Uuid>,
    orders: Vec<&'a str>,
    templates: Vec<&'a str>,
    recipients: Vec<Option<&'a str>>,
    outcomes: Vec<&'a str>,
    provider_ids: Vec<Option<&'a str>>,
    reasons: Vec<Option<&'a str>>,
    attempts: Vec<i32>,
}

impl<'a> DeliveryColumns<'a> {
    fn push(&mut self, DecidedMail { record, outcome, .. }: &'a DecidedMail) {
        let (name, provider_id, reason) = match outcome {
            DeliveryOutcome::Sent { provider_message_id, .. } => ("sent", Some(provider_message_id.as_str()), None),
            DeliveryOutcome::Failed { reason } => ("failed", None, Some(reason.as_str())),
        };
        self.ids.push(record.notification_id);
        self.orders.push(&record.order_id);
        self.templates.push(record.template.as_str());
        self.recipients.push(record.recipient.as_deref());
        self.outcomes.push(name);
        self.provider_ids.push(provider_id);
        self.reasons.push(reason);
        self.attempts.push(i32::try_from(record.attempts).unwrap_or(i32::MAX));
    }
}
