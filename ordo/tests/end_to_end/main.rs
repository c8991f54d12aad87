//! The whole platform from outside: `ordo` as a process, clients over HTTP, mails in an inbox.
//!
//! Each test runs a platform of its own, on free ports and in temporary folders, and takes it down again whatever happens.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
#![expect(clippy::print_stdout, reason = "what was measured is shown with the test's output")]

mod access;
mod another_emulator;
mod another_user;
mod backorders;
mod bad_orders;
mod bad_settings;
mod chaos;
mod console;
mod credentials;
mod customers;
mod database_crashes;
mod database_roles;
mod dead_letters;
mod destructive_commands;
mod edits;
mod events;
mod expanded;
mod fields;
mod foreign_streams;
mod forged_messages;
mod full_inbox;
mod full_lifecycle;
mod goods_by_measure;
mod idempotency;
mod importing;
#[cfg(feature = "dynamodb")]
mod in_dynamodb;
mod index;
mod invoices;
mod journey;
mod key_rotation;
mod killed_platform;
mod live;
mod locations;
mod lost_queues;
mod low_stock;
mod mail_languages;
mod mail_preview;
mod mail_refused;
mod metrics;
mod migrating;
mod newcomer;
mod openapi;
mod order_numbers;
mod outages;
mod overloaded;
mod oversell;
mod parked;
mod payment_tokens;
mod printed_skus;
mod protocol;
mod publication;
mod purged_queue;
mod replaying;
mod roles_apart;
mod rust_client;
mod several_payments;
mod shop_orders;
mod slow_reads;
mod staff_mails;
mod stopping;
mod stream_limits;
mod stuck;
mod support;
mod tampering;
mod time_travel;
mod tls;
mod told_by_mail;
mod traces;
mod unknown_event;
mod verify;
mod webhooks;
