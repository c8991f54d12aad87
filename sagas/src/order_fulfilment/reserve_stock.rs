//! Sets the units of an order aside, all of them or none; puts them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::Sku;
use domain::order::event::{ReservedUnits, Shortage, StockReleased, StockReservationFailed, StockReserved};
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PlacedOrder, Stage, StockState};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::Context;
use crate::case::Case;
use crate::saga::{Done, Kind, Outcome, Step, StepError, Undo, UndoStep};
use crate::shelf::{Saved, Shelf, save_with_units};

pub(super) const STEP: Step = Step {
    name: SagaStep::ReserveStock,
    kind: Kind::Compensable,
    is_due: |order| order.stage() == Stage::Pending && order.stock == StockState::None,
    run: reserve,
    undo: Undo::By(UndoStep { name: SagaStep::ReleaseStock, is_due: PlacedOrder::holds_units, run: release }),
};

fn reserve<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    let hold = context.settings.reservation_hold;
    let plan = move |case: &mut Case, shelf: &Shelf<'_>| {
        let (mut units, mut shortages) = (Vec::new(), Vec::new());
        for (sku, quantity) in wanted(&case.order) {
            match shelf.available(sku) {
                None => {}
                Some(available) if available >= i64::from(quantity) => {
                    units.push(ReservedUnits { sku: sku.clone(), quantity });
                }
                Some(available) => {
                    shortages.push(Shortage { sku: sku.clone(), requested: quantity, available });
                }
            }
        }
        let command = if shortages.is_empty() {
            OrderCommand::RecordStockReserved(StockReserved { units, expires_at: case.now + hold })
        } else {
            OrderCommand::RecordStockReservationFailed(StockReservationFailed { shortages })
        };
        case.take_for_now(command).map_err(|refusal| StepError::new(&refusal))
    };
    async move { outcomes(save_with_units(&context.store, &context.stock, cases, plan).await) }.boxed()
}

/// What an order needs of each SKU.
fn wanted(order: &PlacedOrder) -> BTreeMap<&Sku, u32> {
    let mut wanted = BTreeMap::new();
    for line in &order.content.lines {
        *wanted.entry(&line.sku).or_default() += line.quantity;
    }
    wanted
}

fn release<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    put_back(context, cases, false)
}

/// Puts units back that were set aside for too long.
pub(crate) fn expire<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    put_back(context, cases, true)
}

fn put_back<'a>(context: &'a Arc<Context>, cases: Vec<Case>, expired: bool) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    let plan = move |case: &mut Case, _: &Shelf<'_>| {
        let released = OrderCommand::RecordStockReleased(StockReleased { expired });
        case.take_for_now(released).map_err(|refusal| StepError::new(&refusal))
    };
    async move { outcomes(save_with_units(&context.store, &context.stock, cases, plan).await) }.boxed()
}

fn outcomes(saved: Vec<Saved>) -> Vec<(Case, Outcome)> {
    saved.into_iter().map(|(case, saved)| (case, saved.map(|()| Done::Moved))).collect()
}
