//! What every answer has, and which ones are compressed.

use std::io::Read;

use flate2::read::GzDecoder;
use ordo::http::{ConnectionLimits, ForwardedHeader, HttpSettings, TrustedProxies};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{LARGE_REQUEST, QUICK, Server, until_closed};

#[tokio::test]
async fn every_answer_tells_browsers_what_not_to_do() {
    let server = Server::start(ConnectionLimits::default());
    for path in ["/quick", "/json/2000", "/nowhere"] {
        let answer = Answer::to(&server, path, "").await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(answer.header("content-security-policy"), Some(policy), "{path}");
        // Without TLS a browser would not come back by it.
        assert_eq!((answer.header("server"), answer.header("strict-transport-security")), (None, None), "{path}");
    }
}

#[tokio::test]
async fn json_above_a_kibibyte_is_compressed_for_those_who_take_it() {
    let server = Server::start(ConnectionLimits::default());
    let answer = Answer::to(&server, "/json/2000", "Accept-Encoding: br, gzip\r\n").await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!((answer.header("vary"), answer.header("etag")), (Some("accept-encoding"), Some("\"3-gzip\"")));
    assert!(answer.body.len() < 200, "{}", answer.body.len());
    let mut plain = String::new();
    GzDecoder::new(&*answer.body).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, format!("{:?}", "a".repeat(1998)));

    let answer = Answer::to(&server, "/json/2000", "").await;
    assert_eq!((answer.header("content-encoding"), answer.header("etag")), (None, Some("\"3\"")));
    // Caches must not give it to those who take another form.
    assert_eq!((answer.header("vary"), answer.body.len()), (Some("accept-encoding"), 2000));
}

#[tokio::test]
async fn nothing_else_is_compressed() {
    let server = Server::start(ConnectionLimits::default());
    for path in ["/json/1024", "/events", "/nowhere", "/large"] {
        let answer = Answer::to(&server, path, "Accept-Encoding: gzip\r\n").await;
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None), "{path}");
    }
}

#[tokio::test]
async fn large_answers_that_nobody_takes_have_bounded_memory() {
    let server = Server::start(ConnectionLimits::default());
    let mut waiting = Vec::new();
    // Each of 4 MiB, and 16 MiB are for one address.
    for _ in 0..4 {
        waiting.push(server.taking_its_answer().await);
    }
    let refused = Answer::to(&server, "/large", "").await;
    assert!(refused.head.starts_with("HTTP/1.1 503 "), "{}", refused.head);
    assert!(String::from_utf8_lossy(&refused.body).contains(r#""code":"overloaded""#));
    assert!(Answer::to(&server, "/json/2000", "").await.head.starts_with("HTTP/1.1 200 "));
    drop(waiting.pop());
    while !Answer::to(&server, "/large", "").await.head.starts_with("HTTP/1.1 200 ") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_client_sent_ahead_is_not_served_once_there_is_no_room_for_its_answers() {
    let server = Server::start(ConnectionLimits::default());
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(server.taking_its_answer().await);
    }
    let mut client = server.connect().await;
    client.write_all(&[LARGE_REQUEST, QUICK].concat()).await.unwrap();
    let answers = until_closed(&mut client).await;
    assert!(answers.starts_with("HTTP/1.1 503 ") && answers.contains("connection: close"), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_is_known_by_its_own_address() {
    let trusting = |networks: &[&str]| {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        let trusted_proxies = TrustedProxies { networks, header: ForwardedHeader::XForwardedFor };
        Server::start(HttpSettings { trusted_proxies, ..HttpSettings::default() })
    };
    let forwarded = "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n";
    for (networks, expected) in [(&["127.0.0.0/8"][..], "192.0.2.7"), (&[], "127.0.0.1")] {
        let answer = Answer::to(&trusting(networks), "/peer", forwarded).await;
        assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
    }
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    async fn to(server: &Server, path: &str, headers: &str) -> Self {
        let mut client = server.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: ordo\r\n{headers}Connection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        Self { head, body: answer[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}
