//! Classifies failed requests to Stripe.

use std::error::Error;

use http::StatusCode;
use http::response::Parts;
use hyper_util::client::legacy;
use serde::Deserialize;

use crate::PaymentError;

/// The error of a request, and whether Stripe repeated its answer to an earlier one under the same key.
#[derive(Debug)]
pub(super) struct StripeRequestError {
    pub(super) error: PaymentError,
    pub(super) is_replayed: bool,
}

impl From<PaymentError> for StripeRequestError {
    fn from(error: PaymentError) -> Self {
        Self { error, is_replayed: false }
    }
}

impl From<StripeRequestError> for PaymentError {
    fn from(failed: StripeRequestError) -> Self {
        failed.error
    }
}

/// The error of a request without an answer. Without a connection nothing was sent.
pub(super) fn of_sending(error: &legacy::Error) -> PaymentError {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    if error.is_connect() {
        PaymentError::unavailable(format!("no connection to Stripe: {innermost}"))
    } else {
        PaymentError::unknown(format!("no answer from Stripe: {innermost}"))
    }
}

/// The error of a request that was answered with one.
pub(super) fn of_answer(head: &Parts, body: &[u8]) -> StripeRequestError {
    let is_replayed = head.headers.get("idempotent-replayed").is_some_and(|replayed| replayed == "true");
    StripeRequestError { error: error_of(head, body), is_replayed }
}

fn error_of(head: &Parts, body: &[u8]) -> PaymentError {
    let StripeErrorDetails { kind, code, decline_code, message, param } =
        serde_json::from_slice::<StripeErrorBody>(body).map(|answer| answer.error).unwrap_or_default();
    let code = decline_code.or(code);
    let status = head.status;
    let reason = || {
        let mut reason = format!("Stripe answered {}", status.as_u16());
        for detail in [code.as_deref(), message.as_deref()].into_iter().flatten() {
            reason.push_str(&format!(", {detail}"));
        }
        // Stripe's support asks for it.
        if let Some(id) = head.headers.get("request-id").and_then(|id| id.to_str().ok()) {
            reason.push_str(&format!(" ({id})"));
        }
        reason
    };
    match status {
        StatusCode::PAYMENT_REQUIRED => {
            let message = message.clone().unwrap_or_else(|| "the payment was declined".to_owned());
            PaymentError::declined(code.clone().unwrap_or_else(|| "declined".to_owned()), message)
        }
        // The first request under this key is still running, or another one has locked the payment.
        StatusCode::CONFLICT => PaymentError::unknown(reason()),
        // The key was used for another request, perhaps by an earlier version of this program. Its outcome is unknown.
        StatusCode::BAD_REQUEST if kind.as_deref() == Some("idempotency_error") => PaymentError::unknown(reason()),
        // Also if Stripe refuses our secret key: that says nothing about earlier requests with another one.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            PaymentError::unavailable(reason())
        }
        // The customer's means of payment is invalid. The customer has to change it, not an operator.
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND if param.as_deref() == Some("payment_method") => {
            let message = message.clone().unwrap_or_else(|| "there is no such payment method".to_owned());
            PaymentError::declined(code.clone().unwrap_or_else(|| "payment_method_invalid".to_owned()), message)
        }
        status if status.is_client_error() => PaymentError::refused(reason()),
        _ => PaymentError::unknown(reason()),
    }
}

#[derive(Debug, Deserialize)]
struct StripeErrorBody {
    error: StripeErrorDetails,
}

#[derive(Debug, Default, Deserialize)]
struct StripeErrorDetails {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    param: Option<String>,
}
