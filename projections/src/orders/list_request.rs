//! The query parameters of a list of orders, parsed.

use domain::ids::{CustomerId, Sku};
use problem::Problem;
use serde::Deserialize;

use super::filter::OrderFilter;
use crate::parameters::{ParameterErrors, instant, status};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListParameters {
    pub(super) customer_id: Option<String>,
    pub(super) sku: Option<String>,
    pub(super) status: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) limit: Option<i64>,
    pub(super) cursor: Option<String>,
    pub(super) min_position: Option<i64>,
}

/// Which orders a client wants, and which page of them.
#[derive(Debug)]
pub(super) struct ListRequest {
    pub(super) filter: OrderFilter,
    pub(super) limit: u16,
    pub(super) cursor: Option<String>,
}

impl ListParameters {
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
        let limit = errors.page_limit(self.limit);
        errors.into_result()?;
        Ok(ListRequest { filter, limit, cursor: self.cursor })
    }
}
