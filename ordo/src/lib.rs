//! The platform: one binary that runs every role, alone or together, and brings its own database, queues and inbox where there
//! are none.
//!
//! Read [`cli`] for what can be asked of it, [`settings`] for what it can be told, [`roles`] for what it then runs.

pub mod aws;
#[cfg(feature = "embedded")]
pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod connections;
pub mod demo;
pub mod dlq;
pub mod events;
pub mod health;
pub mod http;
pub mod inbox;
mod index;
pub mod lag;
pub mod metrics;
pub mod migrate;
pub mod order;
pub mod output;
mod page;
pub mod payment;
pub mod replay;
pub mod roles;
pub mod running;
pub mod saga;
pub mod serve;
pub mod settings;
pub mod shutdown;
pub mod subscriptions;
pub mod tail;
pub mod telemetry;
#[cfg(feature = "embedded")]
pub mod up;
pub mod verify;
