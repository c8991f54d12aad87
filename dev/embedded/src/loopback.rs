//! A small HTTP/1 server for the endpoints this crate brings: keep-alive, a limit on slow headers, a clean stop.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{body::Bytes, response::IntoResponse};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Either;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use problem::AllowedHosts;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longer than the 90 s for which the AWS SDK keeps an idle connection: the side that sends must be the one that closes, or a
/// request can meet a connection that is just going.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// In each answer of an endpoint that a platform brought along for itself: the platform's process.
pub const OWNER: HeaderName = HeaderName::from_static("x-ordo-process");

/// How long a stop waits for requests under way.
const DRAIN: Duration = Duration::from_secs(2);

/// Why an endpoint did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(source))]
pub struct ListenError {
    pub address: SocketAddr,
    /// The error of the operating system.
    #[source]
    pub source: io::Error,
}

fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        "another process has that port".to_owned()
    } else {
        error.to_string()
    }
}

/// A bound address, not served yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    hosts: AllowedHosts,
    owner: Option<HeaderValue>,
}

/// Takes the address; port 0 takes any free one. It will be asked under the hosts that are [usual there](AllowedHosts::for_listener).
pub async fn listen(address: SocketAddr) -> Result<Listening, ListenError> {
    let failed = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listening { listener, address, hosts: AllowedHosts::for_listener(address, None), owner: None })
}

impl Listening {
    /// The same, asked under the hosts that are named, if they are.
    #[must_use]
    pub(crate) fn known_as(self, names: Option<&[String]>) -> Self {
        Self { hosts: AllowedHosts::for_listener(self.address, names), ..self }
    }

    /// The same, whose answers say that it is there for this process alone; see [`OWNER`].
    #[must_use]
    #[cfg(feature = "sqs")]
    pub(crate) fn owned(self) -> Self {
        Self { owner: Some(std::process::id().into()), ..self }
    }

    /// The address as this machine reaches it: one that listens everywhere is reached on loopback.
    #[must_use]
    pub fn reachable(&self) -> SocketAddr {
        reachable(self.address)
    }
}

/// A running server. It stops when dropped, cutting off requests under way; [`Server::stop`] lets them finish.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    stop: CancellationToken,
    /// Cuts off what is still running when the server value goes.
    _abort: DropGuard,
}

impl Server {
    /// Serves every connection that reaches the address, but not what a web page asks that is not its own; see [`AllowedHosts`]. A
    /// service that fails drops its connection without an answer.
    pub fn start<S, B>(listening: Listening, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Listening { listener, address, hosts, owner } = listening;
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let accepting = tokio::spawn(accept(listener, (hosts, owner), service, stop.clone(), abort.clone()));
        Self { address, accepting, stop, _abort: abort.drop_guard() }
    }

    /// `http://HOST:PORT`, with a host that this machine can connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.address))
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and lets requests under way finish, for up to two seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A panic in the accept loop has been logged by the runtime; there is nothing left to stop then.
        let _ = (&mut self.accepting).await;
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn accept<S, B>(
    listener: TcpListener,
    (hosts, owner): (AllowedHosts, Option<HeaderValue>),
    service: S,
    stop: CancellationToken,
    abort: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            () = abort.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: connections that end make room.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Without it a small answer may wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (hosts, owner, service) = (hosts.clone(), owner.clone(), service.clone());
        let answer = service_fn(move |request| {
            let (answer, owner) = (hosts.check(&request).map(|()| service.call(request)), owner.clone());
            async move {
                let mut answer = match answer {
                    Ok(answer) => answer.await?.map(Either::Left),
                    Err(refused) => refused.into_response().map(Either::Right),
                };
                owner.into_iter().for_each(|owner| drop(answer.headers_mut().insert(OWNER, owner)));
                Ok::<_, S::Error>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = connections.watch(connection);
        let abort = abort.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = abort.cancelled() => {}
                result = connection => if let Err(error) = result {
                    tracing::debug!(error = %error, "a connection ended early");
                },
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, connections.shutdown()).await.is_err() {
        abort.cancel();
    }
}
