//! Deliveries against a real Postgres and receivers over HTTP.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod addresses;
mod delivering;
mod failing;
mod replaying;
mod support;
