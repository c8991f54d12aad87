//! Copies of a subscriber: how they share the work, what becomes of events that can't be handled, what operators see.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod beginning;
mod database_crash;
mod gathering;
mod lost_commits;
mod operations;
mod parking;
mod sharing;
mod single_copy;
mod support;
