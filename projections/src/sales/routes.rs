//! `GET /sales`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use domain::money::Currency;
use domain::order::OrderStatus;
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{BILLION, BILLIONS, ORDERS, PROJECTION, REST, SalesBucket, sales_of};
use crate::amount_view::AmountView;
use crate::described;
use crate::keys::{status_name, status_of};
use crate::parameters::{ParameterErrors, day, one_of};
use crate::reads::{ReadRouteState, store_problem};

/// The longest period of one request: a quarter of a year.
const MOST_DAYS: i64 = 92;

pub(super) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(sold))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SalesParameters {
    /// One day, in UTC. Either this, or `from` and `to`.
    #[param(schema_with = described::day)]
    day: Option<String>,
    /// The first day.
    #[param(schema_with = described::day)]
    from: Option<String>,
    /// The day after the last, at most 92 days after `from`.
    #[param(schema_with = described::day)]
    to: Option<String>,
    /// Only orders in this currency (ISO 4217).
    #[param(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: Option<String>,
    /// Only orders with this status.
    #[param(value_type = Option<OrderStatus>, inline)]
    status: Option<String>,
    /// Waits until the view has passed this position of the log.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// The orders of each hour of some days, and of all of them together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sales)]
pub(crate) struct SalesView {
    from: NaiveDate,
    /// The day after the last.
    to: NaiveDate,
    hours: Vec<HourlySalesView>,
    totals: Vec<CurrencySales>,
}

/// The orders that were created in one hour, of one currency and status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HourlySales)]
struct HourlySalesView {
    hour: DateTime<Utc>,
    status: OrderStatus,
    #[serde(flatten)]
    sum: CurrencySales,
}

/// Orders in one currency, and what they come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CurrencySales)]
struct CurrencySales {
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    currency: Currency,
    orders: i64,
    total: AmountView,
}

struct SalesRequest {
    from: NaiveDate,
    to: NaiveDate,
    currency: Option<Currency>,
    status: Option<OrderStatus>,
}

/// What was ordered, by the hour
///
/// An order counts in the hour in which it was created, under the status that it has now. Hours without orders are left out.
#[utoipa::path(
    get,
    path = "/sales",
    tag = "reports",
    operation_id = "getSales",
    params(
        SalesParameters,
    ),
    responses((status = 200, description = "Orders and amounts", body = SalesView))
)]
pub(crate) async fn sold(
    State(reads): State<ReadRouteState>,
    parameters: Result<QueryParameters<SalesParameters>, Problem>,
    headers: HeaderMap,
) -> Result<Json<SalesView>, Problem> {
    let parameters = parameters?.0;
    let min_position = parameters.min_position;
    let request = parameters.parse()?;
    reads.wait_for_position(PROJECTION.name, min_position, &headers).await?;
    let table = reads.table(PROJECTION.name);
    let mut hours = Vec::new();
    let mut totals: BTreeMap<&str, SalesTotal> = BTreeMap::new();
    // One day at a time: a day has a few thousand tallies at the most.
    for day in request.from.iter_days().take_while(|day| *day < request.to) {
        let mut of_day: BTreeMap<(u32, &str, &str), SalesTotal> = BTreeMap::new();
        for item in table.collection(&sales_of(day)).await.map_err(store_problem)? {
            let Some(bucket) = SalesBucket::of_sort_key(&item.key.sk).filter(|bucket| request.wants(*bucket)) else {
                continue;
            };
            let numbers = item.read().map_err(Problem::internal)?;
            let SalesBucket { hour, currency, status } = bucket;
            of_day.entry((hour, currency.code(), status_name(status))).or_default().add(&numbers);
            totals.entry(currency.code()).or_default().add(&numbers);
        }
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        hours.extend(of_day.into_iter().filter_map(|((hour, currency, status), added)| {
            let hour = midnight + TimeDelta::hours(hour.into());
            Some(HourlySalesView { hour, status: status_of(status)?, sum: added.sum(currency)? })
        }));
    }
    let totals = totals.into_iter().filter_map(|(currency, added)| added.sum(currency)).collect();
    Ok(Json(SalesView { from: request.from, to: request.to, hours, totals }))
}

impl SalesParameters {
    fn parse(self) -> Result<SalesRequest, Problem> {
        let mut errors = ParameterErrors::default();
        let bounds = match (self.day, self.from, self.to) {
            (Some(only), None, None) => errors.parse("day", Some(only), day).map(|day| (day, day + Days::new(1))),
            (None, from @ Some(_), to @ Some(_)) => errors.parse("from", from, day).zip(errors.parse("to", to, day)),
            (None, None, None) => {
                errors.add("day", "is required, or from and to");
                None
            }
            (None, None, Some(_)) => {
                errors.add("from", "is required with to");
                None
            }
            (None, Some(_), None) => {
                errors.add("to", "is required with from; it is the day after the last");
                None
            }
            (Some(_), _, _) => {
                errors.add("day", "is given, and so is from or to: leave one out");
                None
            }
        };
        if let Some((from, to)) = bounds {
            if to < from {
                errors.add("to", "must not be before from");
            } else if (to - from).num_days() > MOST_DAYS {
                errors.add("to", format!("must be at most {MOST_DAYS} days after from"));
            }
        }
        let currency = errors.parse("currency", self.currency, |code| Currency::parse(&code));
        let status = errors.parse("status", self.status, one_of);
        errors.into_result()?;
        // Without bounds there was an error.
        let (from, to) = bounds.unwrap_or_default();
        Ok(SalesRequest { from, to, currency, status })
    }
}

impl SalesRequest {
    fn wants(&self, bucket: SalesBucket) -> bool {
        self.currency.is_none_or(|currency| currency == bucket.currency)
            && self.status.is_none_or(|status| status == bucket.status)
    }
}

/// The total of several tallies.
#[derive(Debug, Clone, Copy, Default)]
struct SalesTotal {
    orders: i64,
    minor: i128,
}

impl SalesTotal {
    fn add(&mut self, numbers: &BTreeMap<String, i64>) {
        let number = |name| numbers.get(name).copied().unwrap_or(0);
        self.orders += number(ORDERS);
        self.minor += i128::from(number(BILLIONS)) * i128::from(BILLION) + i128::from(number(REST));
    }

    /// `None`: all its orders have moved to another status.
    fn sum(self, currency: &str) -> Option<CurrencySales> {
        let currency = Currency::parse(currency).ok()?;
        let amount = decimal(self.minor, currency.exponent());
        (self.orders != 0).then_some(CurrencySales {
            currency,
            orders: self.orders,
            total: AmountView { amount, currency },
        })
    }
}

/// An amount in minor units as a decimal string. Unlike [`domain::money::Money`] it can be more than one order may be worth.
fn decimal(minor: i128, decimals: u8) -> String {
    let unit = 10_u128.pow(decimals.into());
    let (sign, minor) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    match usize::from(decimals) {
        0 => format!("{sign}{minor}"),
        width => format!("{sign}{}.{:0width$}", minor / unit, minor % unit),
    }
}

#[cfg(test)]
mod tests {
    use domain::money::Money;

    use super::*;

    #[test]
    fn sums_are_written_as_amounts_are() {
        for code in ["JPY", "USD", "KWD"] {
            let currency = Currency::parse(code).unwrap();
            for minor in [0, 1, 99, 100, 12_999, i64::MAX] {
                let amount = Money::from_minor(minor, currency).to_string();
                assert_eq!(decimal(minor.into(), currency.exponent()), amount);
            }
        }
        assert_eq!(decimal(3 * i128::from(i64::MAX), 2), "276701161105643274.21");
        assert_eq!(decimal(-5, 2), "-0.05");
    }
}
