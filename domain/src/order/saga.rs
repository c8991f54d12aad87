//! The steps of an order's sagas, and what an operator can decide about one.

use serde::{Deserialize, Serialize};

use crate::ids::PaymentToken;

/// What an operator can have done about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperatorDecision {
    /// Try it again, perhaps with another means of payment.
    Retry {
        /// The other means of payment.
        #[serde(default, rename = "paymentToken", skip_serializing_if = "Option::is_none")]
        payment_token: Option<PaymentToken>,
    },
    /// Go on without it.
    Skip,
    /// Undo what was done.
    Compensate,
    /// It was done: the provider says so under this reference.
    MarkSucceeded {
        /// The provider's id of what was done.
        reference: String,
    },
    /// It was not done, and will not be.
    MarkFailed,
}

/// The steps of an order's sagas, and their undoings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SagaStep {
    /// Set the units aside.
    ReserveStock,
    /// Put them back.
    ReleaseStock,
    /// Have the amount held.
    AuthorizePayment,
    /// Let go of it.
    VoidPayment,
    /// Promise the order.
    ConfirmOrder,
    /// Take the money for what was shipped.
    CapturePayment,
    /// Let go of the money for what will not be shipped.
    VoidRest,
    /// Give money back.
    RefundPayment,
    /// Say that all is undone.
    CloseOrder,
    /// Tell the customer.
    NotifyCustomer,
}

impl SagaStep {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ReserveStock,
        Self::ReleaseStock,
        Self::AuthorizePayment,
        Self::VoidPayment,
        Self::ConfirmOrder,
        Self::CapturePayment,
        Self::VoidRest,
        Self::RefundPayment,
        Self::CloseOrder,
        Self::NotifyCustomer,
    ];

    /// Its name, as stored and as operators give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReserveStock => "reserve_stock",
            Self::ReleaseStock => "release_stock",
            Self::AuthorizePayment => "authorize_payment",
            Self::VoidPayment => "void_payment",
            Self::ConfirmOrder => "confirm_order",
            Self::CapturePayment => "capture_payment",
            Self::VoidRest => "void_rest",
            Self::RefundPayment => "refund_payment",
            Self::CloseOrder => "close_order",
            Self::NotifyCustomer => "notify_customer",
        }
    }

    /// The step of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}
