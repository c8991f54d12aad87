//! The commands on an order that exists: their answers, and what is stored.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod answers;
mod batch;
mod callers;
mod edits;
mod idempotency;
mod import;
mod preconditions;
mod refusals;
mod returns;
mod shop;
