//! What bulk actions act on, batch by batch.
//!
//! A batch is found and acted on at once. Its report has the cursor behind its last item: whoever goes on there does the items of a batch
//! again that was not saved, so doing one twice has to do no harm.

mod dead_letters;
mod parked_streams;
mod stuck_sagas;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use self::dead_letters::DeadLetterTarget;
use self::parked_streams::ParkedStreamTarget;
use self::stuck_sagas::StuckSagaTarget;
use crate::table::BulkActionRow;
use crate::{BulkActionDependencies, BulkActionError, BulkActionFilter};

/// After this time a batch begins no other item: it has to be saved before its lease ends.
const BATCH_TIME: Duration = Duration::from_secs(15);
/// The most characters that are kept of an error.
const MAX_ERROR: usize = 1_000;
/// How many items a preview shows.
const SHOWN: usize = 20;

/// What a bulk action acts on.
pub(crate) enum BulkTarget {
    StuckSagas(Box<StuckSagaTarget>),
    DeadLetters(DeadLetterTarget),
    ParkedStreams(ParkedStreamTarget),
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(crate) struct BatchReport {
    pub(crate) done: i64,
    pub(crate) moved_on: i64,
    pub(crate) failed: i64,
    pub(crate) errors: Vec<ItemError>,
    /// By now: so many items failed one after the other by what all of them need.
    pub(crate) failures_in_row: i32,
    pub(crate) note: Option<String>,
    pub(crate) cursor: Option<Value>,
    /// Whether there is nothing left.
    pub(crate) is_end: bool,
    /// How many could not be looked at.
    pub(crate) unseen: i64,
}

/// What became of an item.
#[derive(Debug)]
pub(crate) enum ItemOutcome {
    Done,
    /// There is nothing to do any more.
    MovedOn,
    /// It can't be done to this item.
    Refused(String),
    /// It could not be done, and may be done or not. That may be so for all of them.
    Failed(String),
}

/// An item that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BulkActionItemError)]
pub(crate) struct ItemError {
    /// The order, the dead letter or the stream.
    pub(crate) id: String,
    pub(crate) error: String,
}

/// An item that a bulk action would act on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkActionItem {
    /// The order, the dead letter or the stream.
    id: String,
    /// The step of the saga, the queue of the dead letter, or the event of the stream.
    at: String,
    error: Option<String>,
    /// Since when it is so.
    since: DateTime<Utc>,
}

/// What a bulk action would act on.
#[derive(Debug)]
pub(crate) struct Matches {
    /// `None`: too many to count.
    pub(crate) count: Option<i64>,
    /// The first of them.
    pub(crate) items: Vec<BulkActionItem>,
}

impl Matches {
    /// What a filter matches, of what came before `until`.
    pub(crate) async fn find(
        deps: &BulkActionDependencies,
        filter: &BulkActionFilter,
        until: DateTime<Utc>,
    ) -> Result<Self, BulkActionError> {
        match filter {
            BulkActionFilter::StuckSagas(filter) => stuck_sagas::matches(&deps.store, filter, until).await,
            BulkActionFilter::DeadLetters(filter) => dead_letters::matches(&deps.dead_letters, filter, until).await,
            BulkActionFilter::ParkedStreams(filter) => parked_streams::matches(&deps.store, filter, until).await,
        }
    }
}

impl BulkTarget {
    /// The target of an action, where the action is. `claim`: what the action was taken by.
    pub(crate) fn of(
        deps: &BulkActionDependencies,
        action: &BulkActionRow,
        claim: Uuid,
    ) -> Result<Self, BulkActionError> {
        Ok(match BulkActionFilter::read(action.kind, &action.filter)? {
            BulkActionFilter::StuckSagas(filter) => {
                Self::StuckSagas(Box::new(StuckSagaTarget::new(deps, action, filter)?))
            }
            BulkActionFilter::DeadLetters(filter) => {
                Self::DeadLetters(DeadLetterTarget::new(deps, action, claim, filter))
            }
            BulkActionFilter::ParkedStreams(filter) => {
                Self::ParkedStreams(ParkedStreamTarget::new(deps, action, filter)?)
            }
        })
    }

    /// Acts on the next items, up to `most`. `failures_in_row`: before it.
    pub(crate) async fn next(&mut self, most: usize, failures_in_row: i32) -> Result<BatchReport, BulkActionError> {
        let report = BatchReport { failures_in_row, ..BatchReport::default() };
        match self {
            Self::StuckSagas(target) => target.next(most, report).await,
            Self::DeadLetters(target) => target.next(most, report).await,
            Self::ParkedStreams(target) => target.next(most, report).await,
        }
    }

    /// Lets others have what it holds.
    pub(crate) async fn release(self) {
        match self {
            Self::DeadLetters(target) => target.release().await,
            Self::StuckSagas(_) | Self::ParkedStreams(_) => {}
        }
    }
}

impl BatchReport {
    /// How many items it had.
    pub(crate) fn items(&self) -> usize {
        usize::try_from(self.done + self.moved_on + self.failed).unwrap_or(usize::MAX)
    }

    fn note_item(&mut self, id: &str, outcome: ItemOutcome) {
        let error = match outcome {
            ItemOutcome::Done => {
                (self.done, self.failures_in_row) = (self.done + 1, 0);
                return;
            }
            ItemOutcome::MovedOn => {
                (self.moved_on, self.failures_in_row) = (self.moved_on + 1, 0);
                return;
            }
            ItemOutcome::Refused(error) => error,
            ItemOutcome::Failed(error) => {
                self.failures_in_row += 1;
                self.note = Some(kept(&format!("what all items need fails: {error}")));
                error
            }
        };
        self.failed += 1;
        self.errors.push(ItemError { id: kept(id), error: kept(&error) });
    }
}

/// A batch has no time for another item.
fn is_late(began: Instant) -> bool {
    began.elapsed() >= BATCH_TIME
}

/// The first of a text, as Postgres takes it.
pub(crate) fn kept(text: &str) -> String {
    text.chars().filter(|character| *character != '\0').take(MAX_ERROR).collect()
}

/// Who decides, and why.
#[derive(Debug, Clone)]
struct Decider {
    action: Uuid,
    actor: String,
    reason: String,
    /// When the action began.
    began_at: DateTime<Utc>,
}

impl Decider {
    fn of(action: &BulkActionRow) -> Self {
        let (actor, reason) = (action.actor.clone(), action.full_reason());
        Self { action: action.id, actor, reason, began_at: action.created_at }
    }
}
