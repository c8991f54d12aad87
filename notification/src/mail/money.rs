//! Formats amounts for people.

/// `1234567.50` and `USD` give `1,234,567.50 USD`.
pub(super) fn amount(decimal: &str, currency: &str) -> String {
    let (sign, unsigned) = match decimal.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", decimal),
    };
    let (whole, decimals) = match unsigned.find('.') {
        Some(point) => unsigned.split_at(point),
        None => (unsigned, ""),
    };
    let mut grouped = String::with_capacity(whole.len() * 4 / 3);
    for (nth, digit) in whole.chars().enumerate() {
        if nth > 0 && (whole.chars().count() - nth) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{decimals} {currency}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_and_decimals_stay() {
        for (decimal, read) in [
            ("0", "0 JPY"),
            ("999", "999 JPY"),
            ("1000", "1,000 JPY"),
            ("129.99", "129.99 JPY"),
            ("1234567.500", "1,234,567.500 JPY"),
            ("-1000.00", "-1,000.00 JPY"),
        ] {
            assert_eq!(amount(decimal, "JPY"), read);
        }
    }
}
