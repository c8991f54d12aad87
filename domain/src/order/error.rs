//! Why an order refuses a command.

use uuid::Uuid;

use super::transitions::{OrderAction, OrderStage};
use crate::body::BodyViolation;
use crate::ids::{HoldId, LocationId, ReturnId, ShipmentId};
use crate::quantity::Quantity;

/// Why an order refuses a command. Each states the fact that stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is another order under this id.
    #[error("an order with this id and other content already exists")]
    ExistsWithOtherContent,
    /// There is no order to do this with.
    #[error("there is no such order")]
    NoSuchOrder,
    /// The order's stage does not allow the action.
    #[error("the order is {stage}: {action} is not possible{}", list(allowed))]
    NotAllowed {
        /// The action.
        action: OrderAction,
        /// The order's stage.
        stage: OrderStage,
        /// The actions that are possible now.
        allowed: Vec<OrderAction>,
    },
    /// There is another shipment, cancellation, edit, hold, return, receipt, refund or note of the order under this id.
    #[error("there is another {what} with this id")]
    IdTaken {
        /// What has the id.
        what: &'static str,
    },
    /// The order has no such line.
    #[error("the order has no line {line_number}")]
    NoSuchLine {
        /// From 1.
        line_number: u32,
    },
    /// A line is named twice.
    #[error("line {line_number} is named twice")]
    LineTwice {
        /// From 1.
        line_number: u32,
    },
    /// There is less of the line than that.
    #[error("of line {line_number} only {left} are left")]
    TooMany {
        /// From 1.
        line_number: u32,
        /// How much of it there is.
        left: Quantity,
    },
    /// Of the line, less than that is left at the location.
    #[error("of line {line_number} only {left} are left at {location}")]
    TooManyAtLocation {
        /// From 1.
        line_number: u32,
        /// How much there is.
        left: Quantity,
        /// Where.
        location: LocationId,
    },
    /// Nothing of the order is left to ship at the location.
    #[error("nothing of the order is left at {0}")]
    NothingAtLocation(LocationId),
    /// Lines can be cancelled only after the order is confirmed.
    #[error("single lines can be cancelled once the order is confirmed; all of it can be now")]
    NotConfirmed,
    /// These lines are the whole order.
    #[error("this is all of the order: cancel it without lines")]
    AllOfIt,
    /// There is no such shipment.
    #[error("the order has no shipment {0}")]
    NoSuchShipment(ShipmentId),
    /// There is no such hold.
    #[error("the order has no hold {0}")]
    NoSuchHold(HoldId),
    /// There is no such return.
    #[error("the order has no return {0}")]
    NoSuchReturn(ReturnId),
    /// Nothing of the return is still to come.
    #[error("the return {return_id} was {was}")]
    ReturnIsClosed {
        /// The return.
        return_id: ReturnId,
        /// What became of it.
        was: &'static str,
    },
    /// The order has no such mail, or it has no outcome yet.
    #[error("the order has no mail {0} that was sent or given up")]
    NoSuchMail(Uuid),
    /// The mail must not go out any more.
    #[error("the order is cancelled: the mail that confirms it is not true any more")]
    MailWithdrawn,
    /// The amount is more than the customer paid and did not get back.
    #[error("only {left_minor} minor units can be refunded")]
    MoreThanCaptured {
        /// In minor units.
        left_minor: i64,
    },
    /// The edit does not fit the order.
    #[error("the edit does not fit the order: {}", in_words(.0))]
    InvalidEdit(Vec<BodyViolation>),
    /// The order has as many of these as it takes.
    #[error("an order takes {limit} {action} at the most, and this one has as many")]
    TooManyOf {
        /// The action.
        action: OrderAction,
        /// How many it takes.
        limit: u32,
    },
    /// The order would exceed its size limit.
    #[error("what hangs on an order takes {limit_bytes} bytes at the most, and this would be more")]
    TooMuch {
        /// How many bytes it takes.
        limit_bytes: u64,
    },
    /// The order has changed, and what is reported does not apply to it any more.
    #[error("the order has gone another way")]
    Stale,
    /// The operator's decision is not possible.
    #[error("{0}")]
    CannotIntervene(String),
}

fn in_words(violations: &[BodyViolation]) -> String {
    let words: Vec<String> = violations.iter().map(|it| format!("{} {}", it.pointer, it.message)).collect();
    words.join("; ")
}

fn list(allowed: &[OrderAction]) -> String {
    let names: Vec<&str> = allowed.iter().map(|action| action.name()).collect();
    if names.is_empty() { String::new() } else { format!("; possible: {}", names.join(", ")) }
}
