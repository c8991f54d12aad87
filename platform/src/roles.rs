//! Starts the roles this process was told to run, and says when they have stopped.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::health::{self, Check};
use crate::http;
use crate::settings::{Role, Settings};

/// Roles at work.
#[derive(Debug)]
pub struct RunningRoles {
    /// Where the HTTP API answers. Every process has one, if only to say how it is.
    pub api: SocketAddr,
    join: JoinHandle<anyhow::Result<()>>,
}

impl RunningRoles {
    /// Waits until every role has stopped: because it was asked to, or because one failed, which stops the others.
    pub async fn join(self) -> anyhow::Result<()> {
        self.join.await.context("a role panicked")?
    }
}

/// Starts `roles` and serves their routes on `listener`, until `stop`.
pub async fn start(
    _settings: &Settings,
    connections: &Connections,
    roles: &[Role],
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<RunningRoles> {
    let api = listener.local_addr().context("the HTTP listener has no address")?;
    let routes = health::routes(vec![Check::database(connections.database.clone())]);
    let names = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    tracing::info!(roles = names, api = %api, "started");
    let join = tokio::spawn(async move {
        http::serve(listener, routes, stop).await;
        Ok(())
    });
    Ok(RunningRoles { api, join })
}
