//! What the tests share: the platform as a process, a client, and ways to look behind both.

mod client;
mod database;
mod deployment;
mod folder;
mod orders;
mod ordo;
pub(crate) mod processes;
mod silenceable_proxy;
mod watching;

pub(crate) use client::{Answer, Client, NoAnswer};
pub(crate) use database::{LogSummary, event_count, items, log_summary};
pub(crate) use deployment::{Deployment, at_rest, at_rest_with, verify};
pub(crate) use folder::folder;
pub(crate) use orders::{TOKENS, order_of};
pub(crate) use ordo::{Finished, Ordo, only_says_what_is_set, run};
pub(crate) use silenceable_proxy::SilenceableProxy;
pub(crate) use watching::{PATIENCE, count_by_order, mails_by_order, settled, until_mailed};

/// A setting of the platform, as an environment variable.
pub(crate) type Setting<'a> = (&'a str, &'a str);
