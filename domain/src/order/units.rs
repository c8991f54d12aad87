//! The stock commands that an order's events imply. Both are stored together, or not at all.

use std::collections::BTreeSet;

use super::event::{OrderEvent, OrderSubject, ReservedUnits};
use super::saga::{OperatorDecision, SagaStep};
use super::state::PlacedOrder;
use crate::ids::{OrderId, Sku};
use crate::stock::{ReservationMade, StockCommand};

/// Whether an event implies stock commands.
pub fn moves_units(event: &OrderEvent) -> bool {
    match event.subject() {
        OrderSubject::Stock => {
            matches!(event, OrderEvent::StockReserved(reserved) if !reserved.units.is_empty())
                || matches!(event, OrderEvent::StockReleased(_))
        }
        OrderSubject::Payment => matches!(event, OrderEvent::PaymentCaptured(_)),
        OrderSubject::Fulfilment => matches!(event, OrderEvent::LinesCancelled(_)),
        OrderSubject::Operator => gives_up_capture(event),
        OrderSubject::Lifecycle
        | OrderSubject::Return
        | OrderSubject::Refund
        | OrderSubject::Notification
        | OrderSubject::Note => false,
    }
}

/// The stock commands that an event implies, by SKU. `order` is the order after the event.
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

/// Whether an operator goes on without the money of a shipment. Its units have left the stock all the same.
fn gives_up_capture(event: &OrderEvent) -> bool {
    let OrderEvent::OperatorIntervened(it) = event else { return false };
    it.step == SagaStep::CapturePayment && matches!(it.decision, OperatorDecision::Skip | OperatorDecision::MarkFailed)
}
