//! The language of a printed document: its labels, and how numbers and days are written.

use chrono::{Datelike, NaiveDate};
use domain::document::{DocumentIssued, DocumentKind};
use domain::money::Money;

/// The labels of a language, and how it writes numbers.
pub(super) struct DocumentLanguage {
    /// As a tag (BCP 47).
    pub(super) tag: &'static str,
    invoice: &'static str,
    credit_note: &'static str,
    pub(super) tax_id: &'static str,
    pub(super) date_of_issue: &'static str,
    pub(super) date_of_supply: &'static str,
    pub(super) order: &'static str,
    pub(super) corrects: &'static str,
    pub(super) reason: &'static str,
    pub(super) all_amounts_in: &'static str,
    pub(super) description: &'static str,
    pub(super) quantity: &'static str,
    pub(super) unit_price: &'static str,
    pub(super) discount: &'static str,
    pub(super) net: &'static str,
    pub(super) tax: &'static str,
    pub(super) total: &'static str,
    pub(super) credited: &'static str,
    /// Between a tax and what it is taken of.
    pub(super) of: &'static str,
    page: &'static str,
    page_of: &'static str,
    decimal_separator: char,
    /// Between thousands.
    group_separator: Option<char>,
    /// Whether days are written `30.11.2026`. Otherwise as ISO 8601 has them.
    has_days_first: bool,
}

const ENGLISH: DocumentLanguage = DocumentLanguage {
    tag: "en",
    invoice: "Invoice",
    credit_note: "Credit note",
    tax_id: "Tax ID",
    date_of_issue: "Date of issue",
    date_of_supply: "Date of supply",
    order: "Order",
    corrects: "Corrects",
    reason: "Reason",
    all_amounts_in: "All amounts in",
    description: "Description",
    quantity: "Quantity",
    unit_price: "Unit price",
    discount: "Discount",
    net: "Net",
    tax: "Tax",
    total: "Total",
    credited: "Credited",
    of: "of",
    page: "Page",
    page_of: "of",
    decimal_separator: '.',
    group_separator: None,
    has_days_first: false,
};

const GERMAN: DocumentLanguage = DocumentLanguage {
    tag: "de",
    invoice: "Rechnung",
    credit_note: "Rechnungskorrektur",
    tax_id: "Steuernummer",
    date_of_issue: "Rechnungsdatum",
    date_of_supply: "Lieferdatum",
    order: "Bestellung",
    corrects: "Korrigiert",
    reason: "Grund",
    all_amounts_in: "Alle Beträge in",
    description: "Bezeichnung",
    quantity: "Menge",
    unit_price: "Einzelpreis",
    discount: "Nachlass",
    net: "Netto",
    tax: "Steuer",
    total: "Gesamt",
    credited: "Gutgeschrieben",
    of: "auf",
    page: "Seite",
    page_of: "von",
    decimal_separator: ',',
    group_separator: Some('.'),
    has_days_first: true,
};

impl DocumentLanguage {
    /// That of the document's reader, or else English.
    pub(super) fn of(document: &DocumentIssued) -> &'static Self {
        let tag = document.locale.as_ref().map(|locale| locale.as_str().to_ascii_lowercase());
        match tag.as_deref().and_then(|tag| tag.split('-').next()) {
            Some("de") => &GERMAN,
            Some(_) | None => &ENGLISH,
        }
    }

    pub(super) fn name_of(&self, kind: DocumentKind) -> &'static str {
        match kind {
            DocumentKind::Invoice => self.invoice,
            DocumentKind::CreditNote => self.credit_note,
        }
    }

    pub(super) fn page(&self, nth: usize, count: usize) -> String {
        format!("{} {nth} {} {count}", self.page, self.page_of)
    }

    pub(super) fn day(&self, day: NaiveDate) -> String {
        if self.has_days_first {
            format!("{:02}.{:02}.{}", day.day(), day.month(), day.year())
        } else {
            day.to_string()
        }
    }

    pub(super) fn money(&self, money: Money) -> String {
        self.number(&money.to_string())
    }

    /// A decimal number as it is stored, such as `-1234.5`.
    pub(super) fn number(&self, decimal: &str) -> String {
        let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal), |digits| ("-", digits));
        let (whole, decimals) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
        let mut text = sign.to_owned();
        for (nth, digit) in whole.char_indices() {
            if nth > 0 && (whole.len() - nth).is_multiple_of(3) {
                text.extend(self.group_separator);
            }
            text.push(digit);
        }
        if let Some(decimals) = decimals {
            text.push(self.decimal_separator);
            text.push_str(decimals);
        }
        text
    }

    /// A rate such as `0.19` as `19 %`.
    pub(super) fn percent(&self, rate: &str) -> String {
        let (whole, decimals) = rate.split_once('.').unwrap_or((rate, ""));
        let decimals = format!("{decimals:0<2}");
        let (hundredths, rest) = decimals.split_at_checked(2).unwrap_or((&decimals, ""));
        let number = format!("{whole}{hundredths}");
        let number = match number.trim_start_matches('0') {
            "" => "0",
            number => number,
        };
        let percent = match rest.trim_end_matches('0') {
            "" => number.to_owned(),
            rest => format!("{number}.{rest}"),
        };
        format!("{} %", self.number(&percent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_percentage() {
        for (rate, english, german) in [
            ("0", "0 %", "0 %"),
            ("0.19", "19 %", "19 %"),
            ("0.055", "5.5 %", "5,5 %"),
            ("0.1", "10 %", "10 %"),
            ("0.007", "0.7 %", "0,7 %"),
            ("1", "100 %", "100 %"),
            ("2.5", "250 %", "250 %"),
            ("0.08875", "8.875 %", "8,875 %"),
        ] {
            assert_eq!((ENGLISH.percent(rate).as_str(), GERMAN.percent(rate).as_str()), (english, german));
        }
    }

    #[test]
    fn numbers_and_days_are_written_as_the_language_has_them() {
        for (number, german) in [
            ("0.05", "0,05"),
            ("123", "123"),
            ("-1234.50", "-1.234,50"),
            ("1234567", "1.234.567"),
            ("3.1250", "3,1250"),
        ] {
            assert_eq!((ENGLISH.number(number).as_str(), GERMAN.number(number).as_str()), (number, german));
        }
        let day = "2026-11-05".parse().unwrap();
        assert_eq!((ENGLISH.day(day).as_str(), GERMAN.day(day).as_str()), ("2026-11-05", "05.11.2026"));
    }
}
