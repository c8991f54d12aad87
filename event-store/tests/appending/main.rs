//! Appending: optimistic concurrency, group commit, and what happens when something fails.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod concurrency;
mod failures;
mod log;
mod queue;
mod support;
