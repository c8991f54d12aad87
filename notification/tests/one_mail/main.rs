//! Requests through real queues and a database to an SES endpoint, and the answers back.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that lacks its surroundings can only fail")]

mod crashes;
mod once;
mod ses_failures;
mod stage;
