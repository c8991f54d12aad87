//! What `ordo up` brings itself when the settings name no other: a Postgres, an SQS and an SES endpoint.
//!
//! Each is a server with `start`, `url` and `stop`, on loopback unless told otherwise. The rest of the platform talks to them
//! through the same drivers and SDKs it uses in production and does not know the difference.

pub mod inbox;
pub mod loopback;
pub mod postgres;
#[cfg(feature = "sqs")]
pub mod sqs;
