//! Invoices, credit notes and order numbers, which a process with the role sagas issues.

use documents::DocumentMetrics;
use event_store::EventStore;

use super::RoleTasks;
use crate::settings::Settings;

/// Begins to issue what the settings ask for. `None`: they ask for nothing.
pub(super) fn start(settings: &Settings, store: &EventStore, running: &mut RoleTasks) -> Option<DocumentMetrics> {
    let metrics = DocumentMetrics::default();
    if let Some(seller) = settings.seller.clone() {
        let issuing = documents::issue_documents(store.clone(), seller, metrics.clone(), running.stop.clone());
        running.spawn("documents", issuing);
    }
    if let Some(format) = settings.order_numbers.clone() {
        let numbering = documents::number_orders(store.clone(), format, metrics.clone(), running.stop.clone());
        running.spawn("order numbers", numbering);
    }
    (settings.seller.is_some() || settings.order_numbers.is_some()).then_some(metrics)
}
