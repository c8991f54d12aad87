//! Changes the order, and reserves the units that it needs more, in one append. If there are not enough, the edit is rejected instead.

use domain::order::event::{EditRejectionReason, OrderEditRejected, UnitMismatch};
use domain::order::saga::SagaStep;
use domain::order::{NeededUnits, OrderCommand, choose_locations};

use crate::SagaSettings;
use crate::order_session::OrderSession;
use crate::outcome::{StepOutcome, StepProgress};
use crate::saga::{Step, StepHandler, StepKind, StepUndo};
use crate::stock_ledger::StockLedger;

pub(super) const STEP: Step = Step {
    name: SagaStep::ApplyEdit,
    kind: StepKind::Retriable,
    is_due: |order| order.is_editing() && order.is_paid_for(),
    action: StepHandler::DecideWithStock(apply_edit),
    undo: StepUndo::Nothing { because: "units and order change in one append" },
};

fn apply_edit(order: &mut OrderSession, stock: &StockLedger<'_>, settings: &SagaSettings) -> StepOutcome {
    let Some(edit) = order.order.open_edit() else { return Ok(StepProgress::Advanced) };
    let edit_id = edit.id.clone();
    let to_reserve = order.order.units_to_reserve();
    let tracked =
        |(sku, quantity): (_, &u32)| stock.tracked(sku).map(|stock| NeededUnits { sku, quantity: *quantity, stock });
    let needed: Vec<_> = to_reserve.iter().filter_map(tracked).collect();
    let mismatch = |it: &NeededUnits<'_>| {
        let (ordered, stocked) = (order.order.unit_after_edit(it.sku), it.stock.unit);
        (ordered != stocked).then(|| UnitMismatch { sku: it.sku.clone(), ordered, stocked })
    };
    let skus: Vec<UnitMismatch> = needed.iter().filter_map(mismatch).collect();
    if !skus.is_empty() {
        let reason = EditRejectionReason::OtherUnit { skus };
        order.decide_once(OrderCommand::RecordOrderEditRejected(OrderEditRejected { edit_id, reason }))?;
        return Ok(StepProgress::Advanced);
    }
    // After a conflict the stock is another. So this is decided anew then, and not repeated.
    order.decide_once(match choose_locations(&needed, &settings.locations) {
        Ok(units) => OrderCommand::RecordOrderEdited { edit_id, units },
        Err(shortages) => {
            let reason = EditRejectionReason::OutOfStock { shortages };
            OrderCommand::RecordOrderEditRejected(OrderEditRejected { edit_id, reason })
        }
    })?;
    Ok(StepProgress::Advanced)
}
