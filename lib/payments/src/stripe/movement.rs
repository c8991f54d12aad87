//! Makes each capture and each refund once.
//!
//! Stripe forgets an idempotency key after a day. Until then it repeats its answer to that key, even a failure. So a
//! movement has a mark in Stripe's metadata, and is looked up by its mark before it is made. Movements of earlier
//! builds have no mark: if one of them may be the requested one, the outcome is unknown and nothing is made. A failed
//! movement is tried again under another key, but only after the key before is known to have had no effect: with two
//! open keys both could be carried out. No process has to remember the current key, because Stripe repeats its answers
//! to the keys before. No call takes as long as Stripe keeps a key.

use serde::Deserialize;

use super::amount::stripe_amount;
use super::connection::StripeClient;
use super::failure::StripeRequestError;
use super::{StripeExpandable, StripePaymentIntent, intent, key};
use crate::{CaptureRequest, PaymentError, RefundRequest};

/// The most keys of a movement. Beside operators' retries, only server errors of Stripe use one up.
const ATTEMPTS: u32 = 32;
/// Stripe's limit for a page.
const PAGE: &str = "100";

/// A capture or a refund, which Stripe makes at most once.
pub(super) enum MoneyMovement<'a> {
    Capture(&'a CaptureRequest),
    Refund(&'a RefundRequest),
}

impl MoneyMovement<'_> {
    /// Makes the movement, unless it was made before. Returns Stripe's id of it.
    pub(super) async fn once(&self, connection: &StripeClient) -> Result<String, PaymentError> {
        if let Some(reference) = self.find(connection).await? {
            return Ok(reference);
        }
        let (key, mut retries) = match self {
            Self::Capture(request) => (&request.key, request.retries),
            Self::Refund(request) => (&request.key, request.retries),
        };
        for nth in 0..ATTEMPTS {
            let made = self.make(connection, &key::of_attempt(key, nth)).await;
            let StripeRequestError { error, is_replayed } = match made {
                Ok(reference) => return Ok(reference),
                Err(failed) => failed,
            };
            match error {
                PaymentError::Declined { .. } | PaymentError::Refused { .. } if retries > 0 => retries -= 1,
                // A server error that Stripe repeats: the request is over, so its effect can be looked up.
                PaymentError::Unknown { .. } if is_replayed => {
                    if let Some(reference) = self.find(connection).await? {
                        return Ok(reference);
                    }
                }
                error @ (PaymentError::Declined { .. }
                | PaymentError::Refused { .. }
                | PaymentError::Unknown { .. }
                | PaymentError::Unavailable { .. }) => return Err(error),
            }
        }
        Err(PaymentError::unavailable(format!("Stripe failed at it {ATTEMPTS} times, and keeps saying so for a day")))
    }

    /// Looks the movement up at Stripe.
    async fn find(&self, connection: &StripeClient) -> Result<Option<String>, PaymentError> {
        match self {
            Self::Capture(request) => find_capture(connection, request).await,
            Self::Refund(request) => find_refund(connection, request).await,
        }
    }

    async fn make(&self, connection: &StripeClient, key: &str) -> Result<String, StripeRequestError> {
        match self {
            Self::Capture(request) => capture(connection, request, key).await,
            Self::Refund(request) => refund(connection, request, key).await,
        }
    }
}

async fn capture(connection: &StripeClient, request: &CaptureRequest, key: &str) -> Result<String, StripeRequestError> {
    let path = format!("{}/capture", intent(&request.reference)?);
    let amount = stripe_amount(request.amount_minor, &request.currency)?.to_string();
    let mark = format!("metadata[{}]", key::mark(&request.key));
    let mut form = vec![("amount_to_capture", amount.as_str()), (&mark, &amount)];
    if !request.last {
        form.push(("final_capture", "false"));
    }
    let captured: StripePaymentIntent = connection.post(&path, Some(key), &form).await?;
    Ok(captured.latest())
}

/// An intent has the marks of its captures, each with its amount. They must not add up to more than was received. Any
/// further received amount must be recorded: a build without marks captured it.
async fn find_capture(connection: &StripeClient, request: &CaptureRequest) -> Result<Option<String>, PaymentError> {
    stripe_amount(request.amount_minor, &request.currency)?;
    let now: StripePaymentIntent = connection.get(&intent(&request.reference)?).await?;
    let marked = now.metadata.iter().filter(|(name, _)| name.starts_with(key::MARK));
    let marked: i64 = marked.filter_map(|(_, amount)| amount.parse::<i64>().ok()).fold(0, i64::saturating_add);
    let received = now.amount_received;
    let is_marked = now.metadata.contains_key(&key::mark(&request.key));
    if is_marked && marked > received {
        return Err(PaymentError::unknown(format!("Stripe has {marked} marked as captured, and received {received}")));
    }
    let known = marked.max(recorded(request.recorded_minor, &request.currency)?);
    if !is_marked && received > known {
        return Err(PaymentError::unknown(format!(
            "Stripe received {received}, of which {known} is accounted for: whether it captured this is not known"
        )));
    }
    Ok(is_marked.then(|| now.latest()))
}

/// A recorded amount in Stripe's units.
fn recorded(amount_minor: i64, currency: &str) -> Result<i64, PaymentError> {
    if amount_minor == 0 { Ok(0) } else { stripe_amount(amount_minor, currency) }
}

async fn refund(connection: &StripeClient, request: &RefundRequest, key: &str) -> Result<String, StripeRequestError> {
    intent(&request.reference)?;
    let amount = stripe_amount(request.amount_minor, &request.currency)?.to_string();
    let mark = key::mark(&request.key);
    let form =
        [("payment_intent", request.reference.as_str()), ("amount", &amount), ("metadata[ordo_key]", mark.as_str())];
    let made: StripeRefund = connection.post("/v1/refunds", Some(key), &form).await?;
    match made.why_failed() {
        Some(why) => Err(PaymentError::declined(why, format!("the refund {} failed", made.id)).into()),
        // A pending refund is on its way.
        None => Ok(made.id),
    }
}

/// A refund without a mark was made by a build without marks, or by hand. If it has the same amount and is not
/// recorded, it may be the requested one.
async fn find_refund(connection: &StripeClient, request: &RefundRequest) -> Result<Option<String>, PaymentError> {
    intent(&request.reference)?;
    let amount = stripe_amount(request.amount_minor, &request.currency)?;
    let mark = key::mark(&request.key);
    let all = format!("/v1/refunds?payment_intent={}&limit={PAGE}", request.reference);
    let (mut path, mut refunded, mut known, mut alike) = (all.clone(), 0_i64, 0_i64, None);
    loop {
        let page: StripeRefundPage = connection.get(&path).await?;
        for made in page.data.iter().filter(|made| made.why_failed().is_none()) {
            refunded = refunded.saturating_add(made.amount);
            match made.ordo_key() {
                Some(key) if *key == mark => return Ok(Some(made.id.clone())),
                Some(_) => known = known.saturating_add(made.amount),
                None if request.recorded.contains(&made.id) => known = known.saturating_add(made.amount),
                None if made.amount == amount => alike = Some(made.id.clone()),
                None => {}
            }
        }
        match page.data.last() {
            Some(last) if page.has_more => path = format!("{all}&starting_after={}", last.id),
            Some(_) | None => break,
        }
    }
    match alike {
        Some(alike) => Err(PaymentError::unknown(format!(
            "Stripe gave {refunded} back, of which {known} is accounted for: whether {alike} is this refund is not known; one \
             that was made by hand counts once it is recorded under Stripe's id"
        ))),
        None => Ok(None),
    }
}

#[derive(Debug, Deserialize)]
struct StripeRefundPage {
    data: Vec<StripeRefund>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Debug, Deserialize)]
struct StripeRefund {
    id: String,
    #[serde(default)]
    amount: i64,
    status: Option<String>,
    failure_reason: Option<String>,
    metadata: Option<StripeMetadata>,
}

#[derive(Debug, Deserialize)]
struct StripeMetadata {
    ordo_key: Option<String>,
}

impl StripeRefund {
    fn why_failed(&self) -> Option<&str> {
        match self.status.as_deref() {
            Some(failed @ ("failed" | "canceled")) => Some(self.failure_reason.as_deref().unwrap_or(failed)),
            Some(_) | None => None,
        }
    }

    fn ordo_key(&self) -> Option<&String> {
        self.metadata.as_ref()?.ordo_key.as_ref()
    }
}

impl StripePaymentIntent {
    /// Stripe's id of the last capture.
    fn latest(self) -> String {
        self.latest_charge.map_or(self.id, StripeExpandable::into_id)
    }
}
