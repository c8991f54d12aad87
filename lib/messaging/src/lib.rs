//! Messages between the parts of Ordo over SQS, and to other programs over SQS and SNS.
//!
//! - `envelope`: every body is a CloudEvents 1.0 event in structured JSON.
//! - `contract`: the data inside: the requests of the fulfilment saga to notification, and the answers.
//! - [`queues`]: the queues and their attributes.
//! - `producer`: sends in batches to a queue or a topic, and returns a result for each message.
//! - `consumer`: receives, handles and retries messages, and moves those that fail for good to the dead-letter queue.
//! - `queue_depth`: how many messages a queue has.
//! - `dead_letters`: what operators do with those.
//! - `signature`: how a consumer tells that a message is genuine.
//! - `error`: errors of SQS and SNS, in words for operators.
//!
//! Nothing here knows the rules of orders. No correctness depends on the queue: messages may be lost, doubled or late.

mod consumer;
mod contract;
mod dead_letters;
mod envelope;
mod error;
mod producer;
mod queue_depth;
pub mod queues;
mod settings;
mod signature;

pub use consumer::{
    Consumer, ConsumerSettings, ExponentialBackoff, MessageFailureCounts, MessageHandler, MessageHandlerError,
    ReceivedMessage,
};
pub use contract::{
    DocumentLink, EditDetails, EditedLine, NotificationAnswer, NotificationFailed, NotificationRequested,
    NotificationSent, NotificationTemplate, OrderDetails, OrderedLine, OrderedMeasure, ParcelTracking, PostalAddress,
    RejectionCause, ShipmentTracking, TotalParts, WaitingUnits,
};
pub use dead_letters::{
    BodyEditError, BodyFieldEdit, DeadLetter, DeadLetterError, DeadLetterOrigin, DeadLetterQueue, DeadLetterScan,
};
pub use envelope::{CloudEvent, EnvelopeError, MessageContract};
pub use error::{CallError, MessagingService};
pub use producer::{
    BatchingProducer, OutgoingMessage, Producer, ProducerSettings, SendError, TopicError, TopicProducer,
};
pub use queue_depth::QueueDepthReader;
pub use queues::{Queue, QueueProvisioningSettings, QueueSetupError, Queues, QueuesHealth};
pub use settings::{InvalidSettings, SettingError, SettingsValidator};
pub use signature::{MessageKeysError, MessageSigningKeys, SignatureError};
