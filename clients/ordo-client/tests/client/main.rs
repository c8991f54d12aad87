//! What the client does with the answers of a server, good and bad.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod answers;
mod fake_server;
mod live;
mod retries;
mod routes;
mod tls;

use std::time::Duration;

use ordo_client::{Client, ClientBuilder};

/// A client that gives up soon.
fn impatient(base: &str) -> ClientBuilder {
    Client::builder(base).timeout(Duration::from_secs(5)).retries(3, Duration::from_secs(20))
}
