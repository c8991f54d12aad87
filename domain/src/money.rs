//! Money: integer minor units with their currency, parsed from decimal text and never through a float.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decimal::{InvalidDecimal, check_decimal, parse_decimal, write_decimal};

/// An ISO 4217 currency that has minor units.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("pattern" = "^[A-Z]{3}$")))]
#[serde(try_from = "String", into = "String")]
pub struct Currency {
    known: iso_currency::Currency,
    exponent: u8,
}

/// A code that is no currency with minor units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 currency code in capitals, like USD")]
pub struct InvalidCurrency;

impl Currency {
    /// Parses a code like `USD`. Codes without minor units (gold, "no currency") are refused.
    pub fn parse(code: &str) -> Result<Self, InvalidCurrency> {
        let known = iso_currency::Currency::from_code(code).ok_or(InvalidCurrency)?;
        // Some(4) is CLF's, the largest there is.
        let exponent = known.exponent().and_then(|digits| u8::try_from(digits).ok()).ok_or(InvalidCurrency)?;
        Ok(Self { known, exponent })
    }

    pub fn code(self) -> &'static str {
        self.known.code()
    }

    /// How many decimals its amounts have: JPY 0, USD 2, KWD 3.
    pub fn exponent(self) -> u8 {
        self.exponent
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(code: String) -> Result<Self, InvalidCurrency> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// An amount of one currency. Arithmetic is checked: what does not fit is `None`, never a wrong amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// Not a decimal number.
    #[error("must be a decimal number, like 129.99")]
    NotANumber,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// More decimals than the currency has.
    #[error("has more decimals than the {allowed} that {currency} has")]
    TooManyDecimals {
        /// The currency the amount was read in.
        currency: Currency,
        /// How many decimals it has.
        allowed: u8,
    },
    /// Larger than any amount that can be kept.
    #[error("is larger than any amount that can be kept")]
    TooLarge,
}

impl Money {
    /// An amount from minor units (cents, yen, fils).
    pub fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads a decimal like `129.99`, `-0` or `1.2999e2` (JSON's grammar for numbers) exactly.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, InvalidAmount> {
        let minor = parse_decimal(text, currency.exponent).map_err(|error| match error {
            InvalidDecimal::NotANumber => InvalidAmount::NotANumber,
            InvalidDecimal::Negative => InvalidAmount::Negative,
            InvalidDecimal::TooManyDecimals => InvalidAmount::TooManyDecimals { currency, allowed: currency.exponent },
            InvalidDecimal::TooLarge => InvalidAmount::TooLarge,
        })?;
        Ok(Self { minor, currency })
    }

    /// Checks a text as an amount of an unknown currency.
    pub(crate) fn check(text: &str) -> Result<(), InvalidAmount> {
        check_decimal(text).map_err(|error| match error {
            InvalidDecimal::Negative => InvalidAmount::Negative,
            InvalidDecimal::NotANumber | InvalidDecimal::TooManyDecimals | InvalidDecimal::TooLarge => {
                InvalidAmount::NotANumber
            }
        })
    }

    /// The amount in minor units.
    pub fn minor(self) -> i64 {
        self.minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The sum; `None` if the currencies differ or it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let same = self.currency == other.currency;
        same.then_some(())?;
        Some(Self { minor: self.minor.checked_add(other.minor)?, ..self })
    }

    /// The multiple; `None` if it does not fit.
    pub fn checked_mul(self, times: u32) -> Option<Self> {
        Some(Self { minor: self.minor.checked_mul(i64::from(times))?, ..self })
    }
}

/// The amount alone, with as many decimals as its currency has: `129.99`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.minor, self.currency.exponent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn amounts_are_read_by_the_currencys_decimals() {
        for (text, code, minor) in [
            ("129.99", "USD", 12_999),
            ("130.0", "USD", 13_000),
            ("130", "USD", 13_000),
            ("1.2999e2", "USD", 12_999),
            ("12999E-2", "USD", 12_999),
            ("0", "JPY", 0),
            ("-0.00", "USD", 0),
            ("500", "JPY", 500),
            ("1.234", "KWD", 1_234),
            ("92233720368547758.07", "USD", i64::MAX),
        ] {
            assert_eq!(Money::parse(text, currency(code)).map(Money::minor), Ok(minor), "{text} {code}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_reason() {
        let usd = currency("USD");
        let decimals = InvalidAmount::TooManyDecimals { currency: usd, allowed: 2 };
        for (text, error) in [
            ("", InvalidAmount::NotANumber),
            ("NaN", InvalidAmount::NotANumber),
            ("+1", InvalidAmount::NotANumber),
            ("01", InvalidAmount::NotANumber),
            ("1.", InvalidAmount::NotANumber),
            (".5", InvalidAmount::NotANumber),
            ("1e", InvalidAmount::NotANumber),
            (" 1", InvalidAmount::NotANumber),
            ("1,50", InvalidAmount::NotANumber),
            ("٣", InvalidAmount::NotANumber),
            ("-0.01", InvalidAmount::Negative),
            ("0.001", decimals),
            ("1e-3", decimals),
            ("1e-99999999999999999999", decimals),
            ("1e400", InvalidAmount::TooLarge),
            ("1e99999999999999999999", InvalidAmount::TooLarge),
            ("92233720368547758.08", InvalidAmount::TooLarge),
        ] {
            assert_eq!(Money::parse(text, usd), Err(error), "{text:?}");
        }
        assert!(Money::parse("1.5", currency("JPY")).is_err());
    }

    #[test]
    fn only_currencies_with_minor_units_are_known() {
        for code in ["ZZZ", "usd", "", "US", "XXX", "XAU", "USDX"] {
            assert_eq!(Currency::parse(code), Err(InvalidCurrency), "{code}");
        }
        assert_eq!(["JPY", "USD", "KWD"].map(|code| currency(code).exponent()), [0, 2, 3]);
    }

    #[test]
    fn sums_that_do_not_fit_or_mix_currencies_are_none() {
        let most = Money::from_minor(i64::MAX, currency("USD"));
        assert_eq!(most.checked_add(Money::from_minor(1, currency("USD"))), None);
        assert_eq!(most.checked_mul(2), None);
        assert_eq!(Money::from_minor(1, currency("USD")).checked_add(Money::from_minor(1, currency("EUR"))), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(minor in 0..=i64::MAX, code in prop::sample::select(vec!["JPY", "USD", "KWD", "CLF"])) {
            let money = Money::from_minor(minor, currency(code));
            prop_assert_eq!(Money::parse(&money.to_string(), currency(code)), Ok(money));
        }

        #[test]
        fn no_text_panics(text in "\\PC*", code in prop::sample::select(vec!["JPY", "USD", "KWD"])) {
            let _ = Money::parse(&text, currency(code));
        }

        #[test]
        fn any_number_is_read_exactly_or_refused(whole in 0_u64..1_000_000_000_000, cents in 0_u32..100, shift in -20_i32..20) {
            // The same amount written with its point elsewhere.
            let digits = whole * 100 + u64::from(cents);
            let text = format!("{digits}e{}", shift - 2);
            let scale = 10_u64.checked_pow(shift.unsigned_abs());
            let minor = match (digits, scale) {
                (0, _) => Some(0),
                (_, None) => None,
                (_, Some(scale)) if shift >= 0 => digits.checked_mul(scale),
                // Zeros at the end are no decimals.
                (_, Some(scale)) => (digits % scale == 0).then_some(digits / scale),
            };
            let expected = minor.and_then(|minor| i64::try_from(minor).ok());
            let read = Money::parse(&text, currency("USD")).ok().map(Money::minor);
            prop_assert_eq!(read, expected, "{}", text);
        }
    }
}
