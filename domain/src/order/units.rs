//! What an event of an order means for the units of its SKUs: both are stored together, or not at all.

use std::collections::BTreeSet;

use super::event::{OrderEvent, ReservedUnits};
use super::saga::{OperatorDecision, SagaStep};
use super::state::PlacedOrder;
use crate::ids::{OrderId, Sku};
use crate::stock::{ReservationMade, StockCommand};

/// Whether an event means anything for units.
pub fn moves_units(event: &OrderEvent) -> bool {
    match event {
        OrderEvent::StockReserved(reserved) => !reserved.units.is_empty(),
        OrderEvent::StockReleased(_) | OrderEvent::PaymentCaptured(_) | OrderEvent::LinesCancelled(_) => true,
        OrderEvent::OperatorIntervened(it) => {
            it.step == SagaStep::CapturePayment
                && matches!(it.decision, OperatorDecision::Skip | OperatorDecision::MarkFailed)
        }
        OrderEvent::OrderCreated(_)
        | OrderEvent::StockReservationFailed(_)
        | OrderEvent::PaymentAuthorized(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::PaymentOutcomeUnknown(_)
        | OrderEvent::PaymentVoided(_)
        | OrderEvent::RefundRequested(_)
        | OrderEvent::PaymentRefunded(_)
        | OrderEvent::OrderConfirmed(_)
        | OrderEvent::OrderRejected(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderCancelled(_)
        | OrderEvent::OrderShipped(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::ReturnRequested(_)
        | OrderEvent::ReturnReceived(_)
        | OrderEvent::NotificationSent(_)
        | OrderEvent::NotificationFailed(_)
        | OrderEvent::NoteAdded(_) => false,
    }
}

/// What an event of an order asks of the SKUs that it is about. `order` is as the event left it.
pub fn unit_moves(order_id: &OrderId, order: &PlacedOrder, event: &OrderEvent) -> Vec<(Sku, StockCommand)> {
    if let OrderEvent::StockReserved(reserved) = event {
        let reserve = |units: &ReservedUnits| {
            let (order_id, expires_at) = (order_id.clone(), reserved.expires_at);
            let made = ReservationMade { order_id, quantity: units.quantity, expires_at };
            (units.sku.clone(), StockCommand::Reserve(made))
        };
        return reserved.units.iter().map(reserve).collect();
    }
    if let OrderEvent::LinesCancelled(cancelled) = event {
        let lines = cancelled.lines.iter().filter_map(|it| order.line(it.line_number));
        let skus: BTreeSet<&Sku> = lines.map(|line| &line.sku).collect();
        let mut needed = order.needed_by_sku();
        needed.retain(|sku, _| skus.contains(sku));
        let keep = |(sku, needed): (&Sku, u32)| {
            (sku.clone(), StockCommand::ReleaseBeyond { order_id: order_id.clone(), needed })
        };
        return needed.into_iter().map(keep).collect();
    }
    if !moves_units(event) {
        return vec![];
    }
    let command = |shipped: u32| {
        let order_id = order_id.clone();
        if let OrderEvent::StockReleased(_) = event {
            StockCommand::Release { order_id }
        } else {
            StockCommand::Commit { order_id, shipped }
        }
    };
    order.settled_by_sku().into_iter().map(|(sku, shipped)| (sku.clone(), command(shipped))).collect()
}
