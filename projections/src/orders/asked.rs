//! What a client asks for, read from the query of a URL.

use domain::ids::{CustomerId, Sku};
use problem::Problem;
use serde::Deserialize;

use super::question::Question;
use crate::parameters::{Wrong, instant, status};

/// The parameters of a question about orders.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrdersQuery {
    pub(super) customer_id: Option<String>,
    pub(super) sku: Option<String>,
    pub(super) status: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) limit: Option<i64>,
    pub(super) cursor: Option<String>,
    pub(super) min_position: Option<i64>,
}

/// A question, and which page of its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) limit: u16,
    pub(super) cursor: Option<String>,
}

impl OrdersQuery {
    /// What is asked, or everything that is wrong with it.
    pub(super) fn parse(self) -> Result<Asked, Problem> {
        let mut wrong = Wrong::default();
        let question = Question {
            customer: wrong.parsed("customerId", self.customer_id, CustomerId::parse),
            sku: wrong.parsed("sku", self.sku, Sku::parse),
            status: wrong.parsed("status", self.status, status),
            from: wrong.parsed("from", self.from, instant),
            to: wrong.parsed("to", self.to, instant),
        };
        if question.from.zip(question.to).is_some_and(|(from, to)| from > to) {
            wrong.note("to", "must not be before from");
        }
        let limit = wrong.page_limit(self.limit);
        wrong.none()?;
        Ok(Asked { question, limit, cursor: self.cursor })
    }
}
