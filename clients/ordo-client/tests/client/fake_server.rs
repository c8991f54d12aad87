//! A server that answers what it is told to, whatever it is asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of one connection.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These bytes; then the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes; then nothing, and the connection stays open.
    ThenSilence(Vec<u8>),
    /// These bytes, then the others again and again.
    Endless(Vec<u8>, Vec<u8>),
}

pub(crate) struct FakeServer {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FakeServer {
    /// Gives these replies, one to each connection, and then hangs up.
    pub(crate) async fn with(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, mut replies) = (Arc::clone(&requests), replies.into_iter().collect::<VecDeque<_>>());
        let task = tokio::spawn(async move {
            // Connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let reply = replies.pop_front().unwrap_or(Reply::Bytes(Vec::new()));
                connections.spawn(serve(stream, reply, Arc::clone(&seen)));
            }
        });
        Self { url, requests, task }
    }

    /// The requests so far: head and body, as they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The values of a header, one for each request.
    pub(crate) fn header(&self, name: &str) -> Vec<Option<String>> {
        let value = |request: &String| {
            let mut lines = request.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        self.requests().iter().map(value).collect()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, reply: Reply, seen: Arc<Mutex<Vec<String>>>) {
    let request = read_request(&mut stream).await;
    seen.lock().unwrap().push(request);
    let (first, again) = match &reply {
        Reply::Bytes(bytes) | Reply::ThenSilence(bytes) => (bytes, None),
        Reply::Endless(first, again) => (first, Some(again)),
    };
    // The client may be gone.
    if stream.write_all(first).await.is_err() {
        return;
    }
    while let Some(again) = again {
        if stream.write_all(again).await.is_err() {
            return;
        }
    }
    if matches!(reply, Reply::ThenSilence(_)) {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

/// An answer with a body of this type.
pub(crate) fn answer(status: u16, content_type: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(
        format!(
            "HTTP/1.1 {status} Some\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\
             {headers}\r\n{body}"
        )
        .into_bytes(),
    )
}

pub(crate) fn json(body: &str) -> Reply {
    answer(200, "application/json", "", body)
}

pub(crate) fn problem(status: u16, code: &str) -> Reply {
    let body = format!(r#"{{"type":"/problems/{code}","title":"T","status":{status},"code":"{code}"}}"#);
    answer(status, "application/problem+json", "", &body)
}

pub(crate) fn accepted() -> Reply {
    json(r#"{"status":"accepted","orderId":"o-1","version":2,"position":7}"#)
}

/// A connection that ends without an answer.
pub(crate) fn hang_up() -> Reply {
    Reply::Bytes(Vec::new())
}
