//! Publication with a real Postgres, the embedded queues, and queues and topics that answer as they are told to.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod failing;
mod publishing;
mod support;
mod topic;
