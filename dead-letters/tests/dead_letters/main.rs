//! Dead letters, as operators look at them and decide about them.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod deciding;
mod looking;
mod lost_answers;
mod support;
