//! The stock commands that an order's events imply. Both are stored together, or not at all.

use std::collections::BTreeSet;

use super::event::{
    EditEvent, FulfilmentEvent, OperatorEvent, OrderEdited, OrderEvent, OrderSubject, PaymentEvent, ReservationEvent,
    ReturnEvent, ReturnReceived, SkuQuantity,
};
use super::saga::{OperatorDecision, SagaStep};
use super::state::{OrderStockState, PlacedOrder};
use crate::ids::{LocationId, OrderId, Sku};
use crate::stock::{ReservationMade, StockCommand, StockReturned};

/// Whether an event implies commands that change the stock.
pub fn implies_stock_commands(event: &OrderEvent) -> bool {
    match event.subject() {
        OrderSubject::Reservation(ReservationEvent::StockReserved(reserved)) => !reserved.units.is_empty(),
        OrderSubject::Reservation(ReservationEvent::StockReservationFailed(_)) => false,
        OrderSubject::Reservation(ReservationEvent::StockReleased(_)) => true,
        OrderSubject::Payment(payment) => matches!(payment, PaymentEvent::PaymentCaptured(_)),
        OrderSubject::Edit(edit) => matches!(edit, EditEvent::OrderEdited(_)),
        OrderSubject::Fulfilment(fulfilment) => matches!(fulfilment, FulfilmentEvent::LinesCancelled(_)),
        OrderSubject::Return(ReturnEvent::ReturnReceived(received)) => received.lines.iter().any(|line| line.restock),
        // An operator goes on without the money of a shipment. Its units have left the stock all the same.
        OrderSubject::Operator(OperatorEvent::OperatorIntervened(it)) => {
            it.step == SagaStep::CapturePayment
                && matches!(it.decision, OperatorDecision::Skip | OperatorDecision::MarkFailed)
        }
        OrderSubject::Return(ReturnEvent::ReturnRequested(_) | ReturnEvent::ReturnCancelled(_))
        | OrderSubject::Lifecycle(_)
        | OrderSubject::Refund(_)
        | OrderSubject::Notification(_)
        | OrderSubject::Note(_)
        | OrderSubject::Document(_) => false,
    }
}

/// The stock commands that an event implies, by SKU. `order` is the order after the event.
pub fn implied_stock_commands(order_id: &OrderId, order: &PlacedOrder, event: &OrderEvent) -> Vec<(Sku, StockCommand)> {
    if let OrderEvent::StockReserved(reserved) = event {
        let reserve = |units: &SkuQuantity| {
            let (order_id, expires_at) = (order_id.clone(), reserved.expires_at);
            let (quantity, location) = (units.quantity, units.location.clone());
            let made = ReservationMade { unit: order.unit_of(&units.sku), order_id, quantity, location, expires_at };
            (units.sku.clone(), StockCommand::Reserve(made))
        };
        return reserved.units.iter().map(reserve).collect();
    }
    if let OrderEvent::LinesCancelled(cancelled) = event {
        let lines = cancelled.lines.iter().filter_map(|it| order.line(it.line_number));
        let skus: BTreeSet<&Sku> = lines.map(|line| &line.sku).collect();
        let mut needed = order.needed_by_location();
        needed.retain(|(sku, _, _)| skus.contains(sku));
        let keep = |(sku, location, needed): (&Sku, LocationId, u32)| {
            (sku.clone(), StockCommand::ReleaseBeyond { order_id: order_id.clone(), location, needed })
        };
        return needed.into_iter().map(keep).collect();
    }
    if let OrderEvent::OrderEdited(edited) = event {
        return edited_units(order_id, order, edited);
    }
    if let OrderEvent::ReturnReceived(received) = event {
        return restocked(order_id, order, received);
    }
    if let OrderEvent::OrderShipped(_) = event {
        let check = |(sku, location, shipped): (&Sku, &LocationId, u32)| {
            (sku.clone(), StockCommand::CheckOnHand { order_id: order_id.clone(), location: location.clone(), shipped })
        };
        return order.shipped_backorders().into_iter().map(check).collect();
    }
    if !implies_stock_commands(event) {
        return vec![];
    }
    if let OrderEvent::StockReleased(_) = event {
        let skus: BTreeSet<&Sku> = order.content.lines.iter().map(|line| &line.sku).collect();
        let release = |sku: &Sku| (sku.clone(), StockCommand::Release { order_id: order_id.clone() });
        return skus.into_iter().map(release).collect();
    }
    let commit = |(sku, location, shipped): (&Sku, LocationId, u32)| {
        (sku.clone(), StockCommand::Commit { order_id: order_id.clone(), location, shipped })
    };
    order.settled_by_location().into_iter().map(commit).collect()
}

/// What an edit means for units: those of its lines that the order needs no longer are released, and those that it needs more reserved.
fn edited_units(order_id: &OrderId, order: &PlacedOrder, edited: &OrderEdited) -> Vec<(Sku, StockCommand)> {
    let OrderStockState::Reserved(reserved) = &order.stock else { return vec![] };
    let more: BTreeSet<(&Sku, &LocationId)> = edited.units.iter().map(|units| (&units.sku, &units.location)).collect();
    let lines = edited.changes.lines.iter().filter_map(|it| order.line(it.line_number));
    let changed: BTreeSet<&Sku> = lines.map(|line| &line.sku).collect();
    let settled = order.settled_by_location();
    let command = |(sku, location, needed): (&Sku, LocationId, u32)| {
        let (order_id, expires_at) = (order_id.clone(), reserved.expires_at);
        if more.contains(&(sku, &location)) {
            let shipped = settled.iter().find(|(of, at, _)| (*of, at) == (sku, &location)).map_or(0, |it| it.2);
            let unit = order.unit_of(sku);
            let more = StockCommand::ReserveMore { order_id, location, needed, shipped, expires_at, unit };
            return Some((sku.clone(), more));
        }
        changed.contains(sku).then(|| (sku.clone(), StockCommand::ReleaseBeyond { order_id, location, needed }))
    };
    order.needed_by_location().into_iter().filter_map(command).collect()
}

/// The units of a receipt that are put back, by SKU.
fn restocked(order_id: &OrderId, order: &PlacedOrder, received: &ReturnReceived) -> Vec<(Sku, StockCommand)> {
    let so_far = order.restocked_by_sku();
    let put_back = |(sku, quantity): (&Sku, u32)| {
        // The order knows of these already.
        let before = so_far.get(sku).copied().unwrap_or(0).saturating_sub(quantity);
        let (sku, unit) = (sku.clone(), order.unit_of(sku));
        let places = match &received.location {
            Some(location) => vec![(location.clone(), quantity)],
            None => order.origins(&sku, before, quantity),
        };
        places.into_iter().map(move |(location, quantity)| {
            let (order_id, return_id) = (order_id.clone(), received.return_id.clone());
            (sku.clone(), StockCommand::PutBack(StockReturned { unit, order_id, return_id, quantity, location }))
        })
    };
    order.units_to_restock(&received.lines).into_iter().flat_map(put_back).collect()
}
