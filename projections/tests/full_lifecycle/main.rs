//! The orders read model over an order's full lifecycle.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod customers;
mod earlier_rows;
mod events;
mod guests;
mod posted;
mod read_side;
mod views;
