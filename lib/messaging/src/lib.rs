//! What the parts of Ordo say to each other over SQS, and how.
//!
//! - [`envelope`]: every body is a CloudEvents 1.0 event in structured JSON.
//! - [`contract`]: the data inside: what the fulfilment saga asks of notification, and what it is answered.
//! - [`queues`]: which queues there are, and their attributes.
//! - [`producer`]: sends in batches, and says what became of each message.
//! - [`consumer`]: receives, renews, retries, and ends in the dead-letter queue what cannot be done.
//! - [`depth`]: how many messages a queue has.
//! - [`dead_letters`]: what became of those, in the hands of operators.
//! - [`SqsError`]: why a call to SQS failed, as operators read it.
//!
//! Nothing here knows the rules of orders, and nothing rests on the queue alone: messages may be lost, doubled or late.

pub mod consumer;
pub mod contract;
pub mod dead_letters;
pub mod depth;
pub mod envelope;
mod failure;
pub mod producer;
pub mod queues;
pub mod settings;

pub use consumer::{Backoff, Consumer, ConsumerSettings, Failures, Handler, HandlerError, Received};
pub use contract::{
    Line, NotificationAnswer, NotificationFailed, NotificationRequested, NotificationSent, Parcel, Shipment, Template,
};
pub use dead_letters::{DeadLetter, DeadLetterError, DeadLetters, Origin, Sweep};
pub use depth::QueueDepth;
pub use envelope::{CloudEvent, Contract, EnvelopeError};
pub use failure::SqsError;
pub use producer::{JoinedProducer, Outgoing, Producer, ProducerSettings, SendError};
pub use queues::{Queue, QueueError, QueueSettings, QueueWatch, Queues};
pub use settings::{InvalidSettings, SettingError};
