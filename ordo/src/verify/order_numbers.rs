//! The numbers of every series, and those that orders have, are the same.
//!
//! Of each number no more than a digest is kept.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::document::number_of;
use domain::order_number::OrderNumberSeriesEvent;

use super::findings::Findings;
use super::order::AuditedOrder;

/// The numbers of all series, and of all orders.
#[derive(Debug, Default)]
pub(super) struct OrderNumberReconciliation {
    /// By series, in the order of their numbers.
    issued: BTreeMap<String, Vec<u64>>,
    /// By series and place in it.
    of_orders: BTreeMap<String, BTreeMap<i64, u64>>,
}

/// A series whose events are being read.
pub(super) struct OrderNumberSeriesAudit {
    name: String,
    digests: Vec<u64>,
}

impl OrderNumberSeriesAudit {
    pub(super) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), digests: Vec::new() }
    }

    pub(super) fn apply(&mut self, event: &OrderNumberSeriesEvent, version: i64, findings: &mut Findings) {
        let OrderNumberSeriesEvent::OrderNumberIssued(number) = event;
        if number.sequence != version || number.order_number != number_of(&self.name, version) {
            let what = format!("version {version} is {}, number {}", number.order_number, number.sequence);
            findings.add(about(&self.name), what);
        }
        self.digests.push(digest(number.order_id.as_str()));
    }
}

impl OrderNumberReconciliation {
    /// Adds a series all of whose events were read.
    pub(super) fn add_series(&mut self, audit: OrderNumberSeriesAudit) {
        self.issued.insert(audit.name, audit.digests);
    }

    /// Adds the number of an order.
    pub(super) fn add_order(&mut self, order: &AuditedOrder, findings: &mut Findings) {
        let Some(number) = &order.placed.number else { return };
        if number.order_number != number_of(&number.series, number.sequence) {
            findings.add(order.about(), format!("{} is not a number of {}", number.order_number, number.series));
        }
        let known = self.of_orders.entry(number.series.clone()).or_default().insert(number.sequence, digest(&order.id));
        if known.is_some() {
            findings.add(order.about(), format!("another order has {} as well", number.order_number));
        }
    }

    /// Checks that orders have exactly the numbers that the series gave them. Returns how many there are.
    pub(super) fn check(&mut self, findings: &mut Findings) -> u64 {
        let mut count = 0;
        for (name, digests) in &self.issued {
            count += digests.len() as u64;
            let mut of_orders = self.of_orders.remove(name).unwrap_or_default();
            for (sequence, digest) in (1_i64..).zip(digests) {
                if of_orders.remove(&sequence) != Some(*digest) {
                    let what = format!("{} is of no order, or of another one", number_of(name, sequence));
                    findings.add(about(name), what);
                }
            }
            for sequence in of_orders.keys() {
                findings
                    .add(about(name), format!("an order has {}, which it did not give", number_of(name, *sequence)));
            }
        }
        for name in self.of_orders.keys() {
            findings.add(about(name), "orders have numbers of it, and it gave none".to_owned());
        }
        count
    }
}

fn about(series: &str) -> String {
    format!("series {series}")
}

fn digest(order_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    order_id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
