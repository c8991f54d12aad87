//! How many live streams a principal may have, with streams over connections of their own.

use std::time::Duration;

use access_control::{Role, TokenClaimSettings, TokenRequest, TokenSecret};
use testkit::demo_order;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Ordo, PATIENCE};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_principal_has_its_share_of_live_streams_whichever_tokens_and_connections_it_uses() {
    // Given
    let ordo =
        Ordo::up(&[("ORDO_REQUIRE_AUTH", "true"), ("ORDO_TOKEN_SECRET", SECRET), ("ORDO_STREAMS_PER_PRINCIPAL", "2")])
            .await;
    let shop = token(Role::Shop, "web", 600);

    // When one principal follows with two tokens, and others follow from the same address
    let mut first = follow(&ordo, &shop).await;
    let mut second = follow(&ordo, &token(Role::Shop, "web", 700)).await;
    let mut others = [
        follow(&ordo, &token(Role::Shop, "till", 600)).await,
        follow(&ordo, &token(Role::Auditor, "web", 600)).await,
        follow(&ordo, &token(Role::Operator, "web", 600)).await,
    ];

    // Then it gets no third stream with any token, and is told to come again
    for token in [&shop, &token(Role::Shop, "web", 800)] {
        let mut refused = follow(&ordo, token).await;
        let answer = refused.until("}").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\"code\":\"too-many-streams\"") && answer.contains("retry-after: "), "{answer}");
    }
    // All that there are go on, and other requests of the principal are answered.
    let posted = ordo.client().with_token(&shop).order(&demo_order("o-1")).await;
    assert_eq!(posted.status, 201, "{}", posted.text());
    for stream in [&mut first, &mut second].into_iter().chain(&mut others) {
        let answer = stream.until("event: OrderCreated").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // A client that leaves makes room for another of its principal.
    drop(first);
    let again = async {
        loop {
            let third = follow(&ordo, &shop).await;
            if third.received.starts_with("HTTP/1.1 200 ") {
                return third;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut third = tokio::time::timeout(PATIENCE, again).await.unwrap();
    third.until("event: OrderCreated").await;
    // A stream that ends with its token does as well.
    let short = token(Role::Auditor, "short", 3);
    let mut ends = [follow(&ordo, &short).await, follow(&ordo, &short).await];
    for stream in &mut ends {
        stream.until("\r\n0\r\n\r\n").await;
    }
    follow(&ordo, &token(Role::Auditor, "short", 600)).await.until("event: OrderCreated").await;
}

fn token(role: Role, subject: &str, seconds: u64) -> String {
    let valid_for = Duration::from_secs(seconds);
    let request = TokenRequest { role, subject: subject.to_owned(), customer_id: None, valid_for };
    request.sign(&TokenSecret::parse(SECRET).unwrap(), &TokenClaimSettings::default()).unwrap()
}

/// A live stream from the first event on, over a connection that stays open while this is kept.
struct Followed {
    connection: TcpStream,
    received: String,
}

/// Asks for a live stream, and waits for the head of the answer.
async fn follow(ordo: &Ordo, token: &str) -> Followed {
    let address = ordo.api.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /events/stream?after=0 HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut followed = Followed { connection, received: String::new() };
    followed.until("\r\n\r\n").await;
    followed
}

impl Followed {
    /// All that came, once the text is in it.
    async fn until(&mut self, text: &str) -> String {
        let reading = async {
            while !self.received.contains(text) {
                let mut bytes = [0; 4096];
                let length = self.connection.read(&mut bytes).await.unwrap();
                assert!(length > 0, "it ended without {text:?}: {}", self.received);
                self.received.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no {text:?}: {}", self.received));
        self.received.clone()
    }
}
