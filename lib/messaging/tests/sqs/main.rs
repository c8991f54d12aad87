//! Queues, producer and consumer against an SQS endpoint in this process, or against the one named by
//! `TEST_SQS_ENDPOINT`. (A server that does not keep groups apart between receives at the same time, such as moto,
//! fails the test of their order.)
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that lacks its surroundings can only fail")]

mod consumer;
mod dead_letters;
mod faulty;
mod producer;
mod queues;
mod stage;
