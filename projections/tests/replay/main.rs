//! Replays: rebuilding read models beside the live ones.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod fixture;
mod interrupted;
mod rebuilding;
mod rolling_back;
