//! Dead letters: each is sent to its queue again, or deleted.
//!
//! A dead-letter queue has no order that could be gone on in. What is done is not in it any more, so whoever takes the action over reads
//! the queue from its start. Dead letters that are read are hidden from others until the action is through.

use std::mem;
use std::time::Duration;

use chrono::{DateTime, Utc};
use error_chain::error_chain;
use messaging::{DeadLetter, DeadLetterError, DeadLetterQueue, DeadLetterScan, MessageSigningKeys};
use sqlx::PgPool;
use tokio::time::timeout;
use uuid::Uuid;

use super::{BatchReport, BulkActionItem, Decider, ItemOutcome, Matches, SHOWN};
use crate::table::{self, BulkActionRow};
use crate::worker::LEASE;
use crate::{BulkActionDependencies, BulkActionError, BulkActionKind, DeadLetterFilter};

/// The most dead letters that a preview receives of a queue.
const MOST_COUNTED: usize = 500;
/// How long a batch may take to be sent again. Its lease has to outlast that and the batch's deletion.
const SENDING_TIME: Duration = Duration::from_secs(30);
/// The most that SQS gives in one call.
const RECEIVED_AT_ONCE: usize = 10;

pub(crate) struct DeadLetterTarget {
    filter: DeadLetterFilter,
    is_redrive: bool,
    keys: MessageSigningKeys,
    decider: Decider,
    pool: PgPool,
    /// What the action was taken by.
    claim: Uuid,
    /// The queue that is read.
    scan: Option<DeadLetterScan>,
    /// The queues after it, the last first.
    rest: Vec<DeadLetterQueue>,
    /// How many could not be read.
    unseen: u64,
}

impl DeadLetterTarget {
    pub(super) fn new(
        deps: &BulkActionDependencies,
        action: &BulkActionRow,
        claim: Uuid,
        filter: DeadLetterFilter,
    ) -> Self {
        let rest = queues(&deps.dead_letters, &filter).rev().cloned().collect();
        let is_redrive = action.kind == BulkActionKind::RedriveDeadLetters;
        let (keys, decider, pool) = (deps.keys.clone(), Decider::of(action), deps.store.pool().clone());
        Self { filter, is_redrive, keys, decider, pool, claim, scan: None, rest, unseen: 0 }
    }

    pub(super) async fn next(&mut self, most: usize, mut report: BatchReport) -> Result<BatchReport, BulkActionError> {
        if self.scan.is_none() {
            self.scan = self.rest.pop().map(|queue| queue.sweep());
        }
        let Some(scan) = &mut self.scan else {
            report.is_end = true;
            report.unseen = i64::try_from(self.unseen).unwrap_or(i64::MAX);
            report.note = (self.unseen > 0).then(|| {
                let unseen = self.unseen;
                format!("about {unseen} were not looked at: they wait behind others of their order, or someone else has them")
            });
            return Ok(report);
        };
        let letters = scan.next(most).await?;
        if letters.is_empty() {
            self.unseen += scan.unseen().await?;
            if let Some(scan) = mem::take(&mut self.scan) {
                scan.release().await;
            }
            return Ok(report);
        }
        let action = self.decider.action.to_string();
        let wanted = letters.into_iter().filter(|letter| {
            // What it sent itself may be back.
            letter.since <= self.decider.began_at && !letter.was_redriven_by(&action) && self.filter.holds(letter)
        });
        let wanted: Vec<DeadLetter> = wanted.collect();
        // To find them may have taken longer than the lease. What follows does not.
        if !wanted.is_empty() {
            match table::renew(&self.pool, (self.decider.action, self.claim), LEASE).await {
                Ok(true) => {}
                Ok(false) => return Err(BulkActionError::Lost),
                Err(error) => {
                    // Or nobody would come back to them.
                    scan.put_back(&wanted).await;
                    return Err(error.into());
                }
            }
        }
        let outcomes = if self.is_redrive { self.redrive(&wanted).await } else { self.discard(&wanted).await };
        for (letter, outcome) in wanted.iter().zip(outcomes) {
            report.note_item(&letter.id, outcome);
        }
        Ok(report)
    }

    pub(super) async fn release(self) {
        if let Some(scan) = self.scan {
            scan.release().await;
        }
    }

    async fn redrive(&mut self, letters: &[DeadLetter]) -> Vec<ItemOutcome> {
        let Some(scan) = &mut self.scan else { return Vec::new() };
        let run = self.decider.action.to_string();
        let made: Vec<_> = letters.iter().map(|letter| letter.redriven(&run, &self.keys)).collect();
        let genuine = letters.iter().zip(&made);
        let genuine = genuine.filter_map(|(letter, made)| made.as_ref().ok().map(|message| (letter, message.clone())));
        let genuine: Vec<_> = genuine.collect();
        let mut sent = match genuine.is_empty() {
            true => Vec::new(),
            // What is not through in time is not known, and may come again: then SQS drops it, or its consumer does.
            false => timeout(SENDING_TIME, scan.redrive(genuine, &self.keys)).await.unwrap_or_default(),
        }
        .into_iter();
        let outcome = |(letter, made): (&DeadLetter, Result<_, messaging::SignatureError>)| match made {
            Err(forged) => ItemOutcome::Refused(error_chain(&forged)),
            Ok(_) => match sent.next() {
                Some(Ok(())) => {
                    self.decider.log(letter, "dead letter sent again");
                    ItemOutcome::Done
                }
                Some(Err(error)) => ItemOutcome::Failed(error_chain(&error)),
                None => ItemOutcome::Failed("it is not known whether it was sent".to_owned()),
            },
        };
        letters.iter().zip(made).map(outcome).collect()
    }

    async fn discard(&mut self, letters: &[DeadLetter]) -> Vec<ItemOutcome> {
        let Some(scan) = &mut self.scan else { return Vec::new() };
        // One call for all, so that it takes no longer than the lease.
        let discarded = scan.discard(&letters.iter().collect::<Vec<_>>()).await;
        let outcome = |(letter, discarded): (&DeadLetter, Result<(), DeadLetterError>)| match discarded {
            Ok(()) => {
                self.decider.log(letter, "dead letter discarded");
                ItemOutcome::Done
            }
            Err(error) => ItemOutcome::Failed(error_chain(&error)),
        };
        letters.iter().zip(discarded).map(outcome).collect()
    }
}

impl Decider {
    /// Nothing else is left of a dead letter.
    fn log(&self, letter: &DeadLetter, what: &str) {
        let (dead_letter, order_id) = (&letter.id, &letter.order_id);
        let (kind, error) = (letter.kind.as_deref(), letter.error.as_deref());
        tracing::warn!(dead_letter, order_id, kind, error, actor = self.actor, reason = self.reason, "{what}");
    }
}

pub(super) async fn matches(
    all: &[DeadLetterQueue],
    filter: &DeadLetterFilter,
    until: DateTime<Utc>,
) -> Result<Matches, BulkActionError> {
    // A process that knows no queues does not know either how many there are.
    let (mut count, mut items) = ((!all.is_empty()).then_some(0_i64), Vec::new());
    for queue in queues(all, filter) {
        let mut scan = queue.sweep();
        let counted = count_matches(&mut scan, filter, until, &mut items).await;
        scan.release().await;
        count = count.zip(counted?).map(|(before, counted)| before + counted);
    }
    Ok(Matches { count, items })
}

/// `None`: there are more than are counted.
async fn count_matches(
    scan: &mut DeadLetterScan,
    filter: &DeadLetterFilter,
    until: DateTime<Utc>,
    items: &mut Vec<BulkActionItem>,
) -> Result<Option<i64>, BulkActionError> {
    let (mut count, mut received) = (0_i64, 0);
    while received < MOST_COUNTED {
        let letters = scan.next(RECEIVED_AT_ONCE).await?;
        if letters.is_empty() {
            return Ok(Some(count));
        }
        received += letters.len();
        for letter in letters.into_iter().filter(|letter| letter.since <= until && filter.holds(letter)) {
            count += 1;
            if items.len() < SHOWN {
                let at = scan.letters().origin().to_string();
                items.push(BulkActionItem { id: letter.id, at, error: letter.error, since: letter.since });
            }
        }
    }
    Ok(None)
}

fn queues<'a>(
    all: &'a [DeadLetterQueue],
    filter: &'a DeadLetterFilter,
) -> impl DoubleEndedIterator<Item = &'a DeadLetterQueue> {
    all.iter().filter(|queue| filter.wants_queue(queue.origin()))
}
