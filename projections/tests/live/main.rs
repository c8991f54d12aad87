//! The live stream `GET /events/stream`.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod client;
mod following;
mod refusing;
mod selecting;
