//! What operators decided about single dead letters, and what came of it. A dead letter itself is in a queue; nothing of its body is here.

use std::convert::Infallible;

use cqrs_es::event_sink::EventSink;
use event_versions::{Upcast, Upcastable};
use serde::{Deserialize, Serialize};

use crate::events::events;

/// Every change of the shapes of its events; those of the same event oldest first. So far all are as they began.
const UPCASTS: &[Upcast] = &[];

events! {
    /// Something that happened to a dead letter.
    DeadLetterEvent, UPCASTS {
        /// An operator decided about it. Whether that was carried out is another event.
        DeadLetterDecided,
        /// It is no dead letter any more.
        DeadLetterSettled,
    }
}

/// An operator decided about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterDecided {
    pub verb: DeadLetterVerb,
    /// The queue that it came from: `notifications` or `replies`.
    pub queue: String,
    /// The id that the queue gave it.
    pub dead_letter_id: String,
    /// The order that it says it is about. Whoever wrote the message may have written anything.
    pub order_id: String,
    /// The type of the message, if it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Why it was decided so.
    pub reason: String,
}

/// What is to be done with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum DeadLetterVerb {
    /// It is sent to its queue again.
    Redrive,
    /// Another body is sent to its queue in its place.
    Edit,
    /// It is deleted.
    Discard,
}

/// A dead letter was sent again or deleted, as was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterSettled {
    /// The decision that was carried out.
    pub verb: DeadLetterVerb,
}

/// A dead letter, folded from its events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterDecisions {
    /// The decision that was carried out, if the last one was.
    pub settled: Option<DeadLetterVerb>,
}

/// The stream of a dead letter.
#[must_use]
pub fn dead_letter_stream(queue: &str, dead_letter_id: &str) -> String {
    format!("{queue}:{dead_letter_id}")
}

impl DeadLetterDecisions {
    /// Applies an event.
    pub fn evolve(&mut self, event: &DeadLetterEvent) {
        match event {
            DeadLetterEvent::DeadLetterDecided(_) => self.settled = None,
            DeadLetterEvent::DeadLetterSettled(settled) => self.settled = Some(settled.verb),
        }
    }
}

/// A dead letter as cqrs-es sees it: a shell that passes on. Operators decide, so nothing is refused.
impl cqrs_es::Aggregate for DeadLetterDecisions {
    const TYPE: &'static str = "dead_letter";
    type Command = DeadLetterEvent;
    type Event = DeadLetterEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, event: DeadLetterEvent, (): &(), sink: &EventSink<Self>) -> Result<(), Infallible> {
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: DeadLetterEvent) {
        self.evolve(&event);
    }
}

impl Upcastable for DeadLetterDecisions {
    const UPCASTS: &'static [Upcast] = UPCASTS;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    const EVENTS: &str = "dead-letter-events";

    fn decided(verb: DeadLetterVerb) -> DeadLetterEvent {
        DeadLetterEvent::DeadLetterDecided(DeadLetterDecided {
            verb,
            queue: "notifications".to_owned(),
            dead_letter_id: "0b6a5d6e-6f0e-4c7b-9d5d-1a2b3c4d5e6f".to_owned(),
            order_id: "order-1001".to_owned(),
            message_type: Some("ordo.notification.requested.v1".to_owned()),
            reason: "the address had a typing mistake".to_owned(),
        })
    }

    fn settled(verb: DeadLetterVerb) -> DeadLetterEvent {
        DeadLetterEvent::DeadLetterSettled(DeadLetterSettled { verb })
    }

    #[test]
    fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
        let one_of_each = [decided(DeadLetterVerb::Edit), settled(DeadLetterVerb::Edit)];
        golden::check_today::<DeadLetterDecisions>(EVENTS, one_of_each);
    }

    #[test]
    fn every_golden_file_still_decodes() {
        golden::check_all::<DeadLetterDecisions>(EVENTS);
    }

    #[test]
    fn every_version_of_every_event_has_a_golden_file() {
        golden::check_versions::<DeadLetterDecisions>(EVENTS, DeadLetterEvent::NAMES);
    }

    #[test]
    fn what_is_decided_anew_is_not_settled() {
        let mut decisions = DeadLetterDecisions::default();
        for (event, is_settled) in [
            (decided(DeadLetterVerb::Redrive), None),
            (settled(DeadLetterVerb::Redrive), Some(DeadLetterVerb::Redrive)),
            (decided(DeadLetterVerb::Discard), None),
        ] {
            decisions.evolve(&event);
            assert_eq!(decisions.settled, is_settled);
        }
    }
}
