//! Converts amounts to Stripe's.

use crate::PaymentError;

/// Converts ISO 4217 minor units to Stripe's. They differ for a few currencies only.
pub(super) fn stripe_amount(amount_minor: i64, currency: &str) -> Result<i64, PaymentError> {
    let refused = |why: &str| PaymentError::refused(format!("{amount_minor} minor units of {currency}: {why}"));
    if amount_minor < 1 {
        return Err(refused("must be at least 1"));
    }
    match currency {
        // No decimals in the standard, two at Stripe.
        "ISK" | "UGX" => amount_minor.checked_mul(100).ok_or_else(|| refused("too large")),
        // Two decimals in the standard, none at Stripe.
        "MGA" if amount_minor % 100 == 0 => Ok(amount_minor / 100),
        "MGA" => Err(refused("Stripe takes whole ones only")),
        // Three decimals in both, but Stripe wants the last to be zero.
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" if amount_minor % 10 != 0 => Err(refused("Stripe takes tens only")),
        _ => Ok(amount_minor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_go_as_they_are_but_where_stripe_counts_differently() {
        let amounts = [("USD", 1), ("JPY", 129), ("KWD", 1_230), ("ISK", 5), ("MGA", 700)];
        let taken = amounts.map(|(currency, amount)| stripe_amount(amount, currency).unwrap());
        assert_eq!(taken, [1, 129, 1_230, 500, 7]);
    }

    #[test]
    fn what_stripe_would_not_take_is_refused_before_it_is_asked() {
        for (currency, amount) in [("USD", 0), ("USD", -1), ("KWD", 1_234), ("MGA", 750), ("ISK", i64::MAX)] {
            let refused = stripe_amount(amount, currency);
            assert!(matches!(refused, Err(PaymentError::Refused { .. })), "{currency} {amount}: {refused:?}");
        }
    }
}
