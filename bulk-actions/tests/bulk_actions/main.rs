//! Bulk actions, as operators begin them and as processes carry them on.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod dead_letters;
mod routes;
mod sagas;
mod stub_sqs;
mod support;
