//! The steps of an order's sagas, and what an operator can decide about one.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::ids::PaymentToken;

/// What an operator decides about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// An enum of steps, each with its name: all of them, and how they are stored and parsed, follow from the one list.
macro_rules! saga_steps {
    ($(#[$about:meta])* $steps:ident { $($(#[$doc:meta])* $step:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $steps {
            $($(#[$doc])* #[serde(rename = $name)] $step,)*
        }

        impl $steps {
            /// All steps and compensations.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$step),*];

            /// The name under which it is stored, and by which operators name it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$step => $name,)*
                }
            }

            /// The step with a name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|step| step.name() == name)
            }
        }

        impl PartialSchema for $steps {
            fn schema() -> RefOr<Schema> {
                let names = Some([$($name),*]);
                ObjectBuilder::new().schema_type(Type::String).enum_values(names).into()
            }
        }

        impl ToSchema for $steps {}
    };
}

impl SagaStep {
    /// Whether it is about one of the order's payments.
    pub(super) fn is_of_a_payment(self) -> bool {
        match self {
            Self::AuthorizePayment
            | Self::VoidPayment
            | Self::CapturePayment
            | Self::VoidRest
            | Self::RefundPayment
            | Self::RefundManually => true,
            Self::ReserveStock
            | Self::ReleaseStock
            | Self::ConfirmOrder
            | Self::ApplyEdit
            | Self::CloseOrder
            | Self::NotifyCustomer => false,
        }
    }
}

saga_steps! {
    /// The steps of an order's sagas, and their compensations.
    SagaStep {
        /// Reserve the units.
        ReserveStock = "reserve_stock",
        /// Release the reserved units.
        ReleaseStock = "release_stock",
        /// Have the provider hold the amount.
        AuthorizePayment = "authorize_payment",
        /// Have the provider let go of the amount.
        VoidPayment = "void_payment",
        /// Confirm the order to the customer.
        ConfirmOrder = "confirm_order",
        /// Change the order as an edit wants it, and reserve the units for that.
        ApplyEdit = "apply_edit",
        /// Take the money for what was shipped.
        CapturePayment = "capture_payment",
        /// Have the provider let go of the money for what will not be shipped.
        VoidRest = "void_rest",
        /// Give money back.
        RefundPayment = "refund_payment",
        /// Give money back that was paid elsewhere. A person does it.
        RefundManually = "refund_manually",
        /// End an order that is completely undone.
        CloseOrder = "close_order",
        /// Tell the customer by mail.
        NotifyCustomer = "notify_customer",
    }
}
