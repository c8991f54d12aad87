//! For tests only: a Postgres, an SQS and an SES endpoint that need nothing but this machine, each test's own.
//!
//! Everything here listens on a free loopback port and goes away with the test process, however that ends. What cannot be
//! provided panics with the reason: a test has no better answer.
#![expect(clippy::expect_used, reason = "a test that lacks its surroundings can only fail")]

mod callers;
mod database;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod endpoints;
mod eventually;
mod faulty_gateway;
mod faulty_mailer;
mod orders;
mod seed;

pub use callers::{called_by, called_by_shop};
pub use database::{Database, database, durable_database, empty_database, read_models};
#[cfg(feature = "dynamodb")]
pub use dynamodb::{
    Dynamodb, dynamodb, dynamodb_client, dynamodb_read_models, failing_dynamodb, plain_dynamodb_client,
};
pub use endpoints::{inbox, ses_client, sns_client, sqs, sqs_client};
pub use eventually::eventually;
pub use faulty_gateway::{FaultyGateway, Payment, PaymentCall, PaymentFault};
pub use faulty_mailer::{FaultyMailer, Response};
pub use orders::demo_order;

/// The keys that messages are signed with, as the setting has them.
pub const MESSAGE_KEYS: &str = "test:dGhlc2Uga2V5cyBhcmUgZm9yIHRlc3RzIG9ubHkhISE=";
