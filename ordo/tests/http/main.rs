//! The server against clients that are slow, many, or still talking when it stops.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod answers;
mod cut_off;
mod http2;
mod own_thread;
mod rate_limits;
mod server;
mod stops;
mod tls;
