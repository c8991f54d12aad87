//! Queues that are kept in a folder.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod journal;
mod killed;
mod support;
