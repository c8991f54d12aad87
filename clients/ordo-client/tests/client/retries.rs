//! When a request is sent again, and under which key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ordo_client::{AcceptedCommand, Error, NewCancellation, NewNote, NewOrder, NewOrderItem};

use crate::fake_server::{FakeServer, Reply, accepted, answer, hang_up, json, problem};
use crate::impatient;

async fn cancelled(server: &FakeServer) -> Result<AcceptedCommand, Error> {
    impatient(&server.url).build().unwrap().cancel_order("o-1", &NewCancellation::default()).await
}

#[tokio::test]
async fn a_command_is_sent_again_under_the_same_key() {
    for first in [
        problem(503, "overloaded"),
        problem(503, "outcome-unknown"),
        problem(429, "rate-limited"),
        problem(409, "idempotency-key-in-use"),
        answer(502, "text/html", "", "bad gateway"),
        hang_up(),
        Reply::Bytes(b"HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\n{".to_vec()),
    ] {
        let server = FakeServer::with([first.clone(), accepted()]).await;
        let done = cancelled(&server).await;
        assert_eq!(done.unwrap().position, 7, "{first:?}");
        let keys = server.header("idempotency-key");
        assert!(keys.len() == 2 && keys[0].is_some() && keys[0] == keys[1], "{first:?}: {keys:?}");
    }
}

#[tokio::test]
async fn two_commands_have_two_keys_and_a_given_key_is_used() {
    let server = FakeServer::with([accepted(), accepted(), accepted()]).await;
    cancelled(&server).await.unwrap();
    cancelled(&server).await.unwrap();
    let note = NewNote { text: "n".to_owned(), ..NewNote::default() };
    impatient(&server.url).build().unwrap().add_note("o-1", &note).idempotency_key("mine").await.unwrap();
    let keys = server.header("idempotency-key");
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2].as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_refusal_is_not_sent_again() {
    for (status, code) in [
        (400, "malformed"),
        (404, "not-found"),
        (409, "not-allowed"),
        (412, "precondition-failed"),
        (422, "invalid"),
        (500, "internal"),
    ] {
        let server = FakeServer::with([problem(status, code), accepted()]).await;
        let error = cancelled(&server).await.unwrap_err();
        assert_eq!((error.code(), server.requests().len()), (Some(code), 1));
    }
}

#[tokio::test]
async fn attempts_have_a_bound() {
    let server = FakeServer::with(std::iter::repeat_n(problem(503, "overloaded"), 20)).await;
    let error = cancelled(&server).await.unwrap_err();
    assert_eq!((error.code(), server.requests().len()), (Some("overloaded"), 4));
}

#[tokio::test]
async fn a_server_says_when_to_come_again() {
    let body = r#"{"status":503,"code":"overloaded"}"#;
    let busy = |after| answer(503, "application/problem+json", &format!("retry-after: {after}\r\n"), body);
    let server = FakeServer::with([busy(1), accepted()]).await;
    let began = Instant::now();
    cancelled(&server).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));

    // Longer than anybody wants to wait for.
    let server = FakeServer::with([busy(3600), accepted()]).await;
    let error = cancelled(&server).await.unwrap_err();
    assert_eq!((error.retry_after(), server.requests().len()), (Some(Duration::from_secs(3600)), 1));
}

#[tokio::test]
async fn nobody_there_is_tried_again_and_known_not_to_have_done_anything() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let client = impatient(&url).retries(2, Duration::from_secs(20)).build().unwrap();
    let order = NewOrder::new("o-1", "c", "1", "USD", [NewOrderItem::new("a", 1, "1")]);
    let began = Instant::now();
    let error = client.place_order(&order).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && !error.is_outcome_unknown(), "{error:?}");
    assert_eq!(error.to_string(), format!("nothing answers at {url}"));
    assert!(began.elapsed() >= Duration::from_millis(300), "it was not tried again");
}

#[tokio::test]
async fn what_has_no_key_is_not_sent_again_after_an_unknown_outcome() {
    let server = FakeServer::with([hang_up(), accepted()]).await;
    let error = impatient(&server.url).build().unwrap().replay(&["orders"]).await.unwrap_err();
    assert!(error.is_outcome_unknown());
    assert_eq!(server.requests().len(), 1);
    let replay = json(r#"{"id":"r","projections":["orders"],"phase":"folding"}"#);
    let server = FakeServer::with([problem(503, "database-unavailable"), replay]).await;
    impatient(&server.url).build().unwrap().replay(&["orders"]).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_attempt_that_may_have_succeeded_is_not_forgotten() {
    let lost = || {
        [
            hang_up(),
            problem(503, "outcome-unknown"),
            problem(502, ""),
            answer(504, "text/html", "", ""),
            problem(409, "idempotency-key-in-use"),
        ]
    };
    for first in lost() {
        for last in [problem(503, "overloaded"), problem(401, "invalid-credential"), problem(409, "not-allowed")] {
            let replies = std::iter::once(first.clone()).chain(std::iter::repeat_n(last.clone(), 3));
            let server = FakeServer::with(replies).await;
            let client = impatient(&server.url).retries(1, Duration::from_secs(20)).build().unwrap();
            let error = client.cancel_order("o-1", &NewCancellation::default()).await.unwrap_err();
            assert!(error.is_outcome_unknown() && error.problem().is_some(), "{first:?} {last:?}: {error:?}");
            let keys = server.header("idempotency-key");
            assert_eq!((keys.len(), error.idempotency_key()), (2, keys[0].as_deref()));
            assert!(error.to_string().ends_with(keys[0].as_deref().unwrap()), "{error}");
        }
    }
    // A success that can't be understood.
    let server = FakeServer::with([answer(200, "text/html", "", "welcome")]).await;
    let error = cancelled(&server).await.unwrap_err();
    assert_eq!(error.idempotency_key(), server.header("idempotency-key")[0].as_deref());
    assert!(error.is_outcome_unknown());
    // Nothing was done each time.
    let server = FakeServer::with(std::iter::repeat_n(problem(503, "overloaded"), 20)).await;
    let error = cancelled(&server).await.unwrap_err();
    assert!(!error.is_outcome_unknown() && error.idempotency_key().is_none(), "{error:?}");
}

#[tokio::test]
async fn what_a_gateway_says_about_the_outcome_is_not_believed() {
    let replay = || json(r#"{"id":"r","projections":["orders"],"phase":"folding"}"#);
    let client = |server: &FakeServer| impatient(&server.url).retries(1, Duration::from_secs(20)).build().unwrap();
    for (status, code) in [(502, ""), (504, ""), (503, ""), (504, "overloaded"), (501, "x"), (503, "replay-ended")] {
        let server = FakeServer::with([problem(status, code), replay()]).await;
        let error = client(&server).replay(&["orders"]).await.unwrap_err();
        assert!(error.is_outcome_unknown(), "{error:?}");
        assert_eq!((server.requests().len(), error.idempotency_key()), (1, None), "{status} {code}");
    }
    for code in ["overloaded", "stopping", "too-many-connections", "authentication-unavailable"] {
        let server = FakeServer::with([problem(503, code), replay()]).await;
        client(&server).replay(&["orders"]).await.unwrap();
        assert_eq!(server.requests().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn a_token_that_has_expired_is_asked_for_again() {
    let level = || json(r#"{"sku":"a","tracked":false}"#);
    let server = FakeServer::with([level(), problem(401, "unauthorized"), level(), problem(401, "unauthorized")]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let tokens = Arc::clone(&asked);
    let client = impatient(&server.url).token_from(move || {
        let nth = tokens.fetch_add(1, Ordering::SeqCst).min(2);
        async move { Ok(format!("token-{nth}")) }
    });
    let client = client.build().unwrap();
    client.stock_level("a").await.unwrap();
    client.stock_level("a").await.unwrap();
    // There is no newer one.
    assert_eq!(client.stock_level("a").await.unwrap_err().code(), Some("unauthorized"));
    let sent: Vec<_> = server.header("authorization").into_iter().flatten().collect();
    assert_eq!(sent, ["Bearer token-0", "Bearer token-1", "Bearer token-2", "Bearer token-2"]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_a_fixed_one_is_not_tried_twice() {
    let server = FakeServer::with([problem(401, "unauthorized"), accepted()]).await;
    let client = impatient(&server.url).token_from(async || Err("the issuer is away".into())).build().unwrap();
    assert!(matches!(client.stock_level("a").await.unwrap_err(), Error::Token(_)));
    assert_eq!(server.requests().len(), 0);
    let client = impatient(&server.url).token("fixed").build().unwrap();
    assert_eq!(client.stock_level("a").await.unwrap_err().code(), Some("unauthorized"));
    assert_eq!(server.requests().len(), 1);
}
