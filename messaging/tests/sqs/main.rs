//! Queues, producer and consumer against an SQS endpoint in this process, or against the one named by `TEST_SQS_ENDPOINT`.

mod consumer;
mod faulty;
mod producer;
mod queues;
mod stage;
