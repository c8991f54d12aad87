//! The payments and the refunds of an order, with how far they are.

use domain::money::Money;
use domain::order::{Payment, PaymentStatus, PlacedOrder, Refund};
use serde::Serialize;
use utoipa::ToSchema;

use crate::amount_view::AmountView;
use crate::orders::rows::{PaymentRow, RefundRow};

/// A payment, as `GET /orders/{id}` answers it.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct PaymentView {
    /// From 1, in the order in which money is taken.
    payment_number: u32,
    #[serde(flatten)]
    payment: PaymentRow,
    status: PaymentStatus,
    /// What was captured.
    captured: AmountView,
    refunded: AmountView,
    /// What a person has to give back, because it was paid elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    manual_refund: Option<AmountView>,
}

/// A refund, as `GET /orders/{id}` answers it.
#[derive(Serialize, ToSchema)]
#[schema(as = Refund)]
pub(in crate::orders) struct RefundView {
    #[serde(flatten)]
    refund: RefundRow,
    status: RefundStatus,
    /// What goes back to each payment, where the order has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    payments: Vec<RefundShareView>,
}

/// What goes back to one of several payments.
#[derive(Serialize, ToSchema)]
#[schema(as = RefundShare)]
#[serde(rename_all = "camelCase")]
struct RefundShareView {
    /// From 1.
    payment_number: u32,
    amount: AmountView,
    status: RefundStatus,
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RefundStatus {
    /// Not made yet.
    Requested,
    /// A person has to make what is left of it, because it was paid elsewhere.
    Manual,
    Refunded,
    /// An operator gave it up.
    Skipped,
}

impl PaymentView {
    pub(super) fn all(rows: Vec<PaymentRow>, placed: Option<&PlacedOrder>) -> Vec<Self> {
        let payments = placed.map_or(&[][..], |placed| &placed.payments);
        let states = rows.into_iter().zip(payments);
        states.filter_map(|(row, payment)| Some(Self::of(row, payment, placed?))).collect()
    }

    fn of(row: PaymentRow, payment: &Payment, placed: &PlacedOrder) -> Self {
        let amount = |minor| Money::from_minor(minor, placed.content.currency).into();
        let owed = placed.manual_refunds().filter(|it| it.payment_number() == payment.number);
        let owed_minor: i64 = owed.map(|it| it.amount_minor()).sum();
        Self {
            payment_number: payment.number,
            payment: row,
            status: placed.status_of_payment(payment),
            captured: amount(payment.captured_minor),
            refunded: amount(payment.refunded_minor),
            manual_refund: (owed_minor > 0).then(|| amount(owed_minor)),
        }
    }
}

impl RefundView {
    pub(in crate::orders) fn of(refund: RefundRow, placed: Option<&PlacedOrder>) -> Self {
        let status = RefundStatus::of(&refund, placed);
        let several = placed.filter(|placed| placed.payments.len() > 1);
        let payments = several.map_or_else(Vec::new, |placed| RefundShareView::all(&refund, placed));
        Self { refund, status, payments }
    }
}

impl RefundShareView {
    fn all(refund: &RefundRow, placed: &PlacedOrder) -> Vec<Self> {
        let mut shares: Vec<Self> = shares_of(refund, placed)
            .map(|(share, status)| Self {
                payment_number: share.payment_number,
                amount: Money::from_minor(share.amount_minor, placed.content.currency).into(),
                status,
            })
            .collect();
        shares.sort_by_key(|share| share.payment_number);
        shares
    }
}

/// The shares of a refund, and how far each is.
fn shares_of<'a>(
    refund: &'a RefundRow,
    placed: &'a PlacedOrder,
) -> impl Iterator<Item = (&'a Refund, RefundStatus)> + Clone {
    let status = |share: &Refund| match share.settled {
        true => RefundStatus::Refunded,
        false if placed.is_manual(share) => RefundStatus::Manual,
        false => RefundStatus::Requested,
    };
    let going = placed.refunds.iter().map(move |share| (share, status(share)));
    let given_up = placed.given_up.iter().map(|share| (share, RefundStatus::Skipped));
    going.chain(given_up).filter(|(share, _)| share.id.as_str() == refund.refund_id)
}

impl RefundStatus {
    /// The order's row may be older than the refund's, as an index of DynamoDB lags behind. So a refund that the order does not know of
    /// was asked for after that.
    fn of(refund: &RefundRow, placed: Option<&PlacedOrder>) -> Self {
        if refund.refunded_at.is_some() {
            return Self::Refunded;
        }
        let Some(placed) = placed else { return Self::Requested };
        let shares = shares_of(refund, placed);
        // What is left to do comes first.
        let has = |status| shares.clone().any(|(_, share)| share == status);
        [Self::Requested, Self::Manual, Self::Refunded, Self::Skipped]
            .into_iter()
            .find(|it| has(*it))
            .unwrap_or(Self::Requested)
    }
}

#[cfg(test)]
mod tests {
    use domain::order::{Order, evolve};
    use serde_json::{Value, json};

    use super::*;

    /// What is shown of refund `f-1` if the order's row is of these events.
    fn status(events: &[Value], refunded_at: Option<&str>) -> RefundStatus {
        let mut order = Order::Absent;
        let created = include_str!("../../../../domain/golden/events/OrderCreated-1.0.json");
        evolve(&mut order, serde_json::from_str(created).unwrap());
        for event in events {
            evolve(&mut order, serde_json::from_value(event.clone()).unwrap());
        }
        let Order::Placed(placed) = order else { panic!("no order") };
        let refund = json!({
            "refundId": "f-1", "amount": { "amount": "1.00", "currency": "USD" },
            "requestedAt": "2026-11-21T17:00:00Z", "refundedAt": refunded_at,
        });
        RefundStatus::of(&serde_json::from_value(refund).unwrap(), Some(&placed))
    }

    #[test]
    fn a_refund_is_skipped_only_if_the_order_says_that_it_was_given_up() {
        let requested = json!({ "RefundRequested": { "refundId": "f-1", "amountMinor": 100 } });
        let other = json!({ "RefundRequested": { "refundId": "f-2", "amountMinor": 100 } });
        let refunded = json!({ "PaymentRefunded": { "refundId": "f-1", "amountMinor": 100, "reference": "r" } });
        let skipped = json!({ "OperatorIntervened": {
            "verb": "skip", "step": "refund_payment", "actor": "operator:a", "reason": "by hand",
        } });

        assert_eq!(status(std::slice::from_ref(&requested), None), RefundStatus::Requested);
        assert_eq!(status(&[requested.clone(), refunded], None), RefundStatus::Refunded);
        assert_eq!(status(&[requested, skipped], None), RefundStatus::Skipped);
        // The order's row was read before the refund was in it.
        assert_eq!(status(&[], None), RefundStatus::Requested);
        assert_eq!(status(&[other], None), RefundStatus::Requested);
        assert_eq!(status(&[], Some("2026-11-21T18:00:00Z")), RefundStatus::Refunded);
    }
}
