//! The price of a unit of goods. It can be finer than the smallest amount that is paid.

use std::fmt;

use crate::decimal::{InvalidDecimal, parse_decimal, write_decimal};
use crate::money::{Currency, InvalidAmount};

/// How many decimals the price of a unit of measure can have, or more if the currency has more.
const DECIMALS: u8 = 4;
/// The smallest part of a minor unit that is kept.
const PER_MINOR: i64 = 10_000;

/// The price of one piece, or of one unit of measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitPrice {
    /// Whole minor units of the currency.
    pub minor: i64,
    /// The rest, in ten-thousandths of a minor unit.
    pub ten_thousandths: u32,
    pub currency: Currency,
}

/// Why a text is no price of a unit of measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUnitPrice {
    #[error(transparent)]
    Amount(#[from] InvalidAmount),
    /// More decimals than are kept.
    #[error("has more decimals than the {DECIMALS} that the price of a unit of measure can have")]
    TooManyDecimals,
}

impl UnitPrice {
    /// Reads the price of a unit of measure: a decimal like `3.1250`.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, InvalidUnitPrice> {
        let decimals = DECIMALS.max(currency.exponent());
        let value = parse_decimal(text, decimals).map_err(|error| match error {
            InvalidDecimal::NotANumber => InvalidUnitPrice::Amount(InvalidAmount::NotANumber),
            InvalidDecimal::Negative => InvalidUnitPrice::Amount(InvalidAmount::Negative),
            InvalidDecimal::TooManyDecimals => InvalidUnitPrice::TooManyDecimals,
            InvalidDecimal::TooLarge => InvalidUnitPrice::Amount(InvalidAmount::TooLarge),
        })?;
        let in_minor = 10_i64.pow(u32::from(decimals - currency.exponent()));
        let rest = value % in_minor * (PER_MINOR / in_minor);
        let ten_thousandths = u32::try_from(rest).map_err(|_| InvalidAmount::TooLarge)?;
        Ok(Self { minor: value / in_minor, ten_thousandths, currency })
    }
}

/// What so many thousandths of a unit of measure cost at a price per unit (minor units, and ten-thousandths of one), in minor units. It is
/// rounded half to even.
pub(crate) fn price_of_thousandths(minor: i64, ten_thousandths: u32, thousandths: u32) -> i128 {
    let price = i128::from(minor) * i128::from(PER_MINOR) + i128::from(ten_thousandths);
    let (exact, unit) = (price * i128::from(thousandths), i128::from(PER_MINOR) * 1_000);
    let (whole, rest) = (exact.div_euclid(unit), exact.rem_euclid(unit));
    let is_up = rest * 2 > unit || (rest * 2 == unit && whole % 2 != 0);
    whole + i128::from(is_up)
}

/// The price alone, with at least as many decimals as its currency has: `3.125`, `3.10`.
impl fmt::Display for UnitPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.minor, self.currency.exponent())?;
        if self.ten_thousandths == 0 {
            return Ok(());
        }
        let rest = format!("{:04}", self.ten_thousandths);
        let point = if self.currency.exponent() == 0 { "." } else { "" };
        write!(f, "{point}{}", rest.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str, code: &str) -> Result<UnitPrice, InvalidUnitPrice> {
        UnitPrice::parse(text, Currency::parse(code).unwrap())
    }

    #[test]
    fn a_price_is_kept_to_the_fourth_decimal() {
        for (text, code, minor, ten_thousandths, shown) in [
            ("3.1250", "EUR", 312, 5_000, "3.125"),
            ("3.1", "EUR", 310, 0, "3.10"),
            ("0.0001", "EUR", 0, 100, "0.0001"),
            ("0.1234", "JPY", 0, 1_234, "0.1234"),
            ("120", "JPY", 120, 0, "120"),
            ("1.2345", "KWD", 1_234, 5_000, "1.2345"),
            ("1.2345", "CLF", 12_345, 0, "1.2345"),
            ("31.25e-1", "EUR", 312, 5_000, "3.125"),
        ] {
            let read = price(text, code).unwrap();
            assert_eq!((read.minor, read.ten_thousandths), (minor, ten_thousandths), "{text} {code}");
            assert_eq!(read.to_string(), shown);
        }
        assert_eq!(price("0.00001", "EUR"), Err(InvalidUnitPrice::TooManyDecimals));
        assert_eq!(price("-1", "EUR"), Err(InvalidAmount::Negative.into()));
        assert_eq!(price("x", "EUR"), Err(InvalidAmount::NotANumber.into()));
        assert_eq!(price("922337203685477.5808", "EUR"), Err(InvalidAmount::TooLarge.into()));
    }

    #[test]
    fn what_some_of_it_costs_is_rounded_once_and_half_to_even() {
        for (text, thousandths, minor) in [
            // 3.859375
            ("3.1250", 1_235, 386),
            ("0.01", 500, 0),
            ("0.03", 500, 2),
            ("0.05", 500, 2),
            ("0.05", 501, 3),
            ("0.05", 499, 2),
            ("1.00", 1_000, 100),
            ("0.0001", 1, 0),
            ("0.0001", 50_000, 0),
            ("0.0001", 150_000, 2),
        ] {
            let UnitPrice { minor: whole, ten_thousandths, .. } = price(text, "EUR").unwrap();
            assert_eq!(price_of_thousandths(whole, ten_thousandths, thousandths), minor, "{thousandths} at {text}");
        }
        let most = price_of_thousandths(92_233_720_368_547_758, 700, 1_000_000_000);
        assert_eq!(most, 92_233_720_368_547_758_070_000);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value in 0..=i64::MAX, code in prop::sample::select(vec!["JPY", "USD", "KWD", "CLF"])) {
            let mut text = String::new();
            write_decimal(&mut text, value, DECIMALS).unwrap();
            let read = price(&text, code).unwrap();
            prop_assert_eq!(price(&read.to_string(), code), Ok(read));
        }

        #[test]
        fn a_price_by_measure_is_never_off_by_more_than_half_a_minor_unit(minor in 0..1_000_000_000_i64, rest in 0..10_000_u32, thousandths in 1..=1_000_000_000_u32) {
            let exact = (i128::from(minor) * 10_000 + i128::from(rest)) * i128::from(thousandths);
            let rounded = price_of_thousandths(minor, rest, thousandths);
            let off = (rounded * 10_000_000 - exact).abs();
            prop_assert!(off < 5_000_000 || (off == 5_000_000 && rounded % 2 == 0));
        }
    }
}
