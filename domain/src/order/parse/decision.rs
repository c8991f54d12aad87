//! Parses what an operator decides about a step of a saga.

use super::commands::{MAX_REASON_CHARS, read_words};
use crate::body::{BodyReader, InvalidBody, JsonField, read_body};
use crate::ids::{PaymentToken, RefundId};
use crate::order::event::OperatorIntervened;
use crate::order::saga::{OperatorDecision, SagaStep};

/// Reads `{"decision": "retry", "step": "authorize_payment", "reason": "…", "paymentNumber"?: 1, "paymentToken"?, "reference"?,
/// "customerMessage"?, "refundId"?, "rest"?: true}`: what an operator decides about a step. `actor` decides.
pub fn parse_decision(body: &[u8], actor: &str) -> Result<StepDecision, InvalidBody> {
    read_body(body, |reader, fields| {
        let [decision, step, reason, payment, token, reference, message, refund, rest] =
            reader.object(fields, DECISION_FIELDS);
        let verb = reader.required(&decision, |r, field| r.text(field, one_of_verbs));
        let step =
            reader.required(&step, |r, field| r.text(field, |name| SagaStep::parse(&name).ok_or("must be a step")));
        let reason = reader.required(&reason, |r, field| read_words(r, field, MAX_REASON_CHARS));
        let payment_number = reader.optional(&payment, |r, field| r.integer(field, 1..=u32::MAX));
        let payment_token = reader.optional(&token, |r, field| r.text(field, PaymentToken::parse));
        let provider_reference = reader.optional(&reference, |r, field| read_words(r, field, MAX_REASON_CHARS));
        let customer_message = reader.optional(&message, |r, field| r.text(field, one_line));
        let refund_id = reader.optional(&refund, |r, field| r.text(field, RefundId::parse));
        let is_rest = reader.optional(&rest, BodyReader::boolean)?.unwrap_or_default();
        let (verb, payment_token, provider_reference) = (verb?, payment_token?, provider_reference?);
        let (customer_message, refund_id) = (customer_message?, refund_id?);
        let mut only_for = |field: &JsonField<'_>, is_given: bool, verbs: &[&str]| {
            if is_given && !verbs.contains(&verb.as_str()) {
                reader.violation_at(field, "not_for_this", format!("is for {} alone", verbs.join(" and ")));
            }
        };
        only_for(&token, payment_token.is_some(), &["retry"]);
        only_for(&reference, provider_reference.is_some(), &["mark-succeeded"]);
        only_for(&message, customer_message.is_some(), &["compensate", "mark-failed"]);
        only_for(&refund, refund_id.is_some(), &["skip", "mark-succeeded", "mark-failed"]);
        if refund_id.is_some() && is_rest {
            reader.violation_at(&rest, "invalid", "can't be given beside refundId");
        }
        let decision = match (verb.as_str(), provider_reference) {
            ("retry", _) => OperatorDecision::Retry { payment_token },
            ("skip", _) => OperatorDecision::Skip,
            ("compensate", _) => OperatorDecision::Compensate,
            ("mark-succeeded", Some(reference)) => OperatorDecision::MarkSucceeded { reference },
            ("mark-succeeded", None) => {
                reader.violation_at(&reference, "required", "is what the provider knows it by: give it");
                return None;
            }
            _ => OperatorDecision::MarkFailed,
        };
        let payment_number = payment_number?;
        let (actor, notification_id) = (actor.to_owned(), None);
        let intervention = OperatorIntervened {
            decision,
            step: step?,
            actor,
            reason: reason?,
            customer_message,
            notification_id,
            payment_number,
        };
        Some(StepDecision { intervention, refund_id, is_rest })
    })
}

/// What an operator decides about a step, and which refund the operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDecision {
    /// The decision.
    pub intervention: OperatorIntervened,
    /// The refund that it is about.
    pub refund_id: Option<RefundId>,
    /// Whether it is about what will never be captured of a payment.
    pub is_rest: bool,
}

const DECISION_FIELDS: [&str; 9] =
    ["decision", "step", "reason", "paymentNumber", "paymentToken", "reference", "customerMessage", "refundId", "rest"];

fn one_of_verbs(verb: String) -> Result<String, &'static str> {
    let is_one = ["retry", "skip", "compensate", "mark-succeeded", "mark-failed"].contains(&verb.as_str());
    if is_one { Ok(verb) } else { Err("must be retry, skip, compensate, mark-succeeded or mark-failed") }
}

fn one_line(text: String) -> Result<String, &'static str> {
    let fits = !text.trim().is_empty() && text.chars().count() <= MAX_REASON_CHARS;
    let fits = fits && !text.chars().any(char::is_control);
    if fits { Ok(text) } else { Err("must be one line of 1 to 500 characters") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(body: &str) -> Vec<String> {
        match parse_decision(body.as_bytes(), "ada") {
            Err(InvalidBody::Invalid(found)) => found.into_iter().map(|found| found.pointer).collect(),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_decision_says_what_about_which_step_and_why() {
        let body =
            r#"{"decision": "retry", "step": "authorize_payment", "reason": "a new card", "paymentToken": "tok_2"}"#;
        let decided = parse_decision(body.as_bytes(), "ada").unwrap();
        assert_eq!(
            (decided.intervention.step, decided.intervention.actor.as_str()),
            (SagaStep::AuthorizePayment, "ada")
        );
        let OperatorDecision::Retry { payment_token: Some(token) } = decided.intervention.decision else { panic!() };
        assert_eq!(token.to_string(), "tok_2");
    }

    #[test]
    fn what_a_decision_does_not_take_is_named() {
        assert_eq!(pointers("{}"), ["/decision", "/step", "/reason"]);
        for (more, pointer) in [
            (r#""decision": "redo""#, "/decision"),
            (r#""decision": "mark-succeeded""#, "/reference"),
            (r#""decision": "skip", "paymentToken": "tok""#, "/paymentToken"),
            (r#""decision": "retry", "customerMessage": "sorry""#, "/customerMessage"),
            (r#""decision": "compensate", "customerMessage": "two\nlines""#, "/customerMessage"),
            (r#""decision": "retry", "reference": "x""#, "/reference"),
            (r#""decision": "mark-failed", "refundId": "r-1", "rest": true"#, "/rest"),
            (r#""decision": "retry", "paymentNumber": 0"#, "/paymentNumber"),
            (r#""decision": "retry", "actor": "eve""#, "/actor"),
        ] {
            assert_eq!(
                pointers(&format!(r#"{{"step": "capture_payment", "reason": "why", {more}}}"#)),
                [pointer],
                "{more}"
            );
        }
        assert_eq!(pointers(r#"{"decision": "skip", "step": "pay", "reason": "why"}"#), ["/step"]);
        assert_eq!(pointers(r#"{"decision": "skip", "step": "capture_payment", "reason": " "}"#), ["/reason"]);
    }
}
