//! The pages, as browsers and other programs get them.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod access;
mod bulk_actions;
mod dead_letters;
mod dots;
mod edits;
mod forged;
mod forms;
mod hostile;
mod lists;
mod live;
mod open_id;
mod operate;
mod order;
mod outcomes;
mod read_models;
mod sessions;
mod stock;
mod support;
