//! The message that a redriven dead letter becomes.

use serde_json::Value;

use super::DeadLetter;
use crate::consumer::ERROR_ATTRIBUTE;
use crate::contract::NotificationRequested;
use crate::envelope::{BODY_CONTENT_TYPE, MessageContract};
use crate::producer::OutgoingMessage;
use crate::signature::{MessageSigningKeys, SIGNATURE_ATTRIBUTE, SignatureError};

/// The attribute that counts how often a message was redriven.
pub(super) const REDRIVEN_ATTRIBUTE: &str = "ordo-redriven";

/// The attribute that names the last redrive of a message. A redrive that reads the message once more skips it.
pub(super) const RUN_ATTRIBUTE: &str = "ordo-redriven-by";

/// Together with these two and the signature: the ten attributes that SQS allows.
const OTHER_ATTRIBUTES: usize = 7;

impl DeadLetter {
    /// The same message, so that its handler really tries again. If it is redriven twice within five minutes, it
    /// arrives once. It is signed again, so it has to be genuine.
    pub fn redriven(&self, run: &str, keys: &MessageSigningKeys) -> Result<OutgoingMessage, SignatureError> {
        self.verify(keys)?;
        // Not the original deduplication id: SQS may remember that, and would drop the message silently.
        let dedup_id = format!("redriven-{}", self.id);
        Ok(self.outgoing(dedup_id, with_retry(&self.body), self.attributes.clone().into_iter().collect(), run))
    }

    /// The message with another body, which [`DeadLetterOrigin::check`](super::DeadLetterOrigin::check) has accepted. Whoever wrote the body
    /// answers for all of it.
    pub fn edited(&self, body: &str, run: &str) -> OutgoingMessage {
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        let ours = [
            ("content-type", Some(BODY_CONTENT_TYPE)),
            ("ce-type", event["type"].as_str()),
            ("ce-id", event["id"].as_str()),
        ];
        let mut attributes = self.attributes.clone();
        for (name, value) in ours {
            if let Some(value) = value {
                attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        // Not the id of a redrive: if the unedited message was redriven a moment ago, SQS must not take this one for a duplicate. The same
        // change that is sent again is one.
        let dedup_id = format!("edited-{run}");
        self.outgoing(dedup_id, with_retry(body), attributes.into_iter().collect(), run)
    }

    fn outgoing(
        &self,
        dedup_id: String,
        body: String,
        mut attributes: Vec<(String, String)>,
        run: &str,
    ) -> OutgoingMessage {
        let replaced = [ERROR_ATTRIBUTE, REDRIVEN_ATTRIBUTE, RUN_ATTRIBUTE, SIGNATURE_ATTRIBUTE];
        attributes.retain(|(name, _)| !replaced.contains(&name.as_str()));
        attributes.truncate(OTHER_ATTRIBUTES);
        attributes.push((REDRIVEN_ATTRIBUTE.to_owned(), self.redriven.saturating_add(1).to_string()));
        attributes.push((RUN_ATTRIBUTE.to_owned(), run.to_owned()));
        OutgoingMessage { group_id: self.group_id.clone(), dedup_id, body, attributes }
    }
}

/// Has a request try its mail again: without `retryFailed`, notification would answer with the recorded failure. The
/// attempt gets a new number, so that the answer is not taken for a duplicate. Any other body stays as it is.
fn with_retry(body: &str) -> String {
    let Ok(mut event) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    if event["type"] != NotificationRequested::TYPE {
        return body.to_owned();
    }
    let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) else { return body.to_owned() };
    data.insert("retryFailed".to_owned(), Value::Bool(true));
    let attempt = data.get("attempt").and_then(Value::as_u64).and_then(|attempt| u32::try_from(attempt).ok());
    if let Some(next) = attempt.and_then(|attempt| attempt.checked_add(1)) {
        data.insert("attempt".to_owned(), next.into());
    }
    event.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::super::edit::BodyEditError;
    use super::*;
    use crate::envelope::CloudEvent;

    const REQUESTED: &str = include_str!("../../golden/ordo.notification.requested.v1.json");
    const FAILED: &str = include_str!("../../golden/ordo.notification.failed.v1.json");

    #[test]
    fn a_request_gets_a_new_attempt_and_retries_a_recorded_failure() {
        let before = CloudEvent::<NotificationRequested>::parse(REQUESTED).unwrap();

        let body = with_retry(REQUESTED);

        let after = CloudEvent::<NotificationRequested>::parse(&body).unwrap();
        assert_eq!((after.id, after.subject, after.time), (before.id, before.subject, before.time));
        assert_eq!(after.data.attempt, before.data.attempt + 1);
        let data = serde_json::from_str::<Value>(&body).unwrap()["data"].clone();
        assert_eq!(data["retryFailed"], true);
    }

    #[test]
    fn any_other_body_stays_as_it_is() {
        for body in [FAILED, "not JSON", "[1, 2]", r#"{"type": "ordo.notification.requested.v1", "data": 3}"#] {
            assert_eq!(with_retry(body), body);
        }
    }

    #[test]
    fn the_error_is_removed_and_the_redrives_are_counted() {
        let names = ["ce-type", "ordo-error", "ordo-redriven", "ordo-redriven-by", "a", "b", "c", "d", "e", "f"];
        let keys = MessageSigningKeys::random("a").unwrap();
        let mut letter = letter(REQUESTED, &names.map(|name| (name, "1")));
        letter.attributes.insert(SIGNATURE_ATTRIBUTE.into(), keys.sign("q.fifo", REQUESTED));

        let again = letter.redriven("this run", &keys).unwrap();

        let attribute =
            |name: &str| again.attributes.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
        assert_eq!((attribute("ce-type"), attribute("ordo-error")), (Some("1"), None));
        assert_eq!((attribute("ordo-redriven"), attribute("ordo-redriven-by")), (Some("2"), Some("this run")));
        assert_eq!((again.group_id.as_str(), again.dedup_id.as_str()), ("o-1", "redriven-m-1"));
        // The producer signs it.
        assert!(again.attributes.len() < 10 && attribute(SIGNATURE_ATTRIBUTE).is_none());
    }

    #[test]
    fn a_redrive_does_not_sign_a_message_that_was_not_signed() {
        let keys = MessageSigningKeys::random("a").unwrap();
        let forger = MessageSigningKeys::random("a").unwrap();
        let replayed = keys.sign("other.fifo", REQUESTED);
        for signature in [None, Some(forger.sign("q.fifo", REQUESTED)), Some(replayed)] {
            let mut forged = letter(REQUESTED, &[]);
            forged.attributes.extend(signature.map(|it| (SIGNATURE_ATTRIBUTE.to_owned(), it)));

            assert!(forged.redriven("this run", &keys).is_err());
            let part = "/data/recipient=eve@example.com".parse().unwrap();
            assert!(matches!(forged.with(&[part], &keys), Err(BodyEditError::Forged { .. })));
        }
    }

    #[test]
    fn an_edited_message_has_the_attributes_of_its_new_body() {
        let again = letter("poison", &[("ce-type", "nonsense"), ("traceparent", "t")]).edited(FAILED, "this run");

        let attribute =
            |name: &str| again.attributes.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
        assert_eq!(attribute("ce-type"), Some("ordo.notification.failed.v1"));
        assert_eq!((attribute("content-type"), attribute("traceparent")), (Some(BODY_CONTENT_TYPE), Some("t")));
        assert_eq!(again.body, FAILED);
    }

    fn letter(body: &str, attributes: &[(&str, &str)]) -> DeadLetter {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        DeadLetter {
            id: "m-1".into(),
            original_id: Some("m-0".into()),
            group_id: "o-1".into(),
            order_id: "o-1".into(),
            kind: None,
            attempt: Some(1),
            redriven: 1,
            error: None,
            since: DateTime::UNIX_EPOCH,
            body: body.into(),
            attributes: attributes.collect::<BTreeMap<_, _>>(),
            receipt_handle: "r".into(),
            queue: "q.fifo".into(),
        }
    }
}
