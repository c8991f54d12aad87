//! The HTTP server: an accept loop with the limits that keep slow, silent or greedy clients from hurting the others.
//!
//! How long a body may take is up to whoever reads it.
//!
//! HTTP/1.1 with keep-alive; TLS and HTTP/2 belong to the proxy in front. hyper is driven directly because `axum::serve` has no
//! limits of its own.

mod paced;
mod places;
mod turn;

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use problem::{Peer, Problem, ProblemService};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service, ServiceExt};

use self::paced::Paced;
use self::places::{Place, Places};
use self::turn::{Served, Turn};

/// What is answered even when there is no room for anything else: how the process is.
const VITAL: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];
/// The longest head of a request, and about how much hyper keeps of a connection in either direction.
const BUFFER: usize = 32 * 1024;
/// What the system keeps of an answer that is not taken: asked for half of it, it takes the other for itself.
const SENT_AHEAD: u32 = 128 * 1024;
/// Open files that are left for the database, the queues and logs.
const OTHER_FILES: u64 = 256;

/// What clients may take of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long the head of a request may take from its first byte on, and a new client to its first byte.
    pub headers: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long a client may take nothing of an answer.
    pub answers: Duration,
    /// Connections that are open at the same time. For one more, the one makes room that has waited the longest for a request.
    pub connections: usize,
    /// Those of them that may come from one address, or one /64 network of IPv6.
    pub per_address: usize,
    /// Connections beside these when all of them are busy: they are answered how the process is, and nothing else.
    pub reserve: usize,
    /// How long requests under way may take to end once the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            // Longer than the 60 s for which load balancers usually keep an idle connection: the side that sends must be the one
            // that closes, or a request meets a connection that is just going.
            idle: Duration::from_secs(75),
            answers: Duration::from_secs(30),
            // Measured with all of them: each takes 13 KiB while it is silent, 26 KiB once its request has begun to come, and 31 KiB
            // more with the longest head.
            connections: 5_000,
            // More than a load balancer in front needs, and half of what there is.
            per_address: 2_500,
            reserve: 64,
            // Half of the 10 s a whole shutdown may take.
            drain: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// The same, but no more connections than files that may be open, which are first made as many as the system lets them be; then
    /// one address gets half of these at the most.
    #[must_use]
    pub fn within_open_files(mut self) -> Self {
        if let Some(files) = open_files() {
            let files = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
            self.shrink_to(files.saturating_sub(self.reserve));
        }
        self
    }

    fn shrink_to(&mut self, connections: usize) {
        if connections < self.connections {
            self.connections = connections.max(1);
            // One address must not get every place because there are fewer.
            self.per_address = self.per_address.min((self.connections / 2).max(1));
            let (connections, per_address) = (self.connections, self.per_address);
            tracing::warn!(connections, per_address, "the limit of open files leaves room for fewer connections");
        }
    }
}

/// How many files may be open, once they are as many as the system lets them be; `None`: any number.
fn open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let before = current?;
    // macOS refuses "any number" even where it names no maximum. Where all are refused, what there is will do.
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

/// Tells whoever chose an address that cannot be had how to choose another.
pub fn choose_another(error: &impl Display, flag: &str) -> anyhow::Error {
    anyhow!("{error}; choose another address with {flag} (port 0: any free one)")
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the last connections of the process before it to time out.
    socket.set_reuseaddr(true)?;
    // Connections inherit it. Without it the system keeps up to 4 MB of an answer that nobody takes.
    socket.set_send_buffer_size(SENT_AHEAD)?;
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
/// Goes around the router as [`problem::layer`] does, so the router must not have that layer itself. Handlers find whose
/// connection a request came on as its [`Peer`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let problems = problem::layer();
    let router = router.with_state(());
    let reserved = problems.layer(vital_alone(&router));
    let routes = problems.layer(router);
    let mut protocol = http1::Builder::new();
    // The connection keeps the time. That hyper keeps it too has it look for the next request as soon as an answer has gone.
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.idle + limits.headers);
    protocol.max_buf_size(BUFFER).max_header_size(BUFFER);
    let drain = limits.drain;
    let graceful = GracefulShutdown::new();
    let mut connections: JoinSet<()> = JoinSet::new();
    let mut places = Places::new(limits.clone());
    loop {
        let (stream, address) = tokio::select! {
            accepted = accept(&listener) => accepted,
            Some(ended) = connections.join_next_with_id() => {
                places.leave(connection_id(&ended));
                continue;
            }
            () = stop.cancelled() => break,
        };
        let peer = Peer::of(address.ip());
        // Without a place it is closed.
        let Some(place) = places.find(peer) else { continue };
        // A small answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let turn = places.turn();
        let routes = if place == Place::Full { routes.clone() } else { reserved.clone() };
        let client = Client { routes, turn: Arc::clone(&turn), peer };
        let answer = hyper::service::service_fn(move |request| client.clone().answer(request));
        let stream = TokioIo::new(Paced::new(stream, Arc::clone(&turn), &limits));
        let connection = graceful.watch(protocol.keep_alive(place == Place::Full).serve_connection(stream, answer));
        let abort = connections.spawn(async move {
            // A client that went away or was cut off: its own affair.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        places.take(place, peer, turn, abort);
    }

    // From here on new clients are refused rather than left waiting.
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were still under way and are cut off");
    }
}

fn connection_id(ended: &Result<(Id, ()), JoinError>) -> Id {
    match ended {
        Ok((id, ())) => *id,
        Err(error) => error.id(),
    }
}

/// Whoever is at the other end of a connection.
#[derive(Clone)]
struct Client {
    routes: ProblemService<Router>,
    turn: Arc<Turn>,
    peer: Peer,
}

impl Client {
    async fn answer(mut self, request: Request<Incoming>) -> Result<http::Response<Served>, Infallible> {
        // It has lost its place, and is cut off in a moment.
        let Some(serving) = self.turn.serve() else { return Ok(no_room().map(Served::from)) };
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        let answer = self.routes.call(request).await?;
        Ok(answer.map(|body| serving.until_the_end_of(body)))
    }
}

/// What a reserved place is good for.
fn vital_alone(routes: &Router) -> Router {
    let vital = VITAL.into_iter().fold(Router::new(), |router, path| {
        let routes = routes.clone();
        router.route(path, any(move |request: Request| routes.clone().oneshot(request)))
    });
    vital.fallback(async || no_room())
}

fn no_room() -> Response {
    let problem =
        Problem::unavailable("too-many-connections", "there is no room for more clients", Duration::from_secs(1));
    let mut answer = problem.into_response();
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
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

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn one_address_gets_half_of_fewer_connections_too() {
        let shrunk = |connections, per_address| {
            let mut limits = Limits { per_address, ..Limits::default() };
            limits.shrink_to(connections);
            (limits.connections, limits.per_address)
        };
        assert_eq!(shrunk(704, 2_500), (704, 352));
        assert_eq!(shrunk(704, 10), (704, 10));
        assert_eq!(shrunk(0, 2_500), (1, 1));
        assert_eq!(shrunk(10_000, 5_000), (5_000, 5_000));
    }
}
