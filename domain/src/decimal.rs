//! Decimal numbers, read exactly into integers: never through a float.

use std::fmt;

/// Why a text is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidDecimal {
    NotANumber,
    /// Below zero.
    Negative,
    TooManyDecimals,
    /// Larger than what can be kept.
    TooLarge,
}

/// The integer that a decimal like `129.99`, `-0` or `1.2999e2` (JSON's grammar for numbers) is in units of 10^-`decimals`. What counts is
/// its value: zeros at the end are no decimals.
pub(crate) fn parse_decimal(text: &str, decimals: u8) -> Result<i64, InvalidDecimal> {
    let value = parse_signed_decimal(text, decimals)?;
    if value < 0 { Err(InvalidDecimal::Negative) } else { Ok(value) }
}

/// The same of a decimal that may be below zero.
pub(crate) fn parse_signed_decimal(text: &str, decimals: u8) -> Result<i64, InvalidDecimal> {
    let parts = DecimalParts::parse(text).ok_or(InvalidDecimal::NotANumber)?;
    let zeros = i64::from(decimals) - parts.scale;
    if zeros < 0 && !parts.is_zero() {
        return Err(InvalidDecimal::TooManyDecimals);
    }
    let value = parts.shifted_by(zeros).ok_or(InvalidDecimal::TooLarge)?;
    Ok(if parts.negative { -value } else { value })
}

/// Checks a text as a decimal of which it is not known how many decimals it may have.
pub(crate) fn check_decimal(text: &str) -> Result<(), InvalidDecimal> {
    let parts = DecimalParts::parse(text).ok_or(InvalidDecimal::NotANumber)?;
    if parts.negative && !parts.is_zero() { Err(InvalidDecimal::Negative) } else { Ok(()) }
}

/// Writes an integer of 10^-`decimals` with all its decimals: `129.90`.
pub(crate) fn write_decimal(f: &mut impl fmt::Write, value: i64, decimals: u8) -> fmt::Result {
    let unit = 10_u64.pow(u32::from(decimals));
    let sign = if value < 0 { "-" } else { "" };
    let (value, width) = (value.unsigned_abs(), usize::from(decimals));
    match width {
        0 => write!(f, "{sign}{value}"),
        _ => write!(f, "{sign}{}.{:0width$}", value / unit, value % unit),
    }
}

/// An integer of 10^-`decimals` as text, without zeros at its end: `0.08`.
pub(crate) fn shortest_decimal(value: i64, decimals: u8) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = write_decimal(&mut text, value, decimals);
    if decimals > 0 {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text
}

/// The parts of a decimal number: its digits × 10^-`scale`. The last digit is no zero.
struct DecimalParts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    scale: i64,
}

impl<'a> DecimalParts<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !is_digits(whole) || leading_zero {
            return None;
        }
        let given = whole.len();
        let fraction = fraction.trim_end_matches('0');
        let whole = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        let left_out = i64::try_from(given - whole.len()).ok()?;
        let scale = i64::try_from(fraction.len()).ok()? - left_out - exponent.map_or(Some(0), parse_exponent)?;
        Some(Self { negative, whole, fraction, scale })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == b'0')
    }

    /// The integer of the digits and so many zeros; `None` if it does not fit.
    fn shifted_by(&self, zeros: i64) -> Option<i64> {
        let unshifted =
            self.digits().try_fold(0_i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')))?;
        if unshifted == 0 {
            return Some(0);
        }
        unshifted.checked_mul(10_i64.checked_pow(u32::try_from(zeros).ok()?)?)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The exponent of a number. It is capped far beyond anything that fits.
fn parse_exponent(text: &str) -> Option<i64> {
    const CAP: i64 = 1_000_000;
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    is_digits(digits).then(|| sign * digits.parse().map_or(CAP, |size: i64| size.min(CAP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_are_no_decimals() {
        for (text, value) in [
            ("1.2350", Ok(1_235)),
            ("1.23500000000000000000000000", Ok(1_235)),
            ("-1.50", Ok(-1_500)),
            ("1200", Ok(1_200_000)),
            ("1200e-4", Ok(120)),
            ("12000e-7", Err(InvalidDecimal::TooManyDecimals)),
            ("0.0000", Ok(0)),
            ("0e-9", Ok(0)),
            ("1.2351", Err(InvalidDecimal::TooManyDecimals)),
            ("1.00010", Err(InvalidDecimal::TooManyDecimals)),
        ] {
            assert_eq!(parse_signed_decimal(text, 3), value, "{text}");
        }
    }

    #[test]
    fn decimals_are_written_as_short_as_can_be() {
        for (value, decimals, text) in
            [(8, 2, "0.08"), (80_000, 6, "0.08"), (1_000, 3, "1"), (0, 4, "0"), (100, 0, "100"), (1_235, 3, "1.235")]
        {
            assert_eq!(shortest_decimal(value, decimals), text);
            assert_eq!(parse_decimal(text, decimals), Ok(value));
        }
    }
}
