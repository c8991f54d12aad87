//! The hash chain over the log: what is appended gets sealed, and whatever is changed afterwards is found.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod head;
mod sealing;
mod support;
mod tampering;
