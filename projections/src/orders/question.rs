//! Which orders are wanted, and along which index they are found.

use chrono::{DateTime, Utc};
use domain::ids::{CustomerId, Sku};
use domain::order::OrderStatus;
use read_models::Index;

use super::items::OrderItem;
use super::{customer, of_status, with_sku};
use crate::keys::{shards, sortable, status_name};

/// Orders of which everything given here is true.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Question {
    pub(super) customer: Option<CustomerId>,
    pub(super) sku: Option<Sku>,
    pub(super) status: Option<OrderStatus>,
    /// They were created then or later.
    pub(super) from: Option<DateTime<Utc>>,
    /// They were created before.
    pub(super) to: Option<DateTime<Utc>>,
}

/// The way to the orders: the one that passes the fewest others, as far as that can be told beforehand.
#[derive(Debug)]
pub(super) enum Way {
    /// Along these partitions of an index, within these bounds of their sort keys; the rest is told by the orders themselves.
    Along {
        index: Index,
        partitions: Vec<String>,
        /// What is found are lines, whose orders are wanted.
        lines: bool,
        from: Option<String>,
        until: Option<String>,
    },
    /// Day by day.
    ByDay,
}

impl Question {
    /// Tells it from every other question.
    pub(super) fn name(&self) -> String {
        let Self { customer, sku, status, from, to } = self;
        let parts = [
            ("customerId", customer.as_ref().map(ToString::to_string)),
            ("sku", sku.as_ref().map(ToString::to_string)),
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

    /// Whether this order is wanted.
    pub(super) fn matches(&self, order: &OrderItem) -> bool {
        let Self { customer, sku, status, from, to } = self;
        customer.as_ref().is_none_or(|customer| order.customer_id == customer.as_str())
            && status.is_none_or(|status| order.status == status)
            && from.is_none_or(|from| order.created_at >= from)
            && to.is_none_or(|to| order.created_at < to)
            && sku.as_ref().is_none_or(|sku| order.has(sku))
    }

    /// How to find them: a customer has fewer orders than a SKU, and that fewer than a status.
    pub(super) fn way(&self) -> Way {
        let (from, to) = (self.from.map(sortable), self.to.map(sortable));
        let along = |index, partitions, lines, until| Way::Along { index, partitions, lines, from, until };
        match self {
            Self { customer: Some(id), .. } => along(Index::Gsi1, vec![customer(id.as_str())], false, to),
            Self { sku: Some(sku), .. } => along(Index::Gsi1, vec![with_sku(sku.as_str())], true, to),
            // No order has had its status since before it was created; but it may well have got it later.
            Self { status: Some(status), .. } => along(Index::Gsi2, shards(&of_status(*status)), false, None),
            Self { customer: None, sku: None, status: None, .. } => Way::ByDay,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn questions() -> Vec<Question> {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let mut questions = Vec::new();
        for n in 0..32 {
            let given = |bit: u32| n & (1 << bit) != 0;
            questions.push(Question {
                customer: given(0).then(|| CustomerId::parse("same").unwrap()),
                sku: given(1).then(|| Sku::parse("same").unwrap()),
                status: given(2).then_some(OrderStatus::Confirmed),
                from: at(1_700_000_000).filter(|_| given(3)),
                to: at(1_700_000_000).filter(|_| given(4)),
            });
        }
        questions
    }

    #[test]
    fn no_two_questions_have_the_same_name() {
        let mut questions = questions();
        questions.push(Question { status: Some(OrderStatus::Pending), ..Question::default() });
        questions.push(Question { customer: Some(CustomerId::parse("other").unwrap()), ..Question::default() });
        let names: HashSet<String> = questions.iter().map(Question::name).collect();
        assert_eq!(names.len(), questions.len());
    }

    #[test]
    fn the_way_is_the_one_past_the_fewest_orders() {
        for question in questions() {
            let expected = match &question {
                Question { customer: Some(_), .. } => "CUSTOMER#same",
                Question { sku: Some(_), .. } => "SKU#same",
                Question { status: Some(_), .. } => "STATUS#confirmed#0",
                Question { .. } => "",
            };
            let way = match question.way() {
                Way::Along { partitions, .. } => partitions[0].clone(),
                Way::ByDay => String::new(),
            };
            assert_eq!(way, expected, "{question:?}");
        }
    }
}
