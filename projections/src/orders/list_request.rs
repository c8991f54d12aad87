//! The query parameters of a list of orders, parsed.

use domain::ids::{CustomerId, Sku};
use domain::order::OrderStatus;
use problem::Problem;
use serde::Deserialize;

use super::collections::OrderPart;
use super::expansion;
use super::filter::OrderFilter;
use crate::described::instant_or_day;
use crate::parameters::{ParameterErrors, instant, status};

/// The query parameters of a list of orders, not checked yet.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OrderListParameters {
    /// Only the orders of this customer.
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "customer-42")]
    pub(super) customer_id: Option<String>,
    /// Only orders of this SKU.
    #[param(inline, value_type = Option<Sku>, example = "sku-123")]
    pub(super) sku: Option<String>,
    /// Only orders with this status.
    #[param(value_type = Option<OrderStatus>, inline)]
    pub(super) status: Option<String>,
    /// Only orders created then or later: an instant, or a day, which stands for its first instant in UTC.
    #[param(schema_with = instant_or_day)]
    pub(super) from: Option<String>,
    /// Only orders created before.
    #[param(schema_with = instant_or_day)]
    pub(super) to: Option<String>,
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
    /// The problem names every parameter that is invalid.
    pub(super) fn parse(self) -> Result<ListRequest, Problem> {
        let mut errors = ParameterErrors::default();
        let filter = OrderFilter {
            customer: errors.parse("customerId", self.customer_id, CustomerId::parse),
            sku: errors.parse("sku", self.sku, Sku::parse),
            status: errors.parse("status", self.status, status),
            from: errors.parse("from", self.from, instant),
            to: errors.parse("to", self.to, instant),
        };
        if filter.from.zip(filter.to).is_some_and(|(from, to)| from > to) {
            errors.add("to", "must not be before from");
        }
        let expand = errors.parse("expand", self.expand, |text| expansion::parse(&text, &OrderPart::ALL));
        let limit = errors.page_limit(self.limit);
        errors.into_result()?;
        Ok(ListRequest { filter, expand: expand.unwrap_or_default(), limit, cursor: self.cursor })
    }
}
