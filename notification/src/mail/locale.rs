//! The languages that mails are written in, each a folder of `templates`, and how its readers write numbers and dates.

use askama::Template;
use chrono::{Datelike, NaiveDate};
use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;
use icu_locale_core::Locale;
use messaging::{NotificationTemplate, RejectionCause};

use super::MailContent;
use super::order::OrderInMail;

/// A language with its templates. `build.rs` makes one of each folder.
pub(crate) struct MailLocale {
    /// The folder's name, a language tag (BCP 47).
    pub(crate) tag: &'static str,
    mail: fn(NotificationTemplate, &OrderInMail) -> Result<MailContent, askama::Error>,
    money: fn(&MoneyInMail<'_>) -> Result<String, askama::Error>,
    date: fn(&DateInMail) -> Result<String, askama::Error>,
    rejection: fn(&RejectionInMail<'_>) -> Result<String, askama::Error>,
    more_lines: fn(&MoreLinesInMail) -> Result<String, askama::Error>,
    waiting: fn(&WaitingInMail) -> Result<String, askama::Error>,
}

/// An amount, for the template `money.txt`.
struct MoneyInMail<'a> {
    /// As the language writes it, without a sign.
    number: &'a str,
    is_negative: bool,
    /// ISO 4217.
    currency: &'a str,
    /// Where the reader is, as their language tag says it (ISO 3166-1, or 001 for the world); empty: it does not say.
    region: &'a str,
}

/// A day, for the template `date.txt`.
struct DateInMail {
    day: u32,
    /// From 1.
    month: u32,
    year: i32,
}

/// Why the platform rejected an order, for the template `rejection.txt`.
struct RejectionInMail<'a> {
    code: &'a str,
    skus: String,
}

/// How many lines an order has beside those that the mail shows, for the template `more_lines.txt`.
struct MoreLinesInMail {
    count: u32,
    /// As the language writes it.
    number: String,
}

/// How much of a line is not in stock yet, for the template `waiting.txt`.
struct WaitingInMail {
    /// As the language writes it, with its unit if it has one.
    quantity: String,
    /// When it is expected, as the language writes it.
    date: Option<String>,
}

macro_rules! mail_locale {
    (
        $module:ident $tag:tt $money:tt $date:tt $rejection:tt $more_lines:tt $waiting:tt
        $($mail:ident $subject:tt $text:tt $html:tt)*
    ) => {
        mod $module {
            use super::*;

            #[derive(Template)]
            #[template(path = $money)]
            struct Money<'a> {
                money: &'a MoneyInMail<'a>,
            }

            #[derive(Template)]
            #[template(path = $date)]
            struct Date<'a> {
                date: &'a DateInMail,
            }

            #[derive(Template)]
            #[template(path = $rejection)]
            struct Rejection<'a> {
                cause: &'a RejectionInMail<'a>,
            }

            #[derive(Template)]
            #[template(path = $more_lines)]
            struct MoreLines<'a> {
                more: &'a MoreLinesInMail,
            }

            #[derive(Template)]
            #[template(path = $waiting)]
            struct Waiting<'a> {
                waiting: &'a WaitingInMail,
            }

            pub(super) const LOCALE: MailLocale = MailLocale {
                tag: $tag,
                mail,
                money: |money| Money { money }.render(),
                date: |date| Date { date }.render(),
                rejection: |cause| Rejection { cause }.render(),
                more_lines: |more| MoreLines { more }.render(),
                waiting: |waiting| Waiting { waiting }.render(),
            };

            fn mail(template: NotificationTemplate, order: &OrderInMail) -> Result<MailContent, askama::Error> {
                match template {
                    $(NotificationTemplate::$mail => {
                        #[derive(Template)]
                        #[template(path = $subject)]
                        struct Subject<'a> {
                            order: &'a OrderInMail,
                        }
                        #[derive(Template)]
                        #[template(path = $text)]
                        struct Text<'a> {
                            order: &'a OrderInMail,
                        }
                        #[derive(Template)]
                        #[template(path = $html)]
                        struct Html<'a> {
                            order: &'a OrderInMail,
                            lang: &'a str,
                            subject: &'a str,
                        }
                        let subject = Subject { order }.render()?;
                        let html = Html { order, lang: $tag, subject: &subject }.render()?;
                        Ok(MailContent { language: $tag, subject, text: Text { order }.render()?, html })
                    })*
                }
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/locales.rs"));

/// Writes for one reader: in a language that there is, with numbers as the reader's region has them.
pub(super) struct MailWriter {
    locale: &'static MailLocale,
    /// `None`: Unicode's data has nothing for the tag.
    numbers: Option<DecimalFormatter>,
    /// Empty: the tag has none.
    region: String,
}

impl MailWriter {
    /// For a reader of this language tag. It is looked up as RFC 4647 says: `de-AT` finds `de`, and whatever finds nothing is English.
    pub(super) fn for_reader(tag: Option<&str>) -> Self {
        let found = tag.and_then(|tag| Some((look_up(tag)?, tag)));
        let region = match (tag, found) {
            (Some(tag), None) => region_of(tag).unwrap_or_else(|| WORLD.to_owned()),
            (tag, _) => tag.and_then(region_of).unwrap_or_default(),
        };
        let (locale, tag) =
            found.or_else(|| look_up(FALLBACK).map(|locale| (locale, FALLBACK))).unwrap_or((LOCALES[0], FALLBACK));
        let numbers = Locale::try_from_str(tag).ok();
        let numbers = numbers.and_then(|locale| DecimalFormatter::try_new(locale.into(), Default::default()).ok());
        Self { locale, numbers, region }
    }

    /// The mail in the reader's language.
    pub(super) fn mail(
        &self,
        template: NotificationTemplate,
        order: &OrderInMail,
    ) -> Result<MailContent, askama::Error> {
        (self.locale.mail)(template, order)
    }

    /// A decimal such as `1234.50` as the reader writes it. What is none stays as it is.
    pub(super) fn number(&self, decimal: &str) -> String {
        let written = self.numbers.as_ref().zip(Decimal::try_from_str(decimal).ok());
        written.map_or_else(|| decimal.to_owned(), |(numbers, decimal)| numbers.format(&decimal).to_string())
    }

    /// An amount, with its currency.
    pub(super) fn money(&self, decimal: &str, currency: &str) -> String {
        let unsigned = decimal.strip_prefix('-');
        let number = self.number(unsigned.unwrap_or(decimal));
        let money = MoneyInMail { number: &number, is_negative: unsigned.is_some(), currency, region: &self.region };
        (self.locale.money)(&money).unwrap_or_else(|_| format!("{decimal} {currency}"))
    }

    /// The day of an RFC 3339 date or instant, where that is; `None`: it is neither.
    pub(super) fn date(&self, text: &str) -> Option<String> {
        let day: NaiveDate = text.get(..10)?.parse().ok()?;
        (self.locale.date)(&DateInMail { day: day.day(), month: day.month(), year: day.year() }).ok()
    }

    /// That there are more lines; `None`: there are none.
    pub(super) fn more_lines(&self, count: u32) -> Option<String> {
        let more = (count > 0).then(|| MoreLinesInMail { count, number: self.number(&count.to_string()) })?;
        Some((self.locale.more_lines)(&more).unwrap_or(more.number))
    }

    /// That so much of a line is not in stock yet, and the day on which it is expected (RFC 3339).
    pub(super) fn waiting(&self, quantity: String, expected_at: Option<&str>) -> String {
        let waiting = WaitingInMail { quantity, date: expected_at.and_then(|at| self.date(at)) };
        (self.locale.waiting)(&waiting).unwrap_or(waiting.quantity)
    }

    /// Why the platform rejected the order; `None`: the language has no words for that.
    pub(super) fn rejection(&self, cause: &RejectionCause) -> Option<String> {
        let cause = RejectionInMail { code: &cause.code, skus: cause.skus.join(", ") };
        (self.locale.rejection)(&cause).ok().filter(|words| !words.trim().is_empty())
    }
}

/// Whoever reads a language that there is none of is not in the region that English is written for.
const WORLD: &str = "001";

/// The region of a language tag.
fn region_of(tag: &str) -> Option<String> {
    Some(Locale::try_from_str(tag).ok()?.id.region?.to_string())
}

/// The language of a tag, or of what is left of it without its last parts.
pub(crate) fn look_up(tag: &str) -> Option<&'static MailLocale> {
    let mut range = tag;
    loop {
        let found = LOCALES.iter().find(|locale| locale.tag.eq_ignore_ascii_case(range));
        match (found, range.rsplit_once('-')) {
            (Some(locale), _) => return Some(locale),
            (None, Some((rest, _))) => range = rest,
            (None, None) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(tag: &str) -> MailWriter {
        MailWriter::for_reader(Some(tag))
    }

    #[test]
    fn a_language_is_found_by_its_tag_and_whoever_reads_none_that_there_is_gets_english() {
        for (tag, found) in [("de", "de"), ("de-AT", "de"), ("DE-ch", "de"), ("de-Latn-DE", "de"), ("en-GB", "en")] {
            assert_eq!(writer(tag).locale.tag, found, "{tag}");
        }
        for tag in ["fr", "fr-CA", "d", "deu", "", "-", "de_DE", "日本"] {
            assert_eq!(writer(tag).locale.tag, "en", "{tag:?}");
        }
        assert_eq!(MailWriter::for_reader(None).locale.tag, "en");
    }

    #[test]
    fn amounts_are_written_as_the_reader_writes_them_to_the_last_digit() {
        for (tag, decimal, currency, written) in [
            ("en", "0", "JPY", "0\u{a0}JPY"),
            ("en", "999", "JPY", "999\u{a0}JPY"),
            ("en", "129.90", "USD", "$129.90"),
            ("en-GB", "1000.00", "GBP", "£1,000.00"),
            ("en", "-1000.00", "EUR", "-€1,000.00"),
            ("en-IN", "12345678.00", "INR", "1,23,45,678.00\u{a0}INR"),
            ("en", "1234567.500", "KWD", "1,234,567.500\u{a0}KWD"),
            ("en", "92233720368547758.07", "USD", "$92,233,720,368,547,758.07"),
            ("de", "92233720368547758.07", "EUR", "92.233.720.368.547.758,07\u{a0}€"),
            // As CLDR 48 has them.
            ("en-CA", "129.90", "USD", "US$129.90"),
            ("en-001", "129.90", "USD", "US$129.90"),
            ("en-AU", "-129.90", "USD", "-USD\u{a0}129.90"),
            ("en-AU", "129.90", "EUR", "EUR\u{a0}129.90"),
            ("en-PH", "129.90", "USD", "$129.90"),
            ("en-GI", "129.90", "GBP", "GB£129.90"),
            ("de-AT", "1234567.50", "EUR", "€\u{a0}1.234.567,50"),
            ("de-AT", "-1234567.50", "CHF", "-CHF\u{a0}1.234.567,50"),
            ("de-CH", "1250.00", "CHF", "CHF\u{a0}1'250.00"),
            ("de-CH", "-1250.00", "EUR", "EUR-1'250.00"),
            ("de-LI", "-1250.00", "CHF", "-CHF\u{a0}1'250.00"),
            ("de-LU", "1250.00", "EUR", "1.250,00\u{a0}€"),
            // Dollars are not only those of the United States.
            ("fr-CA", "129.90", "USD", "US$129.90"),
            ("fr", "129.90", "USD", "US$129.90"),
            ("de", "-30.00", "EUR", "-30,00\u{a0}€"),
            // Nobody reads numbers in a language that the words are not in.
            ("fr", "1250.00", "EUR", "€1,250.00"),
            ("de", "1e5 or so", "EUR", "1e5 or so\u{a0}€"),
        ] {
            assert_eq!(writer(tag).money(decimal, currency), written, "{tag} {decimal}");
        }
    }

    #[test]
    fn a_day_has_the_name_of_its_month() {
        let days = |tag: &str| {
            (1..=12).map(|month| writer(tag).date(&format!("2026-{month:02}-03")).unwrap()).collect::<Vec<_>>()
        };
        let german = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(' ');
        let english =
            "January February March April May June July August September October November December".split(' ');
        assert_eq!(days("de-AT"), german.map(|month| format!("3. {month} 2026")).collect::<Vec<_>>());
        assert_eq!(days("en"), english.map(|month| format!("{month} 3, 2026")).collect::<Vec<_>>());
        // Where it is said, whatever day that is elsewhere.
        assert_eq!(writer("de").date("2026-12-31T23:30:00-05:00").as_deref(), Some("31. Dezember 2026"));
        for no_day in ["", "soon", "2026-02-30", "2026-12-3", "äääääääääää"] {
            assert_eq!(writer("de").date(no_day), None, "{no_day:?}");
        }
    }

    #[test]
    fn what_a_language_has_no_words_for_is_not_said_in_it() {
        let cause = |code: &str| RejectionCause { code: code.to_owned(), skus: vec!["a".into(), "b".into()] };
        assert_eq!(writer("de").rejection(&cause("outOfStock")).as_deref(), Some("nicht genug auf Lager: a, b"));
        for code in ["outOfStock", "paymentDeclined", "notPaidInTime"] {
            assert!(LOCALES.iter().all(|locale| writer(locale.tag).rejection(&cause(code)).is_some()), "{code}");
        }
        assert_eq!(writer("de").rejection(&cause("rain")), None);
    }
}
