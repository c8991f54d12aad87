//! To what a bulk action is done. All conditions that are given must hold; a condition that a kind does not know is a mistake.

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use messaging::{DeadLetter, DeadLetterOrigin};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::BulkActionKind;

/// The most characters of a text.
const MAX_TEXT: usize = 4_000;
/// The most ids that can be named.
const MAX_IDS: usize = 200;
/// The most characters of an id.
const MAX_ID: usize = 256;

/// To what a bulk action is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BulkActionFilter {
    StuckSagas(StuckSagaFilter),
    DeadLetters(DeadLetterFilter),
    ParkedStreams(ParkedStreamsFilter),
}

/// Which stuck sagas. To compensate them takes a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StuckSagaFilter {
    /// At this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SagaStep>)]
    pub(crate) step: Option<String>,
    /// Their last error contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4000)]
    pub(crate) error: Option<String>,
    /// They have been at their step since then or longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<DateTime<Utc>>,
    /// Of these orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 200)]
    pub(crate) order_ids: Option<Vec<String>>,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeadLetterFilter {
    /// Of this queue: `notifications` or `replies`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(notifications|replies)$")]
    pub(crate) queue: Option<String>,
    /// Their error contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4000)]
    pub(crate) error: Option<String>,
    /// Of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) message_type: Option<String>,
    /// These, by their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 200)]
    pub(crate) ids: Option<Vec<String>>,
}

/// Which parked streams, by the first parked event of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ParkedStreamFilter)]
pub(crate) struct ParkedStreamsFilter {
    /// Of this subscription.
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) subscription: String,
    /// Its error contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4000)]
    pub(crate) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) event_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 200)]
    pub(crate) stream_ids: Option<Vec<String>>,
}

/// A field of a filter that can't be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BulkActionMistake {
    /// A JSON pointer.
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl BulkActionFilter {
    /// Reads a filter for a kind of bulk action.
    pub(crate) fn parse(kind: BulkActionKind, filter: &Value) -> Result<Self, Vec<BulkActionMistake>> {
        let read = Self::read(kind, filter);
        let read = read.map_err(|error| vec![mistake("", format!("is no filter of {}: {error}", kind.as_str()))])?;
        let mistakes = read.mistakes(kind);
        if mistakes.is_empty() { Ok(read) } else { Err(mistakes) }
    }

    /// Reads a filter that was checked when it was stored.
    pub(crate) fn read(kind: BulkActionKind, filter: &Value) -> Result<Self, serde_json::Error> {
        // An array would be read as the conditions in their order, and an empty one as none: then all match.
        if !filter.is_object() {
            return Err(serde::de::Error::custom("it has to be an object"));
        }
        Ok(match kind {
            BulkActionKind::RetrySagas | BulkActionKind::CompensateSagas => {
                Self::StuckSagas(StuckSagaFilter::deserialize(filter)?)
            }
            BulkActionKind::RedriveDeadLetters | BulkActionKind::DiscardDeadLetters => {
                Self::DeadLetters(DeadLetterFilter::deserialize(filter)?)
            }
            BulkActionKind::RetryParkedEvents | BulkActionKind::SkipParkedEvents => {
                Self::ParkedStreams(ParkedStreamsFilter::deserialize(filter)?)
            }
        })
    }

    fn mistakes(&self, kind: BulkActionKind) -> Vec<BulkActionMistake> {
        let mut found = match self {
            Self::StuckSagas(StuckSagaFilter { step, error, until: _, order_ids }) => {
                [step_mistake(kind, step.as_deref()), text("error", error), ids("orderIds", order_ids)]
            }
            Self::DeadLetters(DeadLetterFilter { queue, error, message_type, ids: named }) => {
                let queue = queue.as_ref().and_then(|queue| queue.parse::<DeadLetterOrigin>().err());
                let other = queue.map(|message| mistake("queue", message)).or_else(|| short("type", message_type));
                [other, text("error", error), ids("ids", named)]
            }
            Self::ParkedStreams(ParkedStreamsFilter { subscription, error, event_type, stream_ids }) => {
                let other = one_of("subscription", subscription, MAX_ID).or_else(|| short("eventType", event_type));
                [other, text("error", error), ids("streamIds", stream_ids)]
            }
        };
        found.iter_mut().filter_map(Option::take).collect()
    }

    pub(crate) fn to_json(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::StuckSagas(filter) => serde_json::to_value(filter),
            Self::DeadLetters(filter) => serde_json::to_value(filter),
            Self::ParkedStreams(filter) => serde_json::to_value(filter),
        }
    }
}

impl DeadLetterFilter {
    pub(crate) fn wants_queue(&self, origin: DeadLetterOrigin) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue == origin.as_str())
    }

    /// Whether a dead letter of a queue that is wanted is meant.
    pub(crate) fn holds(&self, letter: &DeadLetter) -> bool {
        let Self { queue: _, error, message_type, ids } = self;
        error.as_ref().is_none_or(|part| letter.why().contains(part))
            && message_type.as_ref().is_none_or(|wanted| letter.kind.as_ref() == Some(wanted))
            && ids.as_ref().is_none_or(|ids| ids.iter().any(|id| letter.has_id(id)))
    }
}

fn step_mistake(kind: BulkActionKind, step: Option<&str>) -> Option<BulkActionMistake> {
    match step {
        Some(name) if SagaStep::parse(name).is_none() => {
            let known = SagaStep::ALL.map(SagaStep::name).join(", ");
            Some(mistake("step", format!("must be one of {known}")))
        }
        None if kind == BulkActionKind::CompensateSagas => {
            Some(mistake("step", "must be given: what is undone depends on the step".to_owned()))
        }
        Some(_) | None => None,
    }
}

fn text(field: &str, text: &Option<String>) -> Option<BulkActionMistake> {
    one_of(field, text.as_ref()?, MAX_TEXT)
}

fn short(field: &str, text: &Option<String>) -> Option<BulkActionMistake> {
    one_of(field, text.as_ref()?, MAX_ID)
}

fn ids(field: &str, ids: &Option<Vec<String>>) -> Option<BulkActionMistake> {
    let ids = ids.as_ref()?;
    // An empty list would mean nobody to some and everybody to others.
    if !(1..=MAX_IDS).contains(&ids.len()) {
        return Some(mistake(field, format!("must have 1 to {MAX_IDS} ids; leave it out to mean all")));
    }
    ids.iter().enumerate().find_map(|(at, id)| one_of(&format!("{field}/{at}"), id, MAX_ID))
}

fn one_of(field: &str, text: &str, most: usize) -> Option<BulkActionMistake> {
    let fits = (1..=most).contains(&text.chars().count()) && !text.contains('\0');
    (!fits).then(|| mistake(field, format!("must have 1 to {most} characters, none of them NUL")))
}

fn mistake(field: &str, message: String) -> BulkActionMistake {
    let pointer = if field.is_empty() { "/filter".to_owned() } else { format!("/filter/{field}") };
    BulkActionMistake { pointer, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(kind: BulkActionKind, filter: &Value) -> String {
        let mistakes = BulkActionFilter::parse(kind, filter).unwrap_err();
        mistakes.iter().map(|it| format!("{} {}", it.pointer, it.message)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_is_not_understood_is_not_left_out() {
        use BulkActionKind::{CompensateSagas, RedriveDeadLetters, RetrySagas, SkipParkedEvents};
        for (kind, filter, named) in [
            (
                RetrySagas,
                json!({ "steps": "capture_payment" }),
                "/filter is no filter of retry_sagas: unknown field `steps`",
            ),
            (RetrySagas, json!({ "step": "pay" }), "/filter/step must be one of"),
            (RetrySagas, json!({ "orderIds": [] }), "/filter/orderIds must have 1 to 200 ids"),
            (RetrySagas, json!({ "orderIds": ["a", ""] }), "/filter/orderIds/1 must have 1 to 256 characters"),
            (RetrySagas, json!({ "orderIds": vec!["a"; 201] }), "/filter/orderIds must have"),
            (RetrySagas, json!({ "error": "a\u{0}" }), "/filter/error must have 1 to 4000 characters"),
            (RetrySagas, json!({ "until": "now" }), "/filter is no filter of retry_sagas"),
            (RetrySagas, json!(null), "/filter is no filter"),
            (RetrySagas, json!([]), "it has to be an object"),
            (RedriveDeadLetters, json!([null, null]), "it has to be an object"),
            (CompensateSagas, json!({ "error": "x" }), "/filter/step must be given"),
            (RedriveDeadLetters, json!({ "queue": "mails" }), "/filter/queue must be notifications or replies"),
            (SkipParkedEvents, json!({}), "missing field `subscription`"),
            (SkipParkedEvents, json!({ "subscription": "" }), "/filter/subscription must have"),
        ] {
            let refused = refused(kind, &filter);
            assert!(refused.contains(named), "{filter}: {refused}");
        }
    }

    #[test]
    fn a_filter_is_stored_as_it_was_posted() {
        let posted = json!({ "step": "capture_payment", "error": "declined", "orderIds": ["a", "b"] });
        let filter = BulkActionFilter::parse(BulkActionKind::CompensateSagas, &posted).unwrap();
        assert_eq!(filter.to_json().unwrap(), posted);
    }
}
