//! The program `ordo`: its command line, its settings, and the wiring of the crates into roles.
//!
//! [`cli`] has the commands, and [`settings`] everything that can be set. What is public besides is for the benchmarks and the tests.

mod access;
mod api;
mod aws;
pub mod cli;
mod config;
mod connections;
mod data_dir;
mod database_rights;
mod demo;
mod deprecations;
mod dlq;
mod doctor;
mod events;
mod health;
pub mod http;
#[cfg(feature = "inbox")]
mod inbox;
mod index;
mod key;
mod lag;
mod low_stock;
mod mail;
mod metrics;
mod migrate;
mod openapi;
mod order;
pub mod output;
mod page;
mod payment;
#[cfg(feature = "queues")]
mod queues;
mod rate_limiter;
mod replay;
mod roles;
mod saga;
mod saga_reports;
mod serve;
pub mod settings;
pub mod shutdown;
mod subscriptions;
mod tail;
mod telemetry;
mod token;
#[cfg(feature = "embedded")]
mod up;
mod verify;
mod webhook;
