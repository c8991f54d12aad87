//! An adapter for Stripe's PaymentIntents API: an intent is created and confirmed at once, and captured manually.
//!
//! - Every POST that must not be carried out twice has its key as `Idempotency-Key`, so that Stripe answers a repeated
//!   one as it answered the first. Stripe keeps keys for at least 24 hours. After that, requests are found by Stripe's
//!   metadata.
//! - Stripe also repeats the answer to a failed request. `movement.rs` explains how captures and refunds deal with
//!   that.
//! - Partial captures need an account with multicapture. Without it, a capture that is not the last one is refused.
//! - The customer is not present when the saga pays. So a card that requires authentication is declined.

mod amount;
mod connection;
mod failure;
mod key;
mod movement;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use amount::stripe_amount;
use async_trait::async_trait;
use connection::StripeClient;
use movement::MoneyMovement;
use serde::Deserialize;
use url::form_urlencoded;

use crate::{
    AcceptedRefund, AuthorizationRequest, CaptureRequest, CapturedPayment, PaymentAuthorization, PaymentError,
    PaymentGateway, RefundRequest, VoidRequest,
};

/// How Stripe is reached.
#[derive(Clone)]
pub struct StripeSettings {
    /// The base address, without a trailing slash: `https://api.stripe.com`.
    pub url: String,
    /// The secret key of the account, `sk_…` or `rk_…`.
    pub secret_key: String,
    /// How long connecting may take. After that nothing was sent, so nothing happened.
    pub connect_timeout: Duration,
}

impl fmt::Debug for StripeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why a client for Stripe could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StripeSetupError {
    #[error("this machine's root certificates can't be read")]
    Roots(#[source] std::io::Error),
    /// The key has characters that are invalid in a header.
    #[error("the secret key is not one of Stripe's")]
    SecretKey,
}

/// Stripe as a payment provider. It has no time-out of its own: [`Guarded`](crate::Guarded) has one.
#[derive(Debug, Clone)]
pub struct Stripe {
    connection: StripeClient,
}

impl Stripe {
    /// Connects with the first request.
    pub fn new(settings: &StripeSettings) -> Result<Self, StripeSetupError> {
        Ok(Self { connection: StripeClient::new(settings)? })
    }
}

#[async_trait]
impl PaymentGateway for Stripe {
    async fn authorize(&self, request: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError> {
        let Some(token) = &request.token else {
            return Err(PaymentError::declined("payment_method_missing", "the order names nothing to pay with"));
        };
        let amount = stripe_amount(request.amount_minor, &request.currency)?.to_string();
        let mark = key::mark(&request.key);
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
            ("metadata[ordo_key]", &mark),
        ];
        let made: StripePaymentIntent = self.connection.post("/v1/payment_intents", Some(&request.key), &form).await?;
        made.authorized()
    }

    /// Stripe's search may be a minute behind, and is not available in every country. If it finds nothing, the request
    /// is repeated under the same key, which Stripe keeps for longer than that.
    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError> {
        match self.search(request).await? {
            Some(found) => found.authorized().map(Some),
            None => self.authorize(request).await.map(Some),
        }
    }

    async fn capture(&self, request: &CaptureRequest) -> Result<CapturedPayment, PaymentError> {
        let reference = MoneyMovement::Capture(request).once(&self.connection).await?;
        Ok(CapturedPayment { reference })
    }

    /// Without a key: it may be carried out twice, and Stripe must not repeat a failure.
    async fn void(&self, request: &VoidRequest) -> Result<(), PaymentError> {
        let intent = intent(&request.reference)?;
        let canceled: Result<StripePaymentIntent, _> =
            self.connection.post(&format!("{intent}/cancel"), None, &[]).await;
        let canceled = canceled.map_err(PaymentError::from);
        let Err(refused @ PaymentError::Refused { .. }) = canceled else { return canceled.map(drop) };
        // Perhaps nothing is held any more, because it was canceled before or captured completely.
        let now: StripePaymentIntent = self.connection.get(&intent).await?;
        if matches!(now.status.as_str(), "canceled" | "succeeded") { Ok(()) } else { Err(refused) }
    }

    /// Repeating the request uses the key up: a late request under it gets the answer of this payment, which is voided.
    async fn abandon(&self, request: &AuthorizationRequest) -> Result<(), PaymentError> {
        match self.find(request).await {
            Ok(None) => Ok(()),
            Ok(Some(PaymentAuthorization { reference })) => {
                let key = format!("{}:abandon", request.key);
                self.void(&VoidRequest { key, reference }).await
            }
            Err(PaymentError::Declined { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn refund(&self, request: &RefundRequest) -> Result<AcceptedRefund, PaymentError> {
        let reference = MoneyMovement::Refund(request).once(&self.connection).await?;
        Ok(AcceptedRefund { reference })
    }
}

impl Stripe {
    /// Finds the payment of an authorization by Stripe's search.
    async fn search(&self, request: &AuthorizationRequest) -> Result<Option<StripePaymentIntent>, PaymentError> {
        let query = format!("metadata['ordo_key']:'{}'", key::mark(&request.key));
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", &query).finish();
        let found = self.connection.get::<StripeSearchResult>(&format!("/v1/payment_intents/search?{query}")).await;
        match found {
            Ok(found) => Ok(found.data.into_iter().next()),
            Err(PaymentError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The path of a payment. A reference with other characters could lead elsewhere, and is refused.
fn intent(reference: &str) -> Result<String, PaymentError> {
    let plain = !reference.is_empty() && reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        Ok(format!("/v1/payment_intents/{reference}"))
    } else {
        Err(PaymentError::refused(format!("{reference:?} is no payment of Stripe's")))
    }
}

#[derive(Debug, Deserialize)]
struct StripePaymentIntent {
    id: String,
    status: String,
    latest_charge: Option<StripeExpandable>,
    last_payment_error: Option<StripeLastError>,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct StripeSearchResult {
    data: Vec<StripePaymentIntent>,
}

/// Another object of Stripe's: its id, or all of it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StripeExpandable {
    Id(String),
    Expanded { id: String },
}

impl StripeExpandable {
    fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Expanded { id } => id,
        }
    }
}

#[derive(Debug, Deserialize)]
struct StripeLastError {
    code: Option<String>,
    message: Option<String>,
}

impl StripePaymentIntent {
    fn authorized(self) -> Result<PaymentAuthorization, PaymentError> {
        let Self { id, status, last_payment_error, .. } = self;
        match status.as_str() {
            "requires_capture" | "succeeded" => Ok(PaymentAuthorization { reference: id }),
            "requires_action" | "requires_confirmation" | "requires_payment_method" | "canceled" => {
                let error = last_payment_error.unwrap_or(StripeLastError { code: None, message: None });
                let code = error.code.unwrap_or_else(|| "authentication_required".to_owned());
                Err(PaymentError::declined(code, error.message.unwrap_or_else(|| format!("{id} {status}"))))
            }
            _ => Err(PaymentError::unknown(format!("{id} is {status}"))),
        }
    }
}
