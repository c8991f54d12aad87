//! The query parameters of a list of orders, parsed.

use access_control::{AuthorizedCaller, RoutePermission};
use domain::email::EmailAddress;
use domain::ids::{CustomerId, OrderId, Sku};
use domain::money::{Currency, Money};
use domain::order::{FulfilmentStatus, OrderStatus, PaymentStatus, ReturnsStatus};
use problem::{Problem, ProblemType};
use serde::Deserialize;

use super::collections::OrderPart;
use super::expansion;
use super::filter::OrderFilter;
use super::sort::{OrderSort, SortedBy};
use super::words;
use crate::described::instant_or_day;
use crate::parameters::{ParameterErrors, instant, label, one_of};

/// The query parameters of a list of orders, not checked yet.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderListParameters {
    /// Only the orders of this customer.
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "customer-42")]
    pub(super) customer_id: Option<String>,
    /// Only orders with this e-mail address. Capitals make no difference.
    #[param(max_length = 254, example = "customer-42@example.com")]
    pub(super) email: Option<String>,
    /// Only orders that have, for each of these words, one that begins with it: in the titles or SKUs of lines, the customer's name or
    /// e-mail address, or the order's id or number. Capitals and accents make no difference.
    #[param(min_length = 1, max_length = 200, example = "wireless head")]
    pub(super) q: Option<String>,
    /// Only the order with this number. Capitals make no difference.
    #[param(min_length = 1, max_length = 100, example = "A-2026-000042")]
    pub(super) order_number: Option<String>,
    /// Only orders that are the exchange for goods of this order.
    #[param(min_length = 1, max_length = 128, example = "order-1001")]
    pub(super) exchange_for: Option<String>,
    /// Only orders of this SKU.
    #[param(inline, value_type = Option<Sku>, example = "sku-123")]
    pub(super) sku: Option<String>,
    /// Only orders with this status.
    #[param(value_type = Option<OrderStatus>, inline)]
    pub(super) status: Option<String>,
    /// Only orders that a hold keeps from being shipped; `false`: only others.
    #[param(value_type = Option<bool>)]
    pub(super) held: Option<String>,
    /// Only orders whose payment has this status.
    #[param(value_type = Option<PaymentStatus>, inline)]
    pub(super) payment_status: Option<String>,
    /// Only orders whose goods have this status.
    #[param(value_type = Option<FulfilmentStatus>, inline)]
    pub(super) fulfilment_status: Option<String>,
    /// Only orders whose returns have this status.
    #[param(value_type = Option<ReturnsStatus>, inline)]
    pub(super) returns_status: Option<String>,
    /// Only orders with this tag.
    #[param(min_length = 1, max_length = 100, example = "gift")]
    pub(super) tag: Option<String>,
    /// Only orders that came through this channel.
    #[param(min_length = 1, max_length = 100, example = "web")]
    pub(super) channel: Option<String>,
    /// Only orders whose customer came from there.
    #[param(min_length = 1, max_length = 100, example = "newsletter")]
    pub(super) source: Option<String>,
    /// Only orders in this currency (ISO 4217).
    #[param(pattern = "^[A-Z]{3}$", example = "USD")]
    pub(super) currency: Option<String>,
    /// Only orders with this total or more; with `currency`.
    #[param(example = "10.00")]
    pub(super) total_from: Option<String>,
    /// Only orders with this total or less; with `currency`.
    #[param(example = "99.99")]
    pub(super) total_to: Option<String>,
    /// Only orders created then or later: an instant, or a day, which stands for its first instant in UTC.
    #[param(schema_with = instant_or_day)]
    pub(super) from: Option<String>,
    /// Only orders created before.
    #[param(schema_with = instant_or_day)]
    pub(super) to: Option<String>,
    /// What the orders are sorted by: `created`, `updated` (the last event) or, with `currency`, `total`. A `-` before it is for the
    /// descending order. Without it: `-created`, or by `status` alone, those that have had it for the shortest time first.
    #[param(pattern = "^-?(created|updated|total)$", example = "-created")]
    pub(super) sort: Option<String>,
    /// The most orders of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<i64>,
    /// What comes with each order: one of these, or several with commas between them.
    #[param(
        pattern = "^(lines|shipments|cancellations|returns|refunds|addedNotes|mails)(,(lines|shipments|cancellations|returns|refunds|addedNotes|mails))*$",
        example = "lines"
    )]
    pub(super) expand: Option<String>,
    /// The cursor of the page before. It is good for exactly the same question.
    pub(super) cursor: Option<String>,
    /// Waits until the view has passed this position of the log.
    #[param(minimum = 0)]
    pub(super) min_position: Option<i64>,
}

/// Which orders a client wants, and which page of them.
#[derive(Debug)]
pub(super) struct ListRequest {
    pub(super) filter: OrderFilter,
    /// What comes with each order.
    pub(super) expand: Vec<OrderPart>,
    pub(super) limit: u16,
    pub(super) cursor: Option<String>,
}

impl OrderListParameters {
    /// The problem names every parameter that is invalid, or else one that the caller may not ask by.
    pub(super) fn parse(self, caller: &AuthorizedCaller) -> Result<ListRequest, Problem> {
        let mut errors = ParameterErrors::default();
        let currency = errors.parse("currency", self.currency, |code| Currency::parse(&code));
        let mut amount = |name: &str, given: Option<String>| match (given, currency) {
            (Some(text), Some(currency)) => {
                errors.parse(name, Some(text), |text| Money::parse(&text, currency)).map(Money::minor)
            }
            (Some(_), None) => {
                errors.add("currency", format!("must be a currency, as {name} is given"));
                None
            }
            (None, _) => None,
        };
        let (total_from, total_to) = (amount("totalFrom", self.total_from), amount("totalTo", self.total_to));
        let filter = OrderFilter {
            order_number: errors.parse("orderNumber", self.order_number, label),
            exchange_for: errors.parse("exchangeFor", self.exchange_for, OrderId::parse),
            customer: errors.parse("customerId", self.customer_id, CustomerId::parse),
            email: errors.parse("email", self.email, EmailAddress::parse),
            sku: errors.parse("sku", self.sku, Sku::parse),
            status: errors.parse("status", self.status, one_of),
            held: errors.parse("held", self.held, |text| match text.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err("must be true or false"),
            }),
            payment_status: errors.parse("paymentStatus", self.payment_status, one_of),
            fulfilment_status: errors.parse("fulfilmentStatus", self.fulfilment_status, one_of),
            returns_status: errors.parse("returnsStatus", self.returns_status, one_of),
            tag: errors.parse("tag", self.tag, label),
            channel: errors.parse("channel", self.channel, label),
            source: errors.parse("source", self.source, label),
            words: errors.parse("q", self.q, words::of_question),
            currency,
            total_from,
            total_to,
            from: errors.parse("from", self.from, instant),
            to: errors.parse("to", self.to, instant),
            sort: errors.parse("sort", self.sort, |text| OrderSort::parse(&text)),
        };
        if filter.total_from.zip(filter.total_to).is_some_and(|(from, to)| from > to) {
            errors.add("totalTo", "must not be less than totalFrom");
        }
        if filter.sort.is_some_and(|sort| sort.by == SortedBy::Total) && filter.currency.is_none() {
            errors.add("currency", "must be a currency, as totals of several are not compared");
        }
        if filter.from.zip(filter.to).is_some_and(|(from, to)| from > to) {
            errors.add("to", "must not be before from");
        }
        let expand = errors.parse("expand", self.expand, |text| expansion::parse(&text, &OrderPart::ALL));
        let limit = errors.page_limit(self.limit);
        errors.into_result()?;
        check_may_ask_by(&filter, caller)?;
        Ok(ListRequest { filter, expand: expand.unwrap_or_default(), limit, cursor: self.cursor })
    }
}

/// Refuses a filter by what is left out of the caller's answers: it would tell what they don't.
fn check_may_ask_by(filter: &OrderFilter, caller: &AuthorizedCaller) -> Result<(), Problem> {
    let hidden = match caller.grant {
        RoutePermission::WithoutPaymentDetails => filter.payment_status.map(|_| "paymentStatus"),
        RoutePermission::Masked if filter.email.is_some() => Some("email"),
        // It would find by names and addresses.
        RoutePermission::Masked => filter.words.as_ref().map(|_| "q"),
        RoutePermission::Own => filter.held.map(|_| "held"),
        RoutePermission::All | RoutePermission::UpToAmount => None,
    };
    hidden.map_or(Ok(()), |name| {
        let detail = format!("the role {} may not ask for orders by {name}", caller.principal.role().as_str());
        Err(Problem::new(ProblemType::Forbidden, detail))
    })
}
