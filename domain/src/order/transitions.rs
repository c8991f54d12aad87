//! What people may ask of an order, and when: one table, from which refusals, documentation and tests come.

use std::fmt;

use super::{Order, OrderStatus, PlacedOrder};

/// What people may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderAction {
    /// Call it off, or what of it was not sent.
    Cancel,
    /// Send it, or some of it.
    Ship,
    /// Say that it arrived.
    Deliver,
    /// Announce that some of it comes back.
    RequestReturn,
    /// Say that this came back.
    ReceiveReturn,
    /// Give money back.
    Refund,
    /// Write something down.
    AddNote,
}

/// Where an order is, as far as that decides what may be asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing is promised yet.
    Pending,
    /// What was done for it is being undone.
    Undoing,
    /// Promised, nothing sent.
    Confirmed,
    /// Some of it was sent.
    PartiallyShipped,
    /// All of it was sent.
    Shipped,
    /// All of it arrived.
    Completed,
    /// It could not be promised. For good.
    Rejected,
    /// It was called off. For good.
    Cancelled,
}

/// When each can be asked for; otherwise it is refused.
pub static TRANSITIONS: [(OrderAction, &[Stage]); 7] = {
    use Stage::{Cancelled, Completed, Confirmed, PartiallyShipped, Pending, Rejected, Shipped, Undoing};
    [
        (OrderAction::Cancel, &[Pending, Confirmed, PartiallyShipped]),
        (OrderAction::Ship, &[Confirmed, PartiallyShipped]),
        (OrderAction::Deliver, &[Shipped]),
        (OrderAction::RequestReturn, &[PartiallyShipped, Shipped, Completed]),
        (OrderAction::ReceiveReturn, &[PartiallyShipped, Shipped, Completed]),
        (OrderAction::Refund, &[PartiallyShipped, Shipped, Completed]),
        (
            OrderAction::AddNote,
            &[Pending, Undoing, Confirmed, PartiallyShipped, Shipped, Completed, Rejected, Cancelled],
        ),
    ]
};

/// What can be asked for at a stage.
pub fn allowed_at(stage: Stage) -> Vec<OrderAction> {
    TRANSITIONS.iter().filter(|(_, stages)| stages.contains(&stage)).map(|(action, _)| *action).collect()
}

impl Stage {
    /// All of them, in the order in which an order comes to them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Undoing,
        Self::Confirmed,
        Self::PartiallyShipped,
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
            Self::PartiallyShipped => "partially shipped",
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
            Self::Ship => "ship",
            Self::Deliver => "deliver",
            Self::RequestReturn => "returns",
            Self::ReceiveReturn => "returns/{returnId}/receive",
            Self::Refund => "refunds",
            Self::AddNote => "notes",
        }
    }
}

impl fmt::Display for Stage {
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
    /// Where it is; `None`: it was never posted.
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Absent => None,
            Self::Placed(placed) => Some(placed.stage()),
        }
    }
}

impl PlacedOrder {
    /// Where it is.
    pub fn stage(&self) -> Stage {
        match self.status {
            OrderStatus::Rejected => Stage::Rejected,
            OrderStatus::Cancelled => Stage::Cancelled,
            OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed if self.undoing.is_some() => {
                Stage::Undoing
            }
            OrderStatus::Pending => Stage::Pending,
            OrderStatus::Completed => Stage::Completed,
            OrderStatus::Confirmed if self.shipments.is_empty() => Stage::Confirmed,
            OrderStatus::Confirmed if self.is_all_shipped() => Stage::Shipped,
            OrderStatus::Confirmed => Stage::PartiallyShipped,
        }
    }
}
