//! Which actions an order takes at which stage: one table, which refusals, documentation and tests use.

use std::fmt;

use super::command::OrderCommand;
use super::{Order, OrderStatus, PlacedOrder};

/// An action that people take on an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderAction {
    /// Cancel it, or what of it was not shipped.
    Cancel,
    /// Change it before it ships.
    Edit,
    /// Ship it, or some of it.
    Ship,
    /// Record that all of it arrived.
    Deliver,
    /// Record that one shipment arrived.
    DeliverShipment,
    /// Correct how a shipment is followed.
    ChangeTracking,
    /// Have nothing shipped for now.
    Hold,
    /// End holds.
    Release,
    /// Announce that goods come back.
    RequestReturn,
    /// Record that goods of a return came back.
    ReceiveReturn,
    /// Record that the rest of a return is not coming.
    CancelReturn,
    /// Give money back.
    Refund,
    /// Send a mail once more.
    ResendMail,
    /// Add a note.
    AddNote,
}

/// Where an order stands. This decides which actions it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStage {
    /// It is not confirmed yet.
    Pending,
    /// What was done for it is being undone.
    Undoing,
    /// It is confirmed, and nothing is shipped.
    Confirmed,
    /// It is confirmed, nothing is shipped, and nothing is to be for now.
    ConfirmedOnHold,
    /// It is confirmed, nothing is shipped, and an edit is in work.
    Editing,
    /// Some of it is shipped.
    PartiallyShipped,
    /// Some of it is shipped, and no more is to be for now.
    PartiallyShippedOnHold,
    /// Some of it is shipped, and an edit is in work.
    PartiallyShippedEditing,
    /// All of it is shipped.
    Shipped,
    /// All of it arrived.
    Completed,
    /// It could not be confirmed. This is final.
    Rejected,
    /// It was cancelled. This is final.
    Cancelled,
}

/// The stages at which each action is taken. At any other stage it is refused.
pub static TRANSITIONS: [(OrderAction, &[OrderStage]); 14] = {
    use OrderStage::{
        Cancelled, Completed, Confirmed, ConfirmedOnHold, Editing, PartiallyShipped, PartiallyShippedEditing,
        PartiallyShippedOnHold, Pending, Rejected, Shipped, Undoing,
    };
    // Something of it is shipped.
    const SENT: &[OrderStage] =
        &[PartiallyShipped, PartiallyShippedOnHold, PartiallyShippedEditing, Shipped, Completed];
    // Something of it can still be shipped, once it is confirmed.
    const OPEN: &[OrderStage] = &[
        Pending,
        Confirmed,
        ConfirmedOnHold,
        Editing,
        PartiallyShipped,
        PartiallyShippedOnHold,
        PartiallyShippedEditing,
    ];
    [
        (OrderAction::Cancel, OPEN),
        (OrderAction::Edit, &[Confirmed, ConfirmedOnHold, PartiallyShipped, PartiallyShippedOnHold]),
        (OrderAction::Ship, &[Confirmed, PartiallyShipped]),
        (OrderAction::Deliver, &[Shipped]),
        (OrderAction::DeliverShipment, &[PartiallyShipped, PartiallyShippedOnHold, PartiallyShippedEditing, Shipped]),
        (OrderAction::ChangeTracking, SENT),
        (OrderAction::Hold, OPEN),
        (OrderAction::Release, &[Pending, ConfirmedOnHold, Editing, PartiallyShippedOnHold, PartiallyShippedEditing]),
        (OrderAction::RequestReturn, SENT),
        (OrderAction::ReceiveReturn, SENT),
        (OrderAction::CancelReturn, SENT),
        (OrderAction::Refund, SENT),
        (
            OrderAction::ResendMail,
            &[
                Confirmed,
                ConfirmedOnHold,
                Editing,
                PartiallyShipped,
                PartiallyShippedOnHold,
                PartiallyShippedEditing,
                Shipped,
                Completed,
                Rejected,
                Cancelled,
            ],
        ),
        (
            OrderAction::AddNote,
            &[
                Pending,
                Undoing,
                Confirmed,
                ConfirmedOnHold,
                Editing,
                PartiallyShipped,
                PartiallyShippedOnHold,
                PartiallyShippedEditing,
                Shipped,
                Completed,
                Rejected,
                Cancelled,
            ],
        ),
    ]
};

impl OrderCommand {
    /// The action that the command asks for; `None`: people do not ask for it, or it creates the order.
    pub(super) fn action(&self) -> Option<OrderAction> {
        match self {
            Self::CancelOrder(_) | Self::CancelLines(_) => Some(OrderAction::Cancel),
            Self::RequestEdit(_) => Some(OrderAction::Edit),
            Self::ShipOrder(_) => Some(OrderAction::Ship),
            Self::DeliverOrder => Some(OrderAction::Deliver),
            Self::DeliverShipment(_) => Some(OrderAction::DeliverShipment),
            Self::ChangeTracking(_) => Some(OrderAction::ChangeTracking),
            Self::HoldOrder(_) => Some(OrderAction::Hold),
            Self::ReleaseOrder(_) => Some(OrderAction::Release),
            Self::RequestReturn(_) => Some(OrderAction::RequestReturn),
            Self::ReceiveReturn(_) => Some(OrderAction::ReceiveReturn),
            Self::CancelReturn(_) => Some(OrderAction::CancelReturn),
            Self::RequestRefund(_) => Some(OrderAction::Refund),
            Self::ResendMail(_) => Some(OrderAction::ResendMail),
            Self::AddNote(_) => Some(OrderAction::AddNote),
            Self::CreateOrder(_)
            | Self::RecordStockReserved(_)
            | Self::RecordStockReservationFailed(_)
            | Self::RecordStockReleased(_)
            | Self::RecordPaymentAuthorized(_)
            | Self::RecordPaymentDeclined(_)
            | Self::RecordPaymentOutcomeUnknown(_)
            | Self::RecordPaymentVoided(_)
            | Self::ConfirmOrder { .. }
            | Self::RecordOrderEdited { .. }
            | Self::RecordOrderEditRejected(_)
            | Self::RecordPaymentCaptured(_)
            | Self::RecordPaymentRefunded(_)
            | Self::CloseOrder
            | Self::RecordNotificationSent(_)
            | Self::RecordNotificationFailed(_)
            | Self::Intervene(_) => None,
        }
    }
}

/// The actions that an order takes at a stage.
pub(super) fn allowed_at(stage: OrderStage) -> Vec<OrderAction> {
    TRANSITIONS.iter().filter(|(_, stages)| stages.contains(&stage)).map(|(action, _)| *action).collect()
}

impl OrderStage {
    /// All stages, in the order in which an order reaches them.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::Undoing,
        Self::Confirmed,
        Self::ConfirmedOnHold,
        Self::Editing,
        Self::PartiallyShipped,
        Self::PartiallyShippedOnHold,
        Self::PartiallyShippedEditing,
        Self::Shipped,
        Self::Completed,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Undoing => "being undone",
            Self::Confirmed => "confirmed",
            Self::ConfirmedOnHold => "confirmed and on hold",
            Self::Editing => "being edited",
            Self::PartiallyShipped => "partially shipped",
            Self::PartiallyShippedOnHold => "partially shipped and on hold",
            Self::PartiallyShippedEditing => "partially shipped and being edited",
            Self::Shipped => "shipped",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

impl OrderAction {
    /// Its name, as in the path that asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Edit => "edits",
            Self::Ship => "ship",
            Self::Deliver => "deliver",
            Self::DeliverShipment => "shipments/{shipmentId}/deliver",
            Self::ChangeTracking => "shipments/{shipmentId}/parcels",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::RequestReturn => "returns",
            Self::ReceiveReturn => "returns/{returnId}/receive",
            Self::CancelReturn => "returns/{returnId}/cancel",
            Self::Refund => "refunds",
            Self::ResendMail => "mails/{notificationId}/resend",
            Self::AddNote => "notes",
        }
    }
}

impl fmt::Display for OrderStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for OrderAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Order {
    /// The order's stage; `None`: it was never posted.
    pub fn stage(&self) -> Option<OrderStage> {
        match self {
            Self::Absent => None,
            Self::Placed(placed) => Some(placed.stage()),
        }
    }
}

impl PlacedOrder {
    /// The order's stage.
    pub fn stage(&self) -> OrderStage {
        let is_on_hold = || self.open_holds().next().is_some();
        match self.status {
            OrderStatus::Rejected => OrderStage::Rejected,
            OrderStatus::Cancelled => OrderStage::Cancelled,
            OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed if self.undoing.is_some() => {
                OrderStage::Undoing
            }
            OrderStatus::Pending => OrderStage::Pending,
            OrderStatus::Completed => OrderStage::Completed,
            OrderStatus::Confirmed if self.open_edit().is_some() && self.shipments.is_empty() => OrderStage::Editing,
            OrderStatus::Confirmed if self.open_edit().is_some() => OrderStage::PartiallyShippedEditing,
            OrderStatus::Confirmed if self.shipments.is_empty() && is_on_hold() => OrderStage::ConfirmedOnHold,
            OrderStatus::Confirmed if self.shipments.is_empty() => OrderStage::Confirmed,
            OrderStatus::Confirmed if self.is_all_shipped() => OrderStage::Shipped,
            OrderStatus::Confirmed if is_on_hold() => OrderStage::PartiallyShippedOnHold,
            OrderStatus::Confirmed => OrderStage::PartiallyShipped,
        }
    }
}
