//! The port to a payment provider.

use async_trait::async_trait;

/// A payment provider. Money is authorized first, captured when goods are shipped, and refunded when they return.
///
/// Every effect has an idempotency key: a call that is repeated under its key has one effect, whether the first one was
/// answered or not, and however long ago it was. Another request under a used key is [`PaymentError::Refused`].
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Reserves an amount.
    async fn authorize(&self, request: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError>;

    /// Finds an authorization by its key, if its answer never came. `None`: the provider never saw it.
    /// [`PaymentError::Declined`]: it was declined. Some providers can only be asked by repeating the request, and
    /// never answer `None`.
    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError>;

    /// Takes part of the authorized amount, or all of it, as often as there is something left. A capture that was made
    /// under the key before is found, and not made again.
    async fn capture(&self, request: &CaptureRequest) -> Result<CapturedPayment, PaymentError>;

    /// Releases whatever was not captured. It is no error if nothing is left.
    async fn void(&self, request: &VoidRequest) -> Result<(), PaymentError>;

    /// Releases whatever an authorization with an unknown outcome holds, and makes sure that it never will hold
    /// anything: if the request is still on its way, it has no effect when it arrives.
    async fn abandon(&self, request: &AuthorizationRequest) -> Result<(), PaymentError>;

    /// Gives back part of the captured amount, or all of it. A refund that was made under the key before is found, and
    /// not made again.
    async fn refund(&self, request: &RefundRequest) -> Result<AcceptedRefund, PaymentError>;
}

/// A request to reserve an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    pub key: String,
    /// For the provider's own records.
    pub order_id: String,
    /// Minor units of the currency, at least 1.
    pub amount_minor: i64,
    /// The ISO 4217 code, in capitals.
    pub currency: String,
    /// The provider's token of the customer's means of payment.
    pub token: Option<String>,
}

/// A payment that the provider authorized: its id there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentAuthorization {
    /// The provider's id of the payment, for captures, voids and refunds.
    pub reference: String,
}

/// A request to take reserved money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureRequest {
    pub key: String,
    /// The payment, as [`PaymentAuthorization`] named it.
    pub reference: String,
    /// Minor units of the currency, at least 1.
    pub amount_minor: i64,
    /// The currency of the authorization.
    pub currency: String,
    /// Whether nothing more will be captured. The provider then releases the rest.
    pub last: bool,
    /// How much of the payment is recorded as captured, in minor units. If the provider captured more, that may be this
    /// capture.
    pub recorded_minor: i64,
    /// How often an operator retried it after a permanent failure. A provider may repeat its answer to a key, so each
    /// retry is an attempt of its own.
    pub retries: u32,
}

/// A capture that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedPayment {
    /// The provider's id of the capture.
    pub reference: String,
}

/// A request to release what is not captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoidRequest {
    pub key: String,
    /// The payment, as [`PaymentAuthorization`] named it.
    pub reference: String,
}

/// A request to give captured money back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequest {
    pub key: String,
    /// The payment, as [`PaymentAuthorization`] named it.
    pub reference: String,
    /// Minor units of the currency, at least 1.
    pub amount_minor: i64,
    /// The currency of the authorization.
    pub currency: String,
    /// The provider's ids of the payment's recorded refunds. If the provider made one that is not recorded, that may be
    /// this refund.
    pub recorded: Vec<String>,
    /// How often an operator retried it after a permanent failure. A provider may repeat its answer to a key, so each
    /// retry is an attempt of its own.
    pub retries: u32,
}

/// A refund that was made or is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedRefund {
    /// The provider's id of the refund.
    pub reference: String,
}

/// Why a call failed. The variants differ in what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The provider declined for good: the customer has to pay in another way.
    #[error("declined: {message} ({code})")]
    Declined {
        /// The provider's code for the reason.
        code: String,
        /// The reason in words.
        message: String,
    },
    /// There was no answer. The call may or may not have had its effect: repeat it under the same key, or use
    /// [`PaymentGateway::find`].
    #[error("outcome unknown: {reason}")]
    Unknown { reason: String },
    /// The call had no effect. It can be tried again later.
    #[error("not available: {reason}")]
    Unavailable { reason: String },
    /// The request itself is wrong: an operator has to look into it.
    #[error("refused: {reason}")]
    Refused { reason: String },
}

impl PaymentError {
    pub(crate) fn declined(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Declined { code: code.into(), message: message.into() }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }
}
