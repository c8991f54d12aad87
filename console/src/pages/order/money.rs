//! The money of an order as a bar.

use domain::money::{Currency, Money};

use super::answers::OrderAnswer;
use crate::pages::Amount;

/// What became of an order's total.
pub(super) struct MoneyBar {
    pub(super) parts: Vec<MoneyPart>,
    pub(super) total: String,
}

/// A part of the total. Places are thousandths of the bar.
pub(super) struct MoneyPart {
    pub(super) name: &'static str,
    pub(super) amount: String,
    pub(super) from: i64,
    pub(super) length: i64,
}

impl MoneyBar {
    /// `None`: the reader sees nothing of payments, or the order's amounts can't be read.
    pub(super) fn of(order: &OrderAnswer) -> Option<Self> {
        let status = order.payment_status.as_ref()?;
        let currency = Currency::parse(order.total.currency.as_str()).ok()?;
        let minor = |amount: Option<&Amount>| -> Option<i64> {
            amount.map_or(Some(0), |amount| Some(Money::parse(amount.amount.as_str(), currency).ok()?.minor()))
        };
        let total = minor(Some(&order.total))?;
        let captured = minor(order.captured.as_ref())?;
        let refunded = minor(order.refunded.as_ref())?.min(captured);
        let cancelled = minor(order.cancelled.as_ref())?;
        let rest = total.saturating_sub(captured).max(0);
        let not_due = cancelled.min(rest);
        let due = rest - not_due;
        // What is held of a payment is what it has and was not captured of it.
        let mut held = 0_i64;
        for payment in &order.payments {
            if matches!(payment.status.as_str(), "authorized" | "partiallyCaptured" | "partiallyRefunded") {
                let rest = minor(Some(&payment.amount))?.saturating_sub(minor(Some(&payment.captured))?);
                held = held.saturating_add(rest.max(0));
            }
        }
        // An order that was placed without payments has one for all of it, which is not listed.
        if order.payments.is_empty()
            && matches!(status.as_str(), "authorized" | "partiallyCaptured" | "partiallyRefunded")
        {
            held = due;
        }
        let held = held.min(due);
        let is_over = matches!(order.status.as_str(), "rejected" | "cancelled")
            || matches!(status.as_str(), "declined" | "voided");
        let parts = [
            ("kept", captured.saturating_sub(refunded)),
            ("refunded", refunded),
            ("authorized", held),
            // Nobody is going to pay it where nothing will be sent.
            (if is_over { "void" } else { "open" }, due - held),
            ("cancelled", not_due),
        ];
        // More than the total may have been captured.
        let whole = total.max(captured).max(1);
        let mut from = 0;
        let part = |(name, minor): (&'static str, i64)| {
            let length = thousandths(minor, whole);
            let part = MoneyPart { name, amount: shown(minor, currency), from, length };
            from += length;
            part
        };
        let parts = parts.into_iter().filter(|(_, minor)| *minor > 0).map(part).collect();
        Some(Self { parts, total: shown(total, currency) })
    }
}

fn shown(minor: i64, currency: Currency) -> String {
    format!("{} {}", Money::from_minor(minor, currency), currency.code())
}

fn thousandths(minor: i64, whole: i64) -> i64 {
    i64::try_from(i128::from(minor) * 1_000 / i128::from(whole)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(order: &serde_json::Value) -> Vec<(&'static str, String, i64)> {
        let mut whole = json!({ "orderId": "o", "status": "confirmed", "version": 1, "createdAt": "2026-11-30T10:00:00Z",
            "updatedAt": "2026-11-30T10:00:00Z", "total": { "amount": "100.00", "currency": "EUR" } });
        whole.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
        let bar = MoneyBar::of(&serde_json::from_value(whole).unwrap());
        bar.map(|bar| bar.parts.into_iter().map(|part| (part.name, part.amount, part.length)).collect())
            .unwrap_or_default()
    }

    fn eur(amount: &str) -> serde_json::Value {
        json!({ "amount": amount, "currency": "EUR" })
    }

    #[test]
    fn the_parts_of_the_bar_are_the_total() {
        let payment = |status: &str, amount: &str, captured: &str| json!({ "paymentNumber": 1, "amount": eur(amount), "status": status, "captured": eur(captured), "refunded": eur("0.00") });
        let held =
            parts(&json!({ "paymentStatus": "authorized", "payments": [payment("authorized", "100.00", "0.00")] }));
        assert_eq!(held, [("authorized", "100.00 EUR".to_owned(), 1_000)]);
        let first = payment("captured", "60.00", "60.00");
        let more = parts(&json!({ "paymentStatus": "partiallyCaptured", "captured": eur("60.00"),
            "payments": [first, payment("none", "40.00", "0.00")] }));
        assert_eq!(more, [("kept", "60.00 EUR".to_owned(), 600), ("open", "40.00 EUR".into(), 400)]);
        for over in [
            json!({ "status": "rejected", "paymentStatus": "declined", "payments": [payment("declined", "100.00", "0.00")] }),
            json!({ "status": "cancelled", "paymentStatus": "voided" }),
        ] {
            assert_eq!(parts(&over), [("void", "100.00 EUR".to_owned(), 1_000)]);
        }
        let some = parts(
            &json!({ "paymentStatus": "partiallyRefunded", "captured": eur("60.00"), "refunded": eur("15.00"), "cancelled": eur("40.00") }),
        );
        let expected = [
            ("kept", "45.00 EUR".to_owned(), 450),
            ("refunded", "15.00 EUR".into(), 150),
            ("cancelled", "40.00 EUR".into(), 400),
        ];
        assert_eq!(some, expected);
        // Placed without payments: there is one, for all of it.
        assert_eq!(parts(&json!({ "paymentStatus": "authorized" })), held);
        let open = parts(&json!({ "paymentStatus": "none" }));
        assert_eq!(open, [("open", "100.00 EUR".to_owned(), 1_000)]);
    }

    #[test]
    fn who_sees_nothing_of_payments_sees_no_bar() {
        assert!(parts(&json!({})).is_empty());
    }
}
