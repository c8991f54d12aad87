//! Orders that another system has handled: what happened to them there, as events that leave nothing to be done.
//!
//! An import is decided by the same rules as everything else. It is one append, so nobody ever sees the order in between: no units are
//! reserved, no provider is asked, no mail goes out. What is left out is recorded as decisions of whoever imports it.

use super::command::{OrderCommand, ShipOrder};
use super::decide::decide;
use super::error::OrderError;
use super::event::{CancellationRequested, OperatorIntervened, OrderCreated, OrderEvent, Parcel, PaymentCaptured};
use super::evolve::evolve;
use super::saga::{OperatorDecision, SagaStep};
use super::state::{Order, PlacedOrder, Shipment};
use crate::ids::ShipmentId;

/// The `source` of imported orders.
pub(crate) const IMPORT_SOURCE: &str = "import";
/// Why nothing is done for them.
const REASON: &str = "imported: it was done elsewhere";

/// How far an order came where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportedStatus {
    /// The customer was told that it will be sent, and it is still to be sent.
    Confirmed,
    /// All of it was sent.
    Shipped,
    /// All of it arrived.
    Delivered,
    /// It was cancelled, and what was paid went back.
    Cancelled,
}

impl ImportedStatus {
    pub const ALL: [Self; 4] = [Self::Confirmed, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// Its name in a body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether there is a shipment.
    pub(super) fn has_shipment(self) -> bool {
        matches!(self, Self::Shipped | Self::Delivered)
    }
}

/// An order of another system. All of it was paid elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderImport {
    pub content: OrderCreated,
    pub status: ImportedStatus,
    /// The parcels of its one shipment.
    pub parcels: Vec<Parcel>,
}

/// The events that make the order; none if it is there. `actor`: who imports it.
///
/// # Errors
/// There is another order under its id, or it was not all paid elsewhere.
pub fn import(order: &Order, import: OrderImport, actor: &str) -> Result<Vec<OrderEvent>, OrderError> {
    let OrderImport { content, status, parcels } = import;
    let mut imported = ImportedOrder { order: order.clone(), events: Vec::new(), actor };
    if !imported.carry_out(OrderCommand::CreateOrder(content))? {
        return Ok(Vec::new());
    }
    if status == ImportedStatus::Cancelled {
        imported.carry_out(OrderCommand::CancelOrder(CancellationRequested { reason: None }))?;
        imported.carry_out(OrderCommand::CloseOrder)?;
    } else {
        imported.skip(SagaStep::ReserveStock, None)?;
        imported.carry_out(OrderCommand::ConfirmOrder { mail_staff: false })?;
    }
    if status.has_shipment() {
        let shipped = ShipOrder { shipment_id: ShipmentId::of_import(), lines: None, parcels, location: None };
        imported.carry_out(OrderCommand::ShipOrder(shipped))?;
    }
    if status == ImportedStatus::Delivered {
        imported.carry_out(OrderCommand::DeliverOrder)?;
    }
    while imported.settle_next()? {}
    Ok(imported.events)
}

impl PlacedOrder {
    /// Whether a shipment was made, and invoiced, where the order was imported from.
    pub(super) fn was_shipped_elsewhere(&self, shipment: &Shipment) -> bool {
        self.content.source.as_deref() == Some(IMPORT_SOURCE) && shipment.id == ShipmentId::of_import()
    }
}

/// An order on its way through what happened to it.
struct ImportedOrder<'a> {
    order: Order,
    events: Vec<OrderEvent>,
    actor: &'a str,
}

impl ImportedOrder<'_> {
    /// Whether anything changed.
    fn carry_out(&mut self, command: OrderCommand) -> Result<bool, OrderError> {
        let events = decide(&self.order, command)?;
        events.iter().for_each(|event| evolve(&mut self.order, event.clone()));
        let changed = !events.is_empty();
        self.events.extend(events);
        Ok(changed)
    }

    fn skip(&mut self, step: SagaStep, payment_number: Option<u32>) -> Result<bool, OrderError> {
        self.carry_out(OrderCommand::Intervene(OperatorIntervened {
            decision: OperatorDecision::Skip,
            step,
            actor: self.actor.to_owned(),
            reason: REASON.to_owned(),
            customer_message: None,
            notification_id: None,
            payment_number,
        }))
    }

    /// Records the next thing that a saga would see to. Returns whether there was any.
    fn settle_next(&mut self) -> Result<bool, OrderError> {
        let Order::Placed(placed) = &self.order else { return Ok(false) };
        let to_give_back = placed.manual_refunds().next().map(|refund| placed.payment_name(refund.payment_number()));
        let was_settled = if let Some(captured) = next_capture(placed) {
            self.carry_out(OrderCommand::RecordPaymentCaptured(captured))?
        } else if placed.owed_mail().is_some() {
            self.skip(SagaStep::NotifyCustomer, None)?
        } else if let Some(payment_number) = to_give_back {
            self.skip(SagaStep::RefundManually, payment_number)?
        } else {
            return Ok(false);
        };
        // What changes nothing would be next for ever.
        if was_settled { Ok(true) } else { Err(OrderError::Stale) }
    }
}

/// The share of its shipment that is next: it was paid elsewhere.
fn next_capture(placed: &PlacedOrder) -> Option<PaymentCaptured> {
    let (shipment, capture) = placed.next_capture()?;
    let number = capture.payment_number;
    let posted = usize::try_from(number).ok().and_then(|number| placed.content.payments.get(number.checked_sub(1)?));
    Some(PaymentCaptured {
        shipment_id: shipment.id.clone(),
        amount_minor: placed.capture_minor(&shipment.id, number),
        reference: posted.and_then(|payment| payment.reference.clone()).unwrap_or_default(),
        payment_number: placed.payment_name(number),
    })
}
