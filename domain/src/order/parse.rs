//! Turns the body of a request into a command. One answer names every violation.

mod commands;
mod create;
mod decision;
mod edits;
mod import;

pub use commands::{
    parse_cancellation, parse_delivery, parse_hold, parse_note, parse_nothing, parse_refund, parse_release,
    parse_return, parse_return_cancellation, parse_return_receipt, parse_shipment, parse_tracking,
};
pub(super) use create::MAX_ITEMS;
pub use create::PostedOrder;
pub(crate) use create::read_instant;
pub use decision::{StepDecision, parse_decision};
pub use edits::parse_edit;
pub use import::PostedImport;
