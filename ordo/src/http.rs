//! The HTTP server: an accept loop with limits, so that slow, silent or greedy clients do not hurt the others.
//!
//! The time that a body may take is limited by its readers.
//!
//! HTTP/1.1 with keep-alive, and with TLS HTTP/2 for clients that prefer it. hyper is driven directly because `axum::serve` has no
//! limits of its own.

mod activity;
mod answer_body;
mod closing;
mod compression;
mod connection;
mod cors;
mod own_thread;
mod rate_limits;
mod slots;
mod timed_stream;
mod tls;
mod trusted_proxies;

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use hyper_util::server::graceful::GracefulShutdown;
use problem::ClientNetwork;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt};

pub(crate) use self::compression::PrecompressedBody;
use self::connection::{ConnectionContext, ListenerContext, no_room};
pub(crate) use self::cors::CrossOriginLayer;
pub use self::own_thread::serve_on_own_thread;
pub(crate) use self::rate_limits::AddressBucket;
pub use self::rate_limits::{RateLimits, RequestRateLimiter};
use self::slots::{AllowedRequests, ConnectionSlots};
pub use self::tls::{ServerTls, TlsFiles};
pub use self::trusted_proxies::{ForwardedHeader, TrustedProxies};

/// The paths that are answered also on reserved connections.
const ALWAYS_SERVED: [&str; 3] = [LIVENESS, "/health/ready", "/metrics"];
const LIVENESS: &str = "/health/live";
/// The send buffer of a connection. The kernel doubles the value.
const SENT_AHEAD: u32 = 128 * 1024;
/// How many bytes of an answer the kernel takes that the network has no room for yet. More would be answers that nobody reads.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;
/// Open files that are reserved for the database, the queues and logs.
const OTHER_FILES: u64 = 256;

/// How a listener is served.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    pub limits: ConnectionLimits,
    /// `None`: connections are not encrypted.
    pub tls: Option<ServerTls>,
    pub trusted_proxies: TrustedProxies,
}

impl From<ConnectionLimits> for HttpSettings {
    fn from(limits: ConnectionLimits) -> Self {
        Self { limits, ..Self::default() }
    }
}

/// The limits of clients.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The time for the head of a request from its first byte on, and for the first byte of a new connection.
    pub headers: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// The time in which a client must read some of an answer.
    pub answers: Duration,
    /// Open connections. A further one replaces the connection that has waited the longest for a request.
    pub connections: usize,
    /// Open connections from one address, or from one /64 network of IPv6.
    pub per_address: usize,
    /// Further connections while all others are busy. Only health and metrics are answered on them.
    pub reserve: usize,
    /// How long a connection that waits for a request may still send one once the server stops.
    pub last_request: Duration,
    /// The time for running requests to end once the server stops.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            // Longer than the 60 s for which load balancers usually keep an idle connection. The side that sends requests must be
            // the one that closes; otherwise it may send a request on a connection that is being closed.
            idle: Duration::from_secs(75),
            answers: Duration::from_secs(30),
            // Measured with all of them: each takes 13 KiB while it is silent, 26 KiB once its request has begun to come, and 31 KiB
            // more with the longest head.
            connections: 5_000,
            // More than a load balancer in front needs, and half of all.
            per_address: 2_500,
            reserve: 64,
            // A proxy may be writing to a connection that idles here. One that is in use gets a request within this time.
            last_request: Duration::from_secs(1),
            // Half of the 10 s a whole shutdown may take.
            drain: Duration::from_secs(5),
        }
    }
}

impl ConnectionLimits {
    /// For the few who run the platform.
    #[must_use]
    pub(crate) fn of_operators() -> Self {
        Self { connections: 128, per_address: 64, reserve: 16, ..Self::default() }
    }

    /// Raises the process's limit of open files as far as the system allows, and lowers the connections to what it permits.
    #[must_use]
    pub(crate) fn within_open_files(mut self) -> Self {
        if let Some(files) = open_files() {
            let files = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
            self.shrink_to(files.saturating_sub(self.reserve));
        }
        self
    }

    fn shrink_to(&mut self, connections: usize) {
        if connections < self.connections {
            self.connections = connections.max(1);
            // One address must not get all connections because there are fewer.
            self.per_address = self.per_address.min((self.connections / 2).max(1));
            let (connections, per_address) = (self.connections, self.per_address);
            tracing::warn!(connections, per_address, "the limit of open files leaves room for fewer connections");
        }
    }
}

/// Raises the limit of open files as far as the system allows, and returns it; `None`: no limit.
fn open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let before = current?;
    // macOS refuses "no limit" even where it names no maximum. If all values are refused, the limit stays as it was.
    let more =
        [maximum, Some(65_536), Some(10_240)].into_iter().filter(|files| files.is_none_or(|files| files > before));
    let raised =
        more.map(|current| Rlimit { current, maximum }).find(|limit| setrlimit(Resource::Nofile, *limit).is_ok());
    raised.map_or(current, |limit| limit.current)
}

/// Listens on `address`; `flag` is what the error tells the user to change.
pub fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        let reason = if taken { "another process has that port".to_owned() } else { error.to_string() };
        choose_another(&format!("cannot listen on {address}: {reason}"), flag)
    })
}

/// An error about an address, with the flag that chooses another.
pub(crate) fn choose_another(error: &impl Display, flag: &str) -> anyhow::Error {
    anyhow!("{error}; choose another address with {flag} (port 0: any free one)")
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait until the connections of the previous process have timed out.
    socket.set_reuseaddr(true)?;
    // Connections inherit it. Without it the kernel buffers up to 4 MB of an answer that is not read.
    socket.set_send_buffer_size(SENT_AHEAD)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// The address at which this machine reaches a listener. One that listens everywhere is reached on loopback.
#[must_use]
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Serves `router` until `stop`, then answers what has come already, with `Connection: close`, and what comes within
/// [`ConnectionLimits::last_request`] on open connections; see also [`ConnectionLimits::drain`].
///
/// Wraps the router in [`problem::layer`], so the router must not have that layer itself. Handlers get the client's address as the
/// extension [`ClientNetwork`].
pub async fn serve(listener: TcpListener, router: Router, settings: impl Into<HttpSettings>, stop: CancellationToken) {
    let settings = settings.into();
    let problems = problem::layer();
    let router = router.with_state(());
    let reserved = problems.layer(always_served_routes(&router));
    let routes = problems.layer(router);
    let (drain, last_request) = (settings.limits.drain, settings.limits.last_request);
    let graceful = GracefulShutdown::new();
    let mut connections: JoinSet<()> = JoinSet::new();
    let mut slots = ConnectionSlots::new(settings.limits.clone());
    let closing = CancellationToken::new();
    let edge = ListenerContext::new(settings, stop.clone(), closing.clone());
    let mut emptied = Box::pin(closing::emptied(&listener, &stop));
    loop {
        let (stream, address) = tokio::select! {
            // What waits is accepted before the loop ends.
            biased;
            accepted = accept(&listener) => accepted,
            Some(ended) = connections.join_next_with_id() => {
                slots.leave(connection_id(&ended));
                continue;
            }
            () = &mut emptied => break,
        };
        let peer = ClientNetwork::of(address.ip());
        // Without a slot the connection is closed.
        let Some(slot) = slots.find(peer) else { continue };
        // A small answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let activity = slots.activity();
        let routes = if slot == AllowedRequests::Full { routes.clone() } else { reserved.clone() };
        let edge = Arc::clone(&edge);
        let client = ConnectionContext { routes, activity: Arc::clone(&activity), address: address.ip(), edge };
        let abort = connections.spawn(connection::serve(stream, client, slot, graceful.watcher()));
        slots.take(slot, peer, activity, abort);
    }

    // From here on new clients are refused. They would wait in vain.
    drop(emptied);
    drop(listener);
    let drained = async {
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(last_request, all_ended).await.is_err() {
            closing.cancel();
            graceful.shutdown().await;
        }
    };
    if tokio::time::timeout(drain, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were still under way and are cut off");
    }
}

fn connection_id(ended: &Result<(Id, ()), JoinError>) -> Id {
    match ended {
        Ok((id, ())) => *id,
        Err(error) => error.id(),
    }
}

/// The routes that are answered on reserved connections.
fn always_served_routes(routes: &Router) -> Router {
    let routes = routes.clone();
    // Not routes of their own: what is matched outside would be part of the path that is matched inside.
    Router::new().fallback(async move |request: Request| match ALWAYS_SERVED.contains(&request.uri().path()) {
        true => routes.clone().oneshot(request).await.into_response(),
        false => no_room(),
    })
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client was gone before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                // Most likely there are no file descriptors left. Trying again at once would only burn the processor.
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_takes_little_of_an_answer_that_nobody_reads() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "--listen").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = accept(&listener).await;
        assert_eq!(socket2::SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
        drop(accepted);
        assert_eq!(tokio::io::AsyncReadExt::read(&mut client, &mut [0]).await.unwrap(), 0);
    }

    #[test]
    fn one_address_gets_half_of_fewer_connections_too() {
        let shrunk = |connections, per_address| {
            let mut limits = ConnectionLimits { per_address, ..ConnectionLimits::default() };
            limits.shrink_to(connections);
            (limits.connections, limits.per_address)
        };
        assert_eq!(shrunk(704, 2_500), (704, 352));
        assert_eq!(shrunk(704, 10), (704, 10));
        assert_eq!(shrunk(0, 2_500), (1, 1));
        assert_eq!(shrunk(10_000, 5_000), (5_000, 5_000));
    }
}
