//! The steps of an order's sagas, and what an operator can decide about one.

use serde::{Deserialize, Serialize};

use crate::ids::PaymentToken;

/// What an operator decides about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperatorDecision {
    /// Try the step again, perhaps with another means of payment.
    Retry {
        /// The other means of payment.
        #[serde(default, rename = "paymentToken", skip_serializing_if = "Option::is_none")]
        payment_token: Option<PaymentToken>,
    },
    /// Go on without the step.
    Skip,
    /// Undo the order.
    Compensate,
    /// The step was done: the provider confirms it under this reference.
    MarkSucceeded {
        /// The provider's id of what was done.
        reference: String,
    },
    /// The step was not done, and will not be.
    MarkFailed,
}

/// The steps of an order's sagas, and their compensations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SagaStep {
    /// Reserve the units.
    ReserveStock,
    /// Release the reserved units.
    ReleaseStock,
    /// Have the provider hold the amount.
    AuthorizePayment,
    /// Have the provider let go of the amount.
    VoidPayment,
    /// Confirm the order to the customer.
    ConfirmOrder,
    /// Take the money for what was shipped.
    CapturePayment,
    /// Have the provider let go of the money for what will not be shipped.
    VoidRest,
    /// Give money back.
    RefundPayment,
    /// End an order that is completely undone.
    CloseOrder,
    /// Tell the customer by mail.
    NotifyCustomer,
}

impl SagaStep {
    /// All steps and compensations.
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

    /// The name under which it is stored, and by which operators name it.
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

    /// The step with a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}
