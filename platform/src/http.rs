//! The HTTP server: an accept loop with the limits that keep one slow or greedy client from hurting the others.
//!
//! How long a body may take is up to whoever reads it.
//!
//! HTTP/1.1 with keep-alive; TLS and HTTP/2 belong to the proxy in front. hyper is driven directly because `axum::serve` installs no
//! timer, and without one a client that never finishes its headers holds its connection for ever.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

/// What a client may take of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A request's headers must be complete within this time; a connection kept alive may idle as long.
    pub headers: Duration,
    /// Connections open at the same time; further ones wait in the listen queue.
    pub connections: usize,
    /// How long requests under way may take to end once the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Longer than the 60 s for which load balancers usually keep an idle connection: the side that sends must be the one
            // that closes, or a request meets a connection that is just going.
            headers: Duration::from_secs(75),
            // Each takes some 35 KiB while its request is under way.
            connections: 5_000,
            // Half of the 10 s a whole shutdown may take.
            drain: Duration::from_secs(5),
        }
    }
}

/// Listens on `address`; `flag` is what the error tells the user to change.
pub fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        let reason = if taken { "another process has that port".to_owned() } else { error.to_string() };
        choose_another(&format!("cannot listen on {address}: {reason}"), flag)
    })
}

/// Tells whoever chose an address that cannot be had how to choose another.
pub fn choose_another(error: &impl Display, flag: &str) -> anyhow::Error {
    anyhow!("{error}; choose another address with {flag} (port 0: any free one)")
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the last connections of the process before it to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// How this machine connects to what listens on `address`: one that listens everywhere is reached on loopback.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Serves `router` until `stop`, then lets requests under way end; see [`Limits::drain`].
///
/// Goes around the router as [`problem::layer`] does, so the router must not have that layer itself.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_within(listener, router, stop, &Limits::default()).await;
}

/// [`serve`] with other limits.
pub async fn serve_within(listener: TcpListener, router: Router, stop: CancellationToken, limits: &Limits) {
    let service = problem::layer().layer(router.with_state(()));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.headers).keep_alive(true);

    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            place = free_place(&places, limits.connections) => place,
            () = stop.cancelled() => break,
        };
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            () = stop.cancelled() => break,
        };
        // A small answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let service = service.clone();
        let answer =
            hyper::service::service_fn(move |request: Request<Incoming>| service.clone().call(request.map(Body::new)));
        let connection = graceful.watch(protocol.serve_connection(TokioIo::new(stream), answer));
        connections.spawn(async move {
            // A client that went away or was cut off: its own affair.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }

    // From here on new clients are refused rather than left waiting.
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were still under way and are cut off");
    }
}

async fn free_place(places: &Arc<Semaphore>, limit: usize) -> Option<tokio::sync::OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    tracing::warn!(connections = limit, "all connections are taken; new clients wait");
    // Fails only for a closed semaphore, and this one never is.
    Arc::clone(places).acquire_owned().await.ok()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client was gone before it was its turn.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only burn the processor.
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
