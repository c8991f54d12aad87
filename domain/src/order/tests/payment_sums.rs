//! The sums of several payments, whatever an order is paid with and however it is sent.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::operators::placed;
use super::payments::{captured, does, posted, refunded, reserved_nothing, shipped, transferred, wants_back};
use super::*;

/// An order of ten units with these payments, some of them paid elsewhere, that was confirmed.
fn with_payments(amounts: &[(i64, bool)]) -> Order {
    let total: i64 = amounts.iter().map(|(amount, _)| amount).sum();
    let payments: Vec<Value> = amounts
        .iter()
        .map(|(amount, is_elsewhere)| json!({ "method": "m", "amount": amount, "reference": is_elsewhere.then_some("r") }))
        .collect();
    let content = posted(&json!({
        "customerId": "c", "currency": "JPY", "totalAmount": total, "payments": payments,
        "items": [{ "sku": "s", "quantity": 10, "unitPrice": total, "discounts": [{ "amount": total * 9 }] }],
    }));
    let mut order = given([OrderEvent::OrderCreated(content.unwrap()), reserved_nothing()]);
    while let Some(next) = placed(&order).next_to_authorize() {
        let (name, amount) = (placed(&order).payment_name(next.number), next.amount_minor);
        let held = PaymentAuthorized { reference: "p".into(), amount_minor: amount, payment_number: name };
        does(&mut order, OrderCommand::RecordPaymentAuthorized(held));
    }
    does(&mut order, OrderCommand::ConfirmOrder { mail_staff: false });
    order
}

fn capture_all(order: &mut Order) {
    while let Some((shipment, capture)) = placed(order).next_capture() {
        let amount = placed(order).capture_minor(&shipment.id, capture.payment_number);
        let name = placed(order).payment_name(capture.payment_number);
        let taken = captured(shipment.id.as_str(), name, amount);
        does(order, OrderCommand::RecordPaymentCaptured(taken));
    }
}

fn check(order: &Order) {
    let placed = placed(order);
    for payment in &placed.payments {
        assert!(0 <= payment.refunded_minor && payment.refunded_minor <= payment.captured_minor, "{payment:?}");
        assert!(payment.captured_minor <= payment.amount_minor, "{payment:?}");
    }
    // Taken from the first on: one is used up before the next is touched.
    let mut used_up = placed.payments.iter().skip_while(|it| it.captured_minor == it.amount_minor);
    used_up.next();
    assert!(used_up.all(|payment| payment.captured_minor == 0), "{:?}", placed.payments);
    let json = serde_json::to_string(order).unwrap();
    let mut read: Order = serde_json::from_str(&json).unwrap();
    if let (Order::Placed(read), Order::Placed(order)) = (&mut read, order) {
        for (read, order) in read.refunds.iter_mut().zip(&order.refunds) {
            read.reference.clone_from(&order.reference);
        }
    }
    assert_eq!(&read, order);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_is_paid_with_and_however_it_is_sent_all_of_it_is_taken_and_all_of_it_goes_back(
        amounts in prop::collection::vec((0..2_000_i64, any::<bool>()), 1..6),
        sent in prop::collection::vec(1..4_u32, 0..6),
        refunds in prop::collection::vec(1..3_000_i64, 0..6),
        cancel in any::<bool>(),
    ) {
        let mut order = with_payments(&amounts);
        let total: i64 = amounts.iter().map(|(amount, _)| amount).sum();
        for (nth, quantity) in sent.iter().enumerate() {
            let quantity = placed(&order).unshipped().first().map_or(0, |it| it.quantity.min(*quantity));
            if quantity > 0 {
                evolve(&mut order, shipped(&format!("s-{nth}"), quantity));
            }
            // What goes back is asked for while some is not taken yet, and made after that.
            if let Some(amount) = refunds.get(nth) {
                let _ = decide(&order, wants_back(&format!("f-{nth}"), *amount))
                    .map(|events| events.into_iter().for_each(|event| evolve(&mut order, event)));
            }
            capture_all(&mut order);
            check(&order);
        }
        let rest = placed(&order).unshipped();
        if let Some(rest) = rest.first() {
            if cancel && !placed(&order).shipments.is_empty() {
                does(&mut order, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
            } else {
                evolve(&mut order, shipped("rest", rest.quantity));
            }
            capture_all(&mut order);
        }
        check(&order);
        let cancelled = placed(&order).cancelled_minor();
        prop_assert_eq!(placed(&order).captured_minor(), total - cancelled);
        // The rest of each is let go of, or given back by a person.
        while let Some(payment) = placed(&order).next_rest_to_void() {
            let voided = PaymentVoided { payment_number: placed(&order).payment_name(payment.number), released_minor: None };
            does(&mut order, OrderCommand::RecordPaymentVoided(voided));
        }
        let left = placed(&order).refundable_minor(false);
        if left > 0 {
            does(&mut order, wants_back("all", left));
        }
        while let Some(refund) = placed(&order).unsettled_refund() {
            let name = placed(&order).payment_name(refund.payment_number);
            let made = refunded(refund.id.as_str(), name, refund.amount_minor);
            does(&mut order, OrderCommand::RecordPaymentRefunded(made));
        }
        while let Some(number) = placed(&order).payments_at(SagaStep::RefundManually).first().copied() {
            let name = placed(&order).payment_name(number);
            does(&mut order, transferred(name));
        }
        check(&order);
        prop_assert_eq!(placed(&order).refunded_minor(), placed(&order).captured_minor());
        prop_assert_eq!(placed(&order).held_minor(), 0);
    }

    #[test]
    fn several_payments_cost_what_one_does(first in 0..=8_000_i64, quantity in 1..=10_u32) {
        let (one, two) = (with_payments(&[(8_000, false)]), with_payments(&[(first, false), (8_000 - first, false)]));
        let mut orders = [one, two];
        let taken = orders.each_mut().map(|order| {
            evolve(order, shipped("s", quantity));
            capture_all(order);
            (placed(order).captured_minor(), placed(order).counts(1).settled)
        });
        prop_assert_eq!(taken[0], taken[1]);
    }
}
