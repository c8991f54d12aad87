//! Which orders a list has, and the index that finds them.

use chrono::{DateTime, Utc};
use domain::ids::{CustomerId, Sku};
use domain::order::OrderStatus;
use read_models::Index;

use super::rows::OrderRow;
use super::{customer, of_status, with_sku};
use crate::keys::{shards, sortable, status_name};

/// Orders that fulfil every condition given here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OrderFilter {
    pub(super) customer: Option<CustomerId>,
    pub(super) sku: Option<Sku>,
    pub(super) status: Option<OrderStatus>,
    /// Created then or later.
    pub(super) from: Option<DateTime<Utc>>,
    /// Created before.
    pub(super) to: Option<DateTime<Utc>>,
}

/// How to find the orders. Of all ways it is the one that is expected to read the fewest others.
#[derive(Debug)]
pub(super) enum AccessPath {
    /// Scan partitions of an index within bounds of the sort key. The other conditions are checked against each order.
    Index {
        index: Index,
        partitions: Vec<String>,
        /// The index has lines, and their orders are wanted.
        lines: bool,
        from: Option<String>,
        until: Option<String>,
    },
    /// Scan the orders of one day after the other.
    ByDay,
}

impl OrderFilter {
    /// Two filters have the same name only if they are equal. A cursor is bound to it.
    pub(super) fn name(&self) -> String {
        let Self { customer, sku, status, from, to } = self;
        let parts = [
            ("customerId", customer.as_ref().map(ToString::to_string)),
            // A space would end it.
            ("sku", sku.as_ref().map(|sku| sku.as_str().replace('%', "%25").replace(' ', "%20"))),
            ("status", status.map(|status| status_name(status).to_owned())),
            ("from", from.map(sortable)),
            ("to", to.map(sortable)),
        ];
        // No value has a space in it.
        parts.into_iter().fold("orders".to_owned(), |name, (part, value)| match value {
            Some(value) => format!("{name} {part}={value}"),
            None => name,
        })
    }

    pub(super) fn matches(&self, order: &OrderRow) -> bool {
        let Self { customer, sku, status, from, to } = self;
        customer.as_ref().is_none_or(|customer| order.customer_id.as_deref() == Some(customer.as_str()))
            && status.is_none_or(|status| order.status == status)
            && from.is_none_or(|from| order.created_at >= from)
            && to.is_none_or(|to| order.created_at < to)
            && sku.as_ref().is_none_or(|sku| order.has_line_of(sku))
    }

    /// A customer has fewer orders than a SKU, and a SKU fewer than a status.
    pub(super) fn access_path(&self) -> AccessPath {
        let (from, to) = (self.from.map(sortable), self.to.map(sortable));
        let by_index = |index, partitions, lines, until| AccessPath::Index { index, partitions, lines, from, until };
        match self {
            Self { customer: Some(id), .. } => by_index(Index::Gsi1, vec![customer(id.as_str())], false, to),
            Self { sku: Some(sku), .. } => by_index(Index::Gsi1, vec![with_sku(sku.as_str())], true, to),
            // `from` bounds the index, as no order got its status before it was created. `to` does not: it may have got
            // it later.
            Self { status: Some(status), .. } => by_index(Index::Gsi2, shards(&of_status(*status)), false, None),
            Self { customer: None, sku: None, status: None, .. } => AccessPath::ByDay,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn filters() -> Vec<OrderFilter> {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let mut filters = Vec::new();
        for n in 0..32 {
            let given = |bit: u32| n & (1 << bit) != 0;
            filters.push(OrderFilter {
                customer: given(0).then(|| CustomerId::parse("same").unwrap()),
                sku: given(1).then(|| Sku::parse("same").unwrap()),
                status: given(2).then_some(OrderStatus::Confirmed),
                from: at(1_700_000_000).filter(|_| given(3)),
                to: at(1_700_000_000).filter(|_| given(4)),
            });
        }
        filters
    }

    #[test]
    fn no_two_filters_have_the_same_name() {
        let mut filters = filters();
        filters.push(OrderFilter { status: Some(OrderStatus::Pending), ..OrderFilter::default() });
        filters.push(OrderFilter { customer: Some(CustomerId::parse("other").unwrap()), ..OrderFilter::default() });
        for sku in ["same status=confirmed", "same%20status=confirmed", "same%2520status=confirmed"] {
            filters.push(OrderFilter { sku: Some(Sku::parse(sku).unwrap()), ..OrderFilter::default() });
        }
        let names: HashSet<String> = filters.iter().map(OrderFilter::name).collect();
        assert_eq!(names.len(), filters.len());
    }

    #[test]
    fn the_access_path_is_the_one_that_reads_the_fewest_orders() {
        for filter in filters() {
            let expected = match &filter {
                OrderFilter { customer: Some(_), .. } => "CUSTOMER#same",
                OrderFilter { sku: Some(_), .. } => "SKU#same",
                OrderFilter { status: Some(_), .. } => "STATUS#confirmed#0",
                OrderFilter { .. } => "",
            };
            let path = match filter.access_path() {
                AccessPath::Index { partitions, .. } => partitions[0].clone(),
                AccessPath::ByDay => String::new(),
            };
            assert_eq!(path, expected, "{filter:?}");
        }
    }
}
