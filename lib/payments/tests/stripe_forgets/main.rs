//! Captures, refunds and authorizations at a Stripe that forgets keys, loses requests and answers, and keeps its
//! failures: each is made once.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod fake;
mod once;
mod unmarked;
