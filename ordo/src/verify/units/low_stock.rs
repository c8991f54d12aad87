//! Checks the events that say whether a SKU is low.

use domain::stock::{Stock, StockEvent, StockRanLow, StockRecovered};

use super::StockFoldCheck;
use crate::verify::findings::Findings;

impl StockFoldCheck {
    /// Checks that the two events take turns, and say what the events before them come to.
    pub(super) fn check_low_stock(&mut self, event: &StockEvent, position: i64, findings: &mut Findings) {
        let (is_low, said) = match event {
            StockEvent::StockRanLow(StockRanLow { available, threshold, unit: _ }) => (true, (*available, *threshold)),
            StockEvent::StockRecovered(StockRecovered { available, threshold, unit: _ }) => {
                (false, (*available, *threshold))
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
            | StockEvent::ReservationCommitted(_) => return,
        };
        let says = if is_low { "ran low" } else { "recovered" };
        if std::mem::replace(&mut self.is_low, is_low) == is_low {
            let what = format!("at position {position} it {says}, and had done so before");
            findings.add(format!("SKU {}", self.sku), what);
        }
        let (known, limit, is_below) = self.available_and_threshold();
        if said != (known, limit) || is_below != is_low {
            let (available, threshold) = said;
            let what = format!(
                "at position {position} it {says} with {available} of {threshold}, and {known} of {limit} were available"
            );
            findings.add(format!("SKU {}", self.sku), what);
        }
    }

    /// Checks that the last of the two events is right at the end.
    pub(super) fn check_is_low(&self, findings: &mut Findings) {
        let (available, threshold, is_below) = self.available_and_threshold();
        if is_below != self.is_low {
            let said = if self.is_low { "it is low" } else { "it is not low" };
            let what = format!("its events say that {said}, and {available} of {threshold} are available");
            findings.add(format!("SKU {}", self.sku), what);
        }
    }

    /// How many are available, the threshold, and whether they are fewer. Without a threshold a SKU is never low, whatever is missing.
    fn available_and_threshold(&self) -> (i64, u32, bool) {
        let Stock::Tracked(tracked) = &self.stock else { return (0, 0, false) };
        let available = tracked.available();
        let Some(low_stock) = tracked.low_stock else { return (available, 0, false) };
        (available, low_stock.threshold, available < low_stock.threshold.into())
    }
}
