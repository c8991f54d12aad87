//! The servers that are compared, and the figures of one run.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::databases::Database;
use crate::figures::{Latencies, count, micros_per_order};
use crate::load::{Load, Tally};
use crate::orders::{OrderBody, Orders};
use crate::processes;
use crate::server::Server;

/// Something that takes orders.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// `None`: it runs already, and is none of ours, or is another contender's.
    pub(crate) server: Option<Server>,
    /// What its orders come with.
    pub(crate) credential: Option<String>,
    /// Where its orders are stored, if they are and it can be looked at.
    pub(crate) database: Option<Database>,
    /// The process whose children are the database's.
    pub(crate) database_parent: Option<u32>,
}

/// How a run is made.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) payload: OrderBody,
    pub(crate) idempotency_keys: bool,
    pub(crate) connections: usize,
    /// `None`: a closed loop.
    pub(crate) per_second: Option<f64>,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What a run says. Processor times are microseconds for each order accepted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) orders_per_second: f64,
    /// Of the accepted orders; in an open loop from when each was due, those that never came to be sent included.
    pub(crate) latencies: Latencies,
    /// Requests that were due, and those of them that no connection was free for in time.
    pub(crate) offered: u64,
    pub(crate) missed: u64,
    /// Answered 503, and how fast.
    pub(crate) refused: u64,
    pub(crate) refusals: Latencies,
    pub(crate) errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_error: Option<String>,
    pub(crate) server_micros: Option<f64>,
    pub(crate) database_micros: Option<f64>,
    pub(crate) load_micros: Option<f64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Orders that were answered 201, and those that are in the database, the warm-up included.
    pub(crate) accepted_in_all: u64,
    pub(crate) stored_in_all: Option<u64>,
}

impl Contender {
    /// Posts orders to it and looks at what that takes.
    pub(crate) async fn measure(&self, shape: &Shape) -> anyhow::Result<Run> {
        let orders = Orders::with_credential(
            &self.address.to_string(),
            shape.payload,
            shape.idempotency_keys,
            self.credential.as_deref(),
        );
        let prefix = orders.prefix().to_owned();
        let load = Load {
            address: self.address,
            requests: orders,
            connections: shape.connections,
            per_second: shape.per_second,
            warm_up: shape.warm_up,
            duration: shape.duration,
        };
        let pid = self.server.as_ref().map(Server::pid);
        if let Some(pid) = pid {
            processes::forget_peak(pid);
        }
        let running = load.start().await?;
        tokio::time::sleep_until(running.from.into()).await;
        let before = self.processor();
        tokio::time::sleep_until(running.until.into()).await;
        let after = self.processor();
        let tally = running.tally().await?;
        let (server, database) = (taken(before.0, after.0), taken(before.1, after.1));
        let stored = match &self.database {
            Some(database) => Some(database.orders(&prefix).await?),
            None => None,
        };
        let run = Run::of(&tally, shape.duration, server, database, pid.and_then(processes::peak_memory), stored);
        ensure!(
            run.stored_in_all.is_none_or(|stored| stored >= run.accepted_in_all),
            "{}: {} orders were accepted, but only {} are stored",
            self.name,
            run.accepted_in_all,
            run.stored_in_all.unwrap_or_default()
        );
        Ok(run)
    }

    /// Of the server and of the database.
    fn processor(&self) -> (Option<Duration>, Option<Duration>) {
        let server = self.server.as_ref().and_then(|server| processes::processor(server.pid()));
        (server, self.database_parent.and_then(processes::processor_of_descendants))
    }
}

pub(crate) fn taken(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}

impl Run {
    fn of(
        tally: &Tally,
        duration: Duration,
        server: Option<Duration>,
        database: Option<Duration>,
        peak_memory_bytes: Option<u64>,
        stored_in_all: Option<u64>,
    ) -> Self {
        let per_order = |time: Duration| micros_per_order(time, tally.accepted);
        let other = tally.other.iter().map(|(status, times)| format!("{times} answers {status}")).next();
        Self {
            orders_per_second: count(tally.accepted) / duration.as_secs_f64(),
            latencies: Latencies::of(&tally.latencies),
            offered: tally.offered,
            missed: tally.missed,
            refused: tally.refusals.len(),
            refusals: Latencies::of(&tally.refusals),
            errors: tally.errors(),
            first_error: tally.first_failure.clone().or(other),
            server_micros: server.and_then(per_order),
            database_micros: database.and_then(per_order),
            load_micros: per_order(tally.processor),
            peak_memory_bytes,
            accepted_in_all: tally.accepted_in_all,
            stored_in_all,
        }
    }
}
