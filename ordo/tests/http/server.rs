//! The server under test.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::stream;
use http::header;
use ordo::http::{HttpSettings, bind, serve, serve_on_own_thread};
use problem::ClientNetwork;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SHORT: Duration = Duration::from_millis(200);
/// Far longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
    /// A request to `/busy` is under way.
    pub(crate) under_way: Arc<Notify>,
    /// Lets one of them end.
    pub(crate) go_on: Arc<Notify>,
    /// The answer of `/flood` was dropped.
    pub(crate) given_up: mpsc::UnboundedReceiver<()>,
}

pub(crate) const QUICK: &[u8] = b"GET /quick HTTP/1.1\r\nHost: ordo\r\n\r\n";
pub(crate) const LARGE_REQUEST: &[u8] = b"GET /large HTTP/1.1\r\nHost: ordo\r\n\r\n";
/// More than a connection holds.
pub(crate) const LARGE: usize = 4 * 1024 * 1024;

impl Server {
    pub(crate) fn start(settings: impl Into<HttpSettings>) -> Self {
        Self::served_by(serve, settings)
    }

    pub(crate) fn start_on_own_thread() -> Self {
        Self::served_by(serve_on_own_thread, HttpSettings::default())
    }

    fn served_by<F>(
        serve: impl FnOnce(TcpListener, Router, HttpSettings, CancellationToken) -> F + Send + 'static,
        settings: impl Into<HttpSettings>,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let settings = settings.into();
        let listener = bind("127.0.0.1:0".parse().unwrap(), "--listen").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (under_way, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (dropped, given_up) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/quick", get(|| async { "quick" }))
            .route("/health/live", get(|| async { "live" }))
            .route("/metrics", get(|| async { "metrics" }))
            .route("/endless", get(std::future::pending::<()>))
            .route("/slow", get(slow))
            .route("/json/{bytes}", get(|Path(bytes): Path<usize>| async move { json(bytes) }))
            .route("/events", get(|| async { ([(header::CONTENT_TYPE, "text/event-stream")], vec![b'a'; 4096]) }))
            .route("/peer", get(|Extension(peer): Extension<ClientNetwork>| async move { peer.to_string() }))
            .route("/large", get(|| async { vec![b'a'; LARGE] }))
            .route("/flood", get(move || std::future::ready(flood(dropped.clone()))))
            .route("/busy", {
                let (under_way, go_on) = (Arc::clone(&under_way), Arc::clone(&go_on));
                get(move || async move {
                    under_way.notify_one();
                    go_on.notified().await;
                    "done"
                })
            });
        let token = stop.clone();
        let running = tokio::spawn(serve(listener, router, settings, token));
        Self { address, stop, running, under_way, go_on, given_up }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A client that has taken no more of a large answer than its head.
    pub(crate) async fn taking_its_answer(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut client = socket.connect(self.address).await.unwrap();
        client.write_all(LARGE_REQUEST).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        client
    }

    /// A client whose request is under way.
    pub(crate) async fn busy(&self) -> TcpStream {
        let mut client = self.connect().await;
        client.write_all(b"GET /busy HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
        self.under_way.notified().await;
        client
    }
}

/// An answer without an end, which says when nobody wants it any more.
fn flood(dropped: mpsc::UnboundedSender<()>) -> Body {
    struct Tells(mpsc::UnboundedSender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let tells = Tells(dropped);
    Body::from_stream(stream::repeat_with(move || {
        let _ = &tells;
        Ok::<_, Infallible>(Bytes::from_static(&[b'a'; 16 * 1024]))
    }))
}

pub(crate) async fn rest_of_large(client: &mut TcpStream) {
    let mut rest = vec![0; LARGE];
    tokio::time::timeout(PATIENCE, client.read_exact(&mut rest)).await.unwrap().unwrap();
}

fn json(bytes: usize) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ETAG, "\"3\"")];
    (headers, format!("{:?}", "a".repeat(bytes - 2))).into_response()
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "slow"
}

pub(crate) async fn until_closed(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap();
    // A reset is an end as well.
    drop(read);
    String::from_utf8(answer).unwrap()
}

/// One answer without its connection being closed; those of this router come in one piece.
pub(crate) async fn one_answer(client: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).await.unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}
