//! What is counted of issued numbers.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What was issued, as this process read it in the log. Clones share the figures.
#[derive(Debug, Clone, Default)]
pub struct DocumentMetrics {
    documents: Family<[(&'static str, &'static str); 1], Counter>,
    order_numbers: Counter,
}

impl DocumentMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let Self { documents, order_numbers } = self;
        let about = "Invoices and credit notes that were issued, by kind";
        registry.register("documents_issued", about, documents.clone());
        registry.register("order_numbers_issued", "Orders that were given a number", order_numbers.clone());
    }

    pub(crate) fn documents_issued(&self, kind: &'static str, count: u64) {
        self.documents.get_or_create(&[("kind", kind)]).inc_by(count);
    }

    pub(crate) fn order_numbers_issued(&self, count: u64) {
        self.order_numbers.inc_by(count);
    }
}
