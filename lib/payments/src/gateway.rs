//! The port: what is asked of a payment provider, whoever it is.

use async_trait::async_trait;

/// A payment provider. Money is reserved first, taken when goods go out, and given back when they return.
///
/// Every effect bears an idempotency key: a call repeated under its key has one effect, whether the first one was answered or not,
/// and however long ago it was. Another request under a used key is [`PaymentError::Refused`].
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Reserves an amount.
    async fn authorize(&self, request: &Authorization) -> Result<Authorized, PaymentError>;

    /// What became of an authorization whose answer never came, asked by its key. `None`: the provider never saw it;
    /// [`PaymentError::Declined`]: it said no. Some providers can only be asked by asking for it again, and never answer `None`.
    async fn find(&self, request: &Authorization) -> Result<Option<Authorized>, PaymentError>;

    /// Takes part of what was authorized, or all of it; as often as there is something left. What was taken under the key before is
    /// found, and not taken again.
    async fn capture(&self, request: &Capture) -> Result<Captured, PaymentError>;

    /// Lets go of whatever was not captured. It is no mistake if nothing is left or it was done before.
    async fn void(&self, request: &Void) -> Result<(), PaymentError>;

    /// Lets go of whatever is held under the key of an authorization whose answer nobody knows, and sees to it that nothing will
    /// be: a request under that key that is still on its way holds nothing when it arrives.
    async fn abandon(&self, request: &Authorization) -> Result<(), PaymentError>;

    /// Gives back part of what was captured, or all of it. What was given back under the key before is found, and not given again.
    async fn refund(&self, request: &Refund) -> Result<Refunded, PaymentError>;
}

/// To reserve an amount for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The idempotency key.
    pub key: String,
    /// The order it is for, for the provider's own records.
    pub order_id: String,
    /// Minor units of the currency, at least 1: for nothing, no provider is asked.
    pub amount_minor: i64,
    /// The ISO 4217 code, in capitals.
    pub currency: String,
    /// What the customer pays with, as the provider named it to the shop.
    pub token: Option<String>,
}

/// Money that is reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    /// The provider's id of the payment: captures, voids and refunds name it.
    pub reference: String,
}

/// To take money that is reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The idempotency key.
    pub key: String,
    /// The payment, as [`Authorized`] named it.
    pub reference: String,
    /// Minor units of the currency, at least 1.
    pub amount_minor: i64,
    /// The currency of the authorization.
    pub currency: String,
    /// Whether nothing more will be captured. The provider then lets go of the rest.
    pub last: bool,
    /// How much is recorded as taken of it before, in minor units. Should the provider have taken more, that may be what is asked for here.
    pub recorded_minor: i64,
    /// How often it is to be tried again although it failed for good: a provider may go on to answer a key as it did once.
    pub retries: u32,
}

/// Money that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The provider's id of what it did.
    pub reference: String,
}

/// To let go of what is reserved and not captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Void {
    /// The idempotency key.
    pub key: String,
    /// The payment, as [`Authorized`] named it.
    pub reference: String,
}

/// To give money back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The idempotency key.
    pub key: String,
    /// The payment, as [`Authorized`] named it.
    pub reference: String,
    /// Minor units of the currency, at least 1.
    pub amount_minor: i64,
    /// The currency of the authorization.
    pub currency: String,
    /// The provider's ids of the payment's refunds that are recorded. One that the provider made and that is not recorded may be the one
    /// that is asked for here.
    pub recorded: Vec<String>,
    /// How often it is to be tried again although it failed for good: a provider may go on to answer a key as it did once.
    pub retries: u32,
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunded {
    /// The provider's id of the refund.
    pub reference: String,
}

/// Why a call did not come to what was asked. The kinds say what may be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The provider said no, for good: the customer has to pay in another way.
    #[error("declined: {message} ({code})")]
    Declined {
        /// The provider's word for the reason, for programs.
        code: String,
        /// The same for people.
        message: String,
    },
    /// There was no answer. It may or may not have happened: ask again under the same key, or [`PaymentGateway::find`] out.
    #[error("outcome unknown: {reason}")]
    Unknown {
        /// What came instead of an answer.
        reason: String,
    },
    /// It surely did not happen; try again later.
    #[error("not available: {reason}")]
    Unavailable {
        /// What was in the way.
        reason: String,
    },
    /// The request itself is wrong, and stays so: someone has to look into it.
    #[error("refused: {reason}")]
    Refused {
        /// What is wrong with it.
        reason: String,
    },
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
