//! What is told of SKUs that cross their thresholds: a count, and a line in the log.

use domain::quantity::Quantity;
use domain::stock::{StockEvent, StockRanLow, StockRecovered};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What a SKU becomes by a crossing.
const LOW: &str = "low";
const RECOVERED: &str = "recovered";

/// The crossings that this process has stored. Clones share the figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct LowStockMetrics {
    crossings: Family<[(&'static str, &'static str); 1], Counter>,
}

impl LowStockMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        // A figure that appears with the first crossing would not be seen to increase by it.
        for became in [LOW, RECOVERED] {
            drop(self.crossings.get_or_create(&[("became", became)]));
        }
        let about = "SKUs that ran low or recovered, by what they became";
        registry.register("stock_low_crossings", about, self.crossings.clone());
    }

    /// Tells of an event that is stored, if it is a crossing.
    pub(crate) fn observe(&self, sku: &str, event: &StockEvent) {
        match event {
            StockEvent::StockRanLow(StockRanLow { available, threshold, unit }) => {
                let (available, threshold) = (Quantity::of(*available, *unit), Quantity::of(*threshold, *unit));
                tracing::info!(sku, %available, %threshold, "a SKU ran low");
                self.count(LOW);
            }
            StockEvent::StockRecovered(StockRecovered { available, threshold, unit }) => {
                let (available, threshold) = (Quantity::of(*available, *unit), Quantity::of(*threshold, *unit));
                tracing::info!(sku, %available, %threshold, "a SKU is not low any more");
                self.count(RECOVERED);
            }
            StockEvent::StockReceived(_)
            | StockEvent::StockAdjusted(_)
            | StockEvent::StockReturned(_)
            | StockEvent::StockTransferred(_)
            | StockEvent::BackorderLimitSet(_)
            | StockEvent::LowStockThresholdSet(_)
            | StockEvent::ReservationMade(_)
            | StockEvent::ReservationIncreased(_)
            | StockEvent::ReservationReleased(_)
            | StockEvent::ReservationCommitted(_) => {}
        }
    }

    fn count(&self, became: &'static str) {
        self.crossings.get_or_create(&[("became", became)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::LocationId;
    use domain::stock::StockReceived;

    use super::*;

    fn text_of(metrics: &LowStockMetrics) -> String {
        let mut registry = Registry::with_prefix("ordo");
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn before_the_first_crossing_there_are_none_of_either() {
        let text = text_of(&LowStockMetrics::default());
        for line in [
            "ordo_stock_low_crossings_total{became=\"low\"} 0",
            "ordo_stock_low_crossings_total{became=\"recovered\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
    }

    #[test]
    fn each_crossing_is_counted_by_what_the_sku_became() {
        let metrics = LowStockMetrics::default();
        let received = StockReceived { unit: None, quantity: 5, location: LocationId::default() };
        let events = [
            StockEvent::StockReceived(received),
            StockEvent::StockRanLow(StockRanLow { available: -1, threshold: 4, unit: None }),
            StockEvent::StockRecovered(StockRecovered { available: 4, threshold: 4, unit: None }),
            StockEvent::StockRanLow(StockRanLow { available: 3, threshold: 4, unit: None }),
        ];
        events.iter().for_each(|event| metrics.observe("mug", event));
        let text = text_of(&metrics);
        for line in [
            "ordo_stock_low_crossings_total{became=\"low\"} 2",
            "ordo_stock_low_crossings_total{became=\"recovered\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
    }
}
