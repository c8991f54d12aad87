//! The statuses that people see: of the payment, of the goods, of the returns.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::returns::Return;
use super::state::{AuthorizationState, OrderStatus, Payment, PlacedOrder};

/// The status of the payment, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PaymentStatus {
    /// No money is held.
    None,
    /// The provider did not answer.
    Unknown,
    /// The provider refused, for good.
    Declined,
    /// The money is held.
    Authorized,
    /// Some of the order's price, less cancelled lines, was captured.
    PartiallyCaptured,
    /// All of that was captured.
    Captured,
    /// Some of it was refunded.
    PartiallyRefunded,
    /// All that was captured was refunded.
    Refunded,
    /// The provider holds nothing any more.
    Voided,
}

/// The status of the goods, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FulfilmentStatus {
    /// No units are reserved.
    None,
    /// The units are reserved.
    Reserved,
    /// Some are shipped.
    PartiallyShipped,
    /// All are shipped.
    Shipped,
    /// All have arrived.
    Delivered,
}

/// The status of the returns, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReturnsStatus {
    /// There are none, or all were cancelled before anything came.
    None,
    /// Goods will come back.
    Requested,
    /// Some goods came back.
    PartiallyReturned,
    /// All goods came back.
    Returned,
}

impl PlacedOrder {
    /// The status of the payment, as people see it.
    pub fn payment_status(&self) -> PaymentStatus {
        let Payment { captured_minor, refunded_minor, rest_voided, .. } = self.payment;
        match self.payment.state {
            AuthorizationState::None | AuthorizationState::NotNeeded => PaymentStatus::None,
            AuthorizationState::Unknown => PaymentStatus::Unknown,
            AuthorizationState::Declined => PaymentStatus::Declined,
            AuthorizationState::Voided => PaymentStatus::Voided,
            AuthorizationState::Authorized { .. } if captured_minor == 0 && rest_voided => PaymentStatus::Voided,
            AuthorizationState::Authorized { .. } if captured_minor == 0 => PaymentStatus::Authorized,
            AuthorizationState::Authorized { .. } if refunded_minor == 0 => {
                let owed_minor = self.content.total_minor - self.cancelled_minor();
                if captured_minor < owed_minor { PaymentStatus::PartiallyCaptured } else { PaymentStatus::Captured }
            }
            AuthorizationState::Authorized { .. } if refunded_minor < captured_minor => {
                PaymentStatus::PartiallyRefunded
            }
            AuthorizationState::Authorized { .. } => PaymentStatus::Refunded,
        }
    }

    /// The status of the goods, as people see it.
    pub fn fulfilment_status(&self) -> FulfilmentStatus {
        if self.status == OrderStatus::Completed {
            FulfilmentStatus::Delivered
        } else if self.shipments.is_empty() {
            if self.holds_units() { FulfilmentStatus::Reserved } else { FulfilmentStatus::None }
        } else if self.is_all_shipped() {
            FulfilmentStatus::Shipped
        } else {
            FulfilmentStatus::PartiallyShipped
        }
    }

    /// The status of the returns, as people see it.
    pub fn returns_status(&self) -> ReturnsStatus {
        let has_come = self.numbered_lines().any(|(number, _)| self.counts(number).received > 0);
        if !has_come {
            let is_expected = self.returns.iter().any(Return::is_open);
            return if is_expected { ReturnsStatus::Requested } else { ReturnsStatus::None };
        }
        let everything = self.numbered_lines().all(|(number, line)| {
            let counts = self.counts(number);
            counts.received + counts.cancelled >= line.quantity
        });
        if everything { ReturnsStatus::Returned } else { ReturnsStatus::PartiallyReturned }
    }
}
