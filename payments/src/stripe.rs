//! A provider that speaks Stripe's PaymentIntents API: an intent is created and confirmed at once, to be captured by hand.
//!
//! - Every POST carries its key as `Idempotency-Key`, so Stripe answers a repeated one as it answered the first. It keeps keys
//!   for 24 hours at least; [`find`](PaymentGateway::find) is only good for so long, and never answers `None`.
//! - Stripe gives a failed request's answer again too: a key whose first answer was a 500 goes on with it.
//! - To be captured in parts, an account needs multicapture; without it a capture that is not the last is refused.
//! - The customer is not there when the saga pays, so a card that wants to see them is declined.

mod amount;
mod connection;
mod failure;

use std::fmt;
use std::time::Duration;

use amount::stripe_amount;
use async_trait::async_trait;
use connection::Connection;
use serde::Deserialize;

use crate::{Authorization, Authorized, Capture, Captured, PaymentError, PaymentGateway, Refund, Refunded, Void};

/// Where Stripe is and who asks.
#[derive(Clone)]
pub struct StripeSettings {
    /// The base address, without a trailing slash: `https://api.stripe.com`.
    pub url: String,
    /// The secret key of the account, `sk_…` or `rk_…`.
    pub secret_key: String,
    /// How long a connection may take to be made. Past it nothing was sent, so nothing happened.
    pub connect_timeout: Duration,
}

impl fmt::Debug for StripeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why there can be no connection to Stripe.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// Nobody would be trusted.
    #[error("this machine's root certificates can't be read")]
    Roots(#[source] std::io::Error),
    /// The key has characters that no header may have.
    #[error("the secret key is not one of Stripe's")]
    SecretKey,
}

/// See the [module](self). It waits for answers without bound: [`Guarded`](crate::Guarded) sets one.
#[derive(Debug, Clone)]
pub struct Stripe {
    connection: Connection,
}

impl Stripe {
    /// Connects when it is first asked something.
    pub fn new(settings: &StripeSettings) -> Result<Self, StripeError> {
        Ok(Self { connection: Connection::new(settings)? })
    }
}

#[async_trait]
impl PaymentGateway for Stripe {
    async fn authorize(&self, request: &Authorization) -> Result<Authorized, PaymentError> {
        let Some(token) = &request.token else {
            return Err(PaymentError::declined("payment_method_missing", "the order names nothing to pay with"));
        };
        let amount = stripe_amount(request.amount_minor, &request.currency)?.to_string();
        let form = [
            ("amount", amount.as_str()),
            ("currency", &request.currency.to_ascii_lowercase()),
            ("payment_method", token),
            ("payment_method_types[]", "card"),
            ("payment_method_options[card][request_multicapture]", "if_available"),
            ("capture_method", "manual"),
            ("confirm", "true"),
            ("off_session", "true"),
            ("metadata[order_id]", &request.order_id),
        ];
        let answer = self.connection.post("/v1/payment_intents", &request.key, &form).await;
        answer.and_then(Intent::authorized)
    }

    async fn find(&self, request: &Authorization) -> Result<Option<Authorized>, PaymentError> {
        self.authorize(request).await.map(Some)
    }

    async fn capture(&self, request: &Capture) -> Result<Captured, PaymentError> {
        let path = format!("{}/capture", intent(&request.reference)?);
        let amount = stripe_amount(request.amount_minor, &request.currency)?.to_string();
        let mut form = vec![("amount_to_capture", amount.as_str())];
        if !request.last {
            form.push(("final_capture", "false"));
        }
        let answer: Intent = self.connection.post(&path, &request.key, &form).await?;
        Ok(Captured { reference: answer.latest_charge.map_or(answer.id, Expandable::into_id) })
    }

    async fn void(&self, request: &Void) -> Result<(), PaymentError> {
        let intent = intent(&request.reference)?;
        let canceled: Result<Intent, _> = self.connection.post(&format!("{intent}/cancel"), &request.key, &[]).await;
        let Err(refused @ PaymentError::Refused { .. }) = canceled else { return canceled.map(drop) };
        // Perhaps there is nothing to let go any more: it was canceled before, or captured to the end.
        let now: Intent = self.connection.get(&intent).await?;
        if matches!(now.status.as_str(), "canceled" | "succeeded") { Ok(()) } else { Err(refused) }
    }

    /// Asking for it again uses the key up: whatever else comes under it is given the answer of this payment, which is voided.
    async fn abandon(&self, request: &Authorization) -> Result<(), PaymentError> {
        match self.authorize(request).await {
            Ok(Authorized { reference }) => {
                let key = format!("{}:abandon", request.key);
                self.void(&Void { key, reference }).await
            }
            Err(PaymentError::Declined { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn refund(&self, request: &Refund) -> Result<Refunded, PaymentError> {
        intent(&request.reference)?;
        let amount = stripe_amount(request.amount_minor, &request.currency)?.to_string();
        let form = [("payment_intent", request.reference.as_str()), ("amount", &amount)];
        let MadeRefund { id, status, failure_reason } =
            self.connection.post("/v1/refunds", &request.key, &form).await?;
        match status.as_deref() {
            Some(failed @ ("failed" | "canceled")) => {
                let code = failure_reason.unwrap_or_else(|| failed.to_owned());
                Err(PaymentError::declined(code, format!("the refund {id} {failed}")))
            }
            // Pending ones are on their way.
            Some(_) | None => Ok(Refunded { reference: id }),
        }
    }
}

/// The path of a payment. What could lead elsewhere is no reference of Stripe's.
fn intent(reference: &str) -> Result<String, PaymentError> {
    let plain = !reference.is_empty() && reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        Ok(format!("/v1/payment_intents/{reference}"))
    } else {
        Err(PaymentError::refused(format!("{reference:?} is no payment of Stripe's")))
    }
}

#[derive(Debug, Deserialize)]
struct Intent {
    id: String,
    status: String,
    latest_charge: Option<Expandable>,
    last_payment_error: Option<LastError>,
}

/// Stripe names other objects by id, or shows them whole.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expandable {
    Id(String),
    Whole { id: String },
}

impl Expandable {
    fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Whole { id } => id,
        }
    }
}

#[derive(Debug, Deserialize)]
struct LastError {
    code: Option<String>,
    message: Option<String>,
}

impl Intent {
    fn authorized(self) -> Result<Authorized, PaymentError> {
        let Self { id, status, last_payment_error, .. } = self;
        match status.as_str() {
            "requires_capture" | "succeeded" => Ok(Authorized { reference: id }),
            "requires_action" | "requires_confirmation" | "requires_payment_method" | "canceled" => {
                let error = last_payment_error.unwrap_or(LastError { code: None, message: None });
                let code = error.code.unwrap_or_else(|| "authentication_required".to_owned());
                Err(PaymentError::declined(code, error.message.unwrap_or_else(|| format!("{id} {status}"))))
            }
            _ => Err(PaymentError::unknown(format!("{id} is {status}"))),
        }
    }
}

#[derive(Debug, Deserialize)]
struct MadeRefund {
    id: String,
    status: Option<String>,
    failure_reason: Option<String>,
}
