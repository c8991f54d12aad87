//! What operators see of dead letters.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::dead_letter::DeadLetterVerb;
use error_chain::error_chain;
use messaging::{DeadLetter, DeadLetterOrigin, MessageSigningKeys};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body::check_body;
use crate::look::{DeadLetterLook, SharedLook, by_reason};

/// The first dead letters of each queue.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetters)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLettersView {
    /// When they were read.
    at: DateTime<Utc>,
    queues: Vec<DeadLetterQueueView>,
    /// How many of the ones that were read there are for which reason, the most frequent first.
    errors: Vec<DeadLetterErrorView>,
    /// The oldest of each queue first.
    items: Vec<DeadLetterSummary>,
}

/// How much was read of a queue.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterQueue)]
#[serde(rename_all = "camelCase")]
struct DeadLetterQueueView {
    queue: &'static str,
    read: usize,
    /// About how many were not: they come later in the queue, wait behind earlier ones of their orders, or are in someone else's hands.
    unseen: u64,
}

/// How many dead letters there are for a reason.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterReason)]
struct DeadLetterErrorView {
    queue: &'static str,
    error: String,
    count: u64,
}

/// A dead letter without its body.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeadLetterSummary {
    id: String,
    /// The id that it had in its queue, which log lines name.
    original_id: Option<String>,
    queue: &'static str,
    /// The order that it says it is about.
    order_id: String,
    #[serde(rename = "type")]
    message_type: Option<String>,
    /// Why it is a dead letter.
    error: String,
    since: DateTime<Utc>,
    /// The attempt that it asked for, if it says one.
    attempt: Option<u64>,
    /// How often it was sent again.
    redriven: u32,
}

/// A dead letter.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetterView {
    #[serde(flatten)]
    summary: DeadLetterSummary,
    group_id: String,
    /// What stands beside the body.
    attributes: BTreeMap<String, String>,
    /// As it was sent. It may be anything.
    body: String,
    /// Why nobody knows whose it is. `null`: it is signed by a known key.
    forged: Option<String>,
    /// Why its consumer could not read it. `null`: it could.
    broken: Option<BrokenPlace>,
}

/// Where a body is broken.
#[derive(Serialize, ToSchema)]
struct BrokenPlace {
    /// A JSON pointer; empty: all of it.
    pointer: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

/// What was done to a dead letter.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterDecision)]
pub(super) struct DecisionView {
    queue: &'static str,
    /// As the request named it.
    id: String,
    outcome: DecisionOutcome,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DecisionOutcome {
    Sent,
    Discarded,
}

impl DeadLettersView {
    pub(super) fn of(
        look: &SharedLook,
        origin: Option<DeadLetterOrigin>,
        wanted: impl Fn(&DeadLetter) -> bool,
    ) -> Self {
        let queues = || look.queues.iter().filter(|look| origin.is_none_or(|origin| look.origin == origin));
        let of_queue = |look: &DeadLetterLook| DeadLetterQueueView {
            queue: look.origin.as_str(),
            read: look.letters.len(),
            unseen: look.unseen,
        };
        let (mut errors, mut items) = (Vec::new(), Vec::new());
        for look in queues() {
            let queue = look.origin.as_str();
            let letters = || look.letters.iter().filter(|letter| wanted(letter));
            let reason = |(error, count): (&str, u64)| DeadLetterErrorView { queue, error: error.to_owned(), count };
            errors.extend(by_reason(letters()).into_iter().map(reason));
            items.extend(letters().map(|letter| DeadLetterSummary::of(look.origin, letter)));
        }
        errors.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        Self { at: look.at, queues: queues().map(of_queue).collect(), errors, items }
    }
}

impl DeadLetterSummary {
    fn of(origin: DeadLetterOrigin, letter: &DeadLetter) -> Self {
        Self {
            id: letter.id.clone(),
            original_id: letter.original_id.clone(),
            queue: origin.as_str(),
            order_id: letter.order_id.clone(),
            message_type: letter.kind.clone(),
            error: letter.why().to_owned(),
            since: letter.since,
            attempt: letter.attempt,
            redriven: letter.redriven,
        }
    }
}

impl DeadLetterView {
    pub(super) fn of(origin: DeadLetterOrigin, letter: DeadLetter, keys: &MessageSigningKeys) -> Self {
        let broken = check_body(origin, &letter.body).err().map(|mistake| BrokenPlace {
            pointer: mistake.pointer,
            line: mistake.at.map(|(line, _)| line),
            column: mistake.at.map(|(_, column)| column),
            message: mistake.message,
        });
        Self {
            summary: DeadLetterSummary::of(origin, &letter),
            forged: letter.verify(keys).err().map(|error| error_chain(&error)),
            broken,
            group_id: letter.group_id,
            attributes: letter.attributes,
            body: letter.body,
        }
    }
}

impl DecisionView {
    pub(super) fn of(origin: DeadLetterOrigin, id: String, verb: DeadLetterVerb) -> Self {
        let outcome = match verb {
            DeadLetterVerb::Redrive | DeadLetterVerb::Edit => DecisionOutcome::Sent,
            DeadLetterVerb::Discard => DecisionOutcome::Discarded,
        };
        Self { queue: origin.as_str(), id, outcome }
    }
}
