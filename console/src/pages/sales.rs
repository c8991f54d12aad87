//! `/sales`: what was ordered, by the hour or by the day.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use http::{StatusCode, Uri};
use problem::Problem;
use serde::Deserialize;

use super::{Amount, query};
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::chart::BarChart;
use crate::display::{Instant, Text};
use crate::frame::Frame;
use crate::problem_page::errors;

/// The days of which hours are shown; more are shown by the day.
const DAYS_BY_HOUR: i64 = 2;
/// The currencies that have a chart, and the rows of the table.
const CHARTS: usize = 6;
const ROWS: usize = 1_000;

/// The statuses of orders, with their colours.
const STATUSES: [(&str, &str); 5] = [
    ("completed", "kept"),
    ("confirmed", "authorized"),
    ("pending", "refunded"),
    ("cancelled", "cancelled"),
    ("rejected", "open"),
];

#[derive(Template)]
#[template(path = "sales.html")]
struct SalesTemplate {
    frame: Frame,
    fields: [FilterField; 3],
    status: Text,
    statuses: [(&'static str, &'static str); 5],
    errors: Vec<Text>,
    totals: Vec<Total>,
    charts: Vec<BarChart>,
    by_hour: bool,
    rows: Vec<SalesRow>,
    is_cut: bool,
}

struct FilterField {
    name: &'static str,
    label: &'static str,
    value: Text,
}

#[derive(Deserialize)]
struct SalesAnswer {
    from: NaiveDate,
    to: NaiveDate,
    hours: Vec<Sold>,
    totals: Vec<Total>,
}

/// The orders of an hour with one currency and status.
#[derive(Deserialize)]
struct Sold {
    hour: Instant,
    status: String,
    currency: String,
    orders: i64,
    total: Amount,
}

#[derive(Deserialize)]
struct Total {
    orders: i64,
    total: Amount,
}

/// A row of the table.
struct SalesRow {
    when: String,
    status: &'static str,
    orders: i64,
    total: String,
    /// The question for its orders.
    query: String,
}

/// What was sold in an hour or on a day.
#[derive(Default)]
struct Sum {
    orders: i64,
    minor: i128,
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/sales")?;
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
    let mut given: Vec<(String, String)> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    if !given.iter().any(|(name, _)| ["day", "from", "to"].contains(&name.as_str())) {
        let today = Utc::now().date_naive();
        given.extend(
            [("from", today - Days::new(6)), ("to", today + Days::new(1))]
                .map(|(name, day)| (name.into(), day.to_string())),
        );
    }
    let asked = query(given.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let (found, wrong) = match console.0.queries.sales(&asked).await {
        Ok(found) => (Some(shown::<SalesAnswer>(&caller, &found)?), Vec::new()),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => (None, errors(&problem.to_json())),
        Err(problem) => return Err(problem),
    };
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let value = |name: &str| given.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let period = found.as_ref().map(|found| [found.from, found.to].map(|day| day.to_string()));
    let day = |nth: usize, name| period.as_ref().map_or_else(|| value(name).into(), |days| days[nth].as_str().into());
    let fields = [
        FilterField { name: "from", label: "First day", value: day(0, "from") },
        FilterField { name: "to", label: "Day after the last", value: day(1, "to") },
        FilterField { name: "currency", label: "Currency", value: value("currency").into() },
    ];
    let asked_status = value("status").into();
    let shown = found.map(SalesShown::of).unwrap_or_default();
    let page = SalesTemplate {
        frame: Frame::of(&reader, "Sales", "/sales"),
        fields,
        status: asked_status,
        statuses: STATUSES,
        errors: wrong,
        totals: shown.totals,
        charts: shown.charts,
        by_hour: shown.by_hour,
        rows: shown.rows,
        is_cut: shown.is_cut,
    };
    Ok((status, crate::long_page(page).await?).into_response())
}

#[derive(Default)]
struct SalesShown {
    totals: Vec<Total>,
    charts: Vec<BarChart>,
    by_hour: bool,
    rows: Vec<SalesRow>,
    is_cut: bool,
}

impl SalesShown {
    fn of(found: SalesAnswer) -> Self {
        let by_hour = (found.to - found.from).num_days() <= DAYS_BY_HOUR;
        let length = if by_hour { TimeDelta::hours(1) } else { TimeDelta::days(1) };
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let mut sums: BTreeMap<(DateTime<Utc>, &str, usize), Sum> = BTreeMap::new();
        let mut decimals: BTreeMap<&str, usize> = BTreeMap::new();
        for sold in &found.hours {
            let begin = if by_hour { sold.hour.0 } else { midnight(sold.hour.0.date_naive()) };
            let Some(status) = STATUSES.iter().position(|(name, _)| *name == sold.status) else { continue };
            let (minor, digits) = minor_units(sold.total.amount.as_str());
            decimals.insert(&sold.currency, digits);
            let sum = sums.entry((begin, sold.currency.as_str(), status)).or_default();
            (sum.orders, sum.minor) = (sum.orders + sold.orders, sum.minor + minor);
        }
        let periods: Vec<DateTime<Utc>> =
            std::iter::successors(Some(midnight(found.from)), |begin| begin.checked_add_signed(length))
                .take_while(|begin| *begin < midnight(found.to))
                .collect();
        let bars = |amount: &dyn Fn(&str, &Sum) -> i128| {
            let bar = |begin: &DateTime<Utc>| {
                let of_period = sums.range((*begin, "", 0)..(*begin + length, "", 0));
                let mut parts = STATUSES.map(|(_, class)| (class, 0_i128));
                of_period.for_each(|((_, currency, status), sum)| parts[*status].1 += amount(currency, sum));
                (when(*begin, by_hour), parts.to_vec())
            };
            periods.iter().map(bar).collect::<Vec<_>>()
        };
        let mut charts = vec![BarChart::of("Orders", bars(&|_, sum| sum.orders.into()), |count| count.to_string())];
        charts.extend(decimals.iter().take(CHARTS).map(|(code, digits)| {
            let of_currency = |currency: &str, sum: &Sum| if currency == *code { sum.minor } else { 0 };
            BarChart::of(format!("Amounts in {code}"), bars(&of_currency), |minor| decimal(minor, *digits))
        }));
        let row = |((begin, currency, status), sum): (&(DateTime<Utc>, &str, usize), &Sum)| {
            let (status, _) = STATUSES[*status];
            let [from, to] = [*begin, *begin + length].map(|it| it.to_rfc3339_opts(SecondsFormat::Secs, true));
            SalesRow {
                when: when(*begin, by_hour),
                status,
                orders: sum.orders,
                total: format!("{} {currency}", decimal(sum.minor, decimals.get(currency).copied().unwrap_or(0))),
                query: query([("from", from.as_str()), ("to", to.as_str()), ("status", status)]),
            }
        };
        let rows = sums.iter().rev().take(ROWS).map(row).collect();
        Self { by_hour, charts, rows, is_cut: sums.len() > ROWS, totals: found.totals }
    }
}

fn when(begin: DateTime<Utc>, by_hour: bool) -> String {
    begin.format(if by_hour { "%Y-%m-%d %H:00" } else { "%Y-%m-%d" }).to_string()
}

/// An amount without its point, and how many decimals it has.
fn minor_units(amount: &str) -> (i128, usize) {
    let decimals = amount.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    (amount.replace('.', "").parse().unwrap_or(0), decimals)
}

fn decimal(minor: i128, decimals: usize) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", minor.unsigned_abs(), width = decimals + 1);
    let (whole, rest) = digits.split_at(digits.len() - decimals);
    if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

#[cfg(test)]
mod tests {
    use domain::order::OrderStatus;

    use super::*;

    #[test]
    fn amounts_are_summed_as_they_are_written() {
        for amount in ["0.05", "-12.30", "276701161105643274.21", "7", "0.125"] {
            let (minor, decimals) = minor_units(amount);
            assert_eq!(decimal(minor, decimals), amount);
        }
    }

    #[test]
    fn every_status_of_an_order_has_a_colour() {
        let error = serde_json::from_value::<OrderStatus>("?".into()).err().unwrap().to_string();
        assert_eq!(error.matches('`').count() / 2 - 1, STATUSES.len(), "{error}");
        for (name, _) in STATUSES {
            assert!(serde_json::from_value::<OrderStatus>(name.into()).is_ok(), "{name}");
        }
    }

    #[test]
    fn days_are_summed_and_empty_ones_are_shown() {
        let sold = |hour: &str, orders, amount| serde_json::json!({ "hour": hour, "status": "confirmed", "currency": "EUR", "orders": orders, "total": { "amount": amount, "currency": "EUR" } });
        let answer = serde_json::json!({ "from": "2026-11-01", "to": "2026-11-05", "totals": [],
            "hours": [sold("2026-11-02T10:00:00Z", 1, "10.00"), sold("2026-11-02T23:00:00Z", 2, "5.50"), sold("2026-11-04T00:00:00Z", 1, "1.00")] });
        let shown = SalesShown::of(serde_json::from_value(answer.clone()).unwrap());
        let rows: Vec<_> = shown.rows.iter().map(|row| (row.when.as_str(), row.orders, row.total.as_str())).collect();
        assert_eq!(rows, [("2026-11-04", 1, "1.00 EUR"), ("2026-11-02", 3, "15.50 EUR")]);
        assert_eq!(
            shown.charts.iter().map(|chart| (chart.bars.len(), chart.highest.as_str())).collect::<Vec<_>>(),
            [(4, "3"), (4, "15.50")]
        );
        let one =
            serde_json::json!({ "from": "2026-11-02", "to": "2026-11-03", "totals": [], "hours": answer["hours"] });
        assert_eq!(SalesShown::of(serde_json::from_value(one).unwrap()).charts[0].bars.len(), 24);
    }
}
