//! Reserves the units of an order at the locations that are chosen for it: all of them, or none. The compensation releases them.

use std::collections::BTreeMap;

use domain::ids::Sku;
use domain::order::event::{StockReleased, StockReservationFailed, StockReserved, UnitMismatch};
use domain::order::saga::SagaStep;
use domain::order::{
    NeededUnits, OrderCommand, OrderStage, OrderStockState, PlacedOrder, choose_locations_or_backorder,
};

use crate::SagaSettings;
use crate::order_session::OrderSession;
use crate::outcome::{StepOutcome, StepProgress};
use crate::saga::{Step, StepHandler, StepKind, StepUndo, UndoStep};
use crate::stock_ledger::StockLedger;

pub(super) const STEP: Step = Step {
    name: SagaStep::ReserveStock,
    kind: StepKind::Compensable,
    is_due: |order| order.stage() == OrderStage::Pending && order.stock == OrderStockState::None,
    action: StepHandler::DecideWithStock(reserve_stock),
    undo: StepUndo::By(UndoStep {
        name: SagaStep::ReleaseStock,
        is_due: PlacedOrder::holds_units,
        action: StepHandler::DecideWithStock(|order, _, _| release_stock(order, false)),
    }),
};

/// Releases a reservation that has run out before the order was confirmed.
pub(crate) const EXPIRE: StepHandler = StepHandler::DecideWithStock(|order, _, _| release_stock(order, true));

fn reserve_stock(order: &mut OrderSession, stock: &StockLedger<'_>, settings: &SagaSettings) -> StepOutcome {
    let tracked = |(sku, quantity)| stock.tracked(sku).map(|stock| NeededUnits { sku, quantity, stock });
    let needed: Vec<_> = needed_by_sku(&order.order).into_iter().filter_map(tracked).collect();
    let other_units = other_units(order, &needed);
    let chosen =
        if other_units.is_empty() { choose_locations_or_backorder(&needed, &settings.locations) } else { Err(vec![]) };
    let command = match chosen {
        Ok((units, backorders)) => {
            let expires_at = order.now + settings.reservation_hold;
            OrderCommand::RecordStockReserved(StockReserved { units, expires_at, backorders })
        }
        Err(shortages) => OrderCommand::RecordStockReservationFailed(StockReservationFailed { shortages, other_units }),
    };
    // After a conflict the stock is another. So this is decided anew then, and not repeated.
    order.decide_once(command)?;
    Ok(StepProgress::Advanced)
}

/// The SKUs that are counted in another unit than they were ordered in.
fn other_units(order: &OrderSession, needed: &[NeededUnits<'_>]) -> Vec<UnitMismatch> {
    let mismatch = |it: &NeededUnits<'_>| {
        let (ordered, stocked) = (order.order.unit_of(it.sku), it.stock.unit);
        (ordered != stocked).then(|| UnitMismatch { sku: it.sku.clone(), ordered, stocked })
    };
    needed.iter().filter_map(mismatch).collect()
}

fn release_stock(order: &mut OrderSession, expired: bool) -> StepOutcome {
    order.decide_once(OrderCommand::RecordStockReleased(StockReleased { expired }))?;
    Ok(StepProgress::Advanced)
}

fn needed_by_sku(order: &PlacedOrder) -> BTreeMap<&Sku, u32> {
    let mut needed = BTreeMap::new();
    for line in &order.content.lines {
        *needed.entry(&line.sku).or_default() += line.quantity;
    }
    needed
}
