//! The statuses that people see: of the payment, of the goods, of the returns.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payments::{AuthorizationState, Payment};
use super::returns::Return;
use super::state::{OrderStatus, PlacedOrder};

/// The status of the payment, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PaymentStatus {
    /// No money is held, or not that of all payments.
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
    /// The status of all payments together, as people see it.
    pub fn payment_status(&self) -> PaymentStatus {
        let is = |state: fn(&AuthorizationState) -> bool| self.counted_payments().any(|payment| state(&payment.state));
        if is(|state| *state == AuthorizationState::Unknown) {
            return PaymentStatus::Unknown;
        }
        if is(|state| *state == AuthorizationState::Declined) {
            return PaymentStatus::Declined;
        }
        let held = self.counted_payments().filter(|payment| is_held(payment));
        if held.clone().next().is_none() {
            let is_voided = is(|state| *state == AuthorizationState::Voided);
            return if is_voided { PaymentStatus::Voided } else { PaymentStatus::None };
        }
        let is_asked = |payment: &Payment| payment.state != AuthorizationState::None || payment.amount_minor == 0;
        if !self.counted_payments().all(is_asked) {
            return PaymentStatus::None;
        }
        let owed_minor = || self.content.total_minor - self.cancelled_minor();
        let is_released = held.clone().all(|payment| payment.rest_voided);
        status_of(self.captured_minor(), self.refunded_minor(), is_released, owed_minor)
    }

    /// The status of one payment.
    pub fn status_of_payment(&self, payment: &Payment) -> PaymentStatus {
        match payment.state {
            AuthorizationState::None | AuthorizationState::NotNeeded => PaymentStatus::None,
            AuthorizationState::Unknown => PaymentStatus::Unknown,
            AuthorizationState::Declined => PaymentStatus::Declined,
            AuthorizationState::Voided => PaymentStatus::Voided,
            AuthorizationState::Authorized { .. } | AuthorizationState::PaidElsewhere => {
                let owed_minor = || self.owed_of_payment_minor(payment.number);
                status_of(payment.captured_minor, payment.refunded_minor, payment.rest_voided, owed_minor)
            }
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

fn is_held(payment: &Payment) -> bool {
    matches!(payment.state, AuthorizationState::Authorized { .. } | AuthorizationState::PaidElsewhere)
}

/// The status of money that is held, or was.
fn status_of(captured: i64, refunded: i64, is_released: bool, owed_minor: impl Fn() -> i64) -> PaymentStatus {
    if captured == 0 {
        return if is_released { PaymentStatus::Voided } else { PaymentStatus::Authorized };
    }
    if refunded == 0 {
        return if captured < owed_minor() { PaymentStatus::PartiallyCaptured } else { PaymentStatus::Captured };
    }
    if refunded < captured { PaymentStatus::PartiallyRefunded } else { PaymentStatus::Refunded }
}
