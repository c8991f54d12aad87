//! Clients that are slow, silent or many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use access_control::{AccessLayer, AuthenticationSettings, Authenticator, Principal, Role};
use axum::Router;
use axum::routing::get;
use ordo::http::{ConnectionLimits, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::server::{LARGE, PATIENCE, QUICK, SHORT, Server, one_answer, rest_of_large, until_closed};

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_told_so_and_cut_off() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    client.write_all(b"GET /quick HTTP/1.1\r\nHost: ordo\r\nX-Slow: ").await.unwrap();
    let began = Instant::now();
    let answer = until_closed(&mut client).await;
    assert!(began.elapsed() >= SHORT);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.ends_with(r#""code":"request-timeout"}"#), "{answer}");
}

#[tokio::test]
async fn a_client_that_drips_its_headers_gets_no_more_time() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    client.write_all(b"GET /quick HTTP/1.1\r\nHost: ordo\r\nX-Slow: ").await.unwrap();
    let dripping = async {
        while client.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_says_anything_is_cut_off() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = Server::start(ConnectionLimits::default());
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.write_all(QUICK).await.unwrap();
        assert!(one_answer(&mut client).await.ends_with("quick"));
    }
}

#[tokio::test]
async fn a_connection_may_idle_for_longer_than_its_headers_may_take() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    for _ in 0..2 {
        client.write_all(QUICK).await.unwrap();
        assert!(one_answer(&mut client).await.ends_with("quick"));
        tokio::time::sleep(2 * SHORT).await;
    }
    client.write_all(b"GET /quick HTTP/1.1\r\n").await.unwrap();
    assert!(until_closed(&mut client).await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_connection_may_not_idle_for_ever() {
    let server = Server::start(ConnectionLimits { idle: SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    client.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut client).await.ends_with("quick"));
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn an_answer_that_is_never_read_is_given_up() {
    let mut server = Server::start(ConnectionLimits { answers: SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    client.write_all(b"GET /flood HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    tokio::time::timeout(PATIENCE, server.given_up.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_its_answer() {
    let server = Server::start(ConnectionLimits { answers: 2 * SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    client.write_all(b"GET /large HTTP/1.1\r\nHost: ordo\r\nConnection: close\r\n\r\n").await.unwrap();
    let (mut read, mut pauses, mut piece) = (0, 0, vec![0; LARGE / 8]);
    loop {
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            length => read += length,
        }
        // In all longer than the server waits for any of it to be read.
        if read / (LARGE / 8) > pauses {
            pauses += 1;
            tokio::time::sleep(SHORT / 2).await;
        }
    }
    assert!(read > LARGE, "{read}");
}

#[tokio::test]
async fn a_client_that_still_takes_its_answer_does_not_idle() {
    let server = Server::start(ConnectionLimits { idle: SHORT, ..ConnectionLimits::default() });
    let mut client = server.taking_its_answer().await;
    tokio::time::sleep(3 * SHORT).await;
    rest_of_large(&mut client).await;
    // Now it idles.
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn a_client_that_still_takes_its_answer_keeps_its_place() {
    let server = Server::start(ConnectionLimits { connections: 1, ..ConnectionLimits::default() });
    let mut client = server.taking_its_answer().await;
    let mut second = server.connect().await;
    second.write_all(QUICK).await.unwrap();
    assert!(until_closed(&mut second).await.starts_with("HTTP/1.1 503 "));
    rest_of_large(&mut client).await;
    client.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut client).await.ends_with("quick"));
}

#[tokio::test]
async fn who_waits_without_a_request_makes_room_for_who_has_one() {
    let server = Server::start(ConnectionLimits { connections: 2, ..ConnectionLimits::default() });
    let mut used = server.connect().await;
    used.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut used).await.ends_with("quick"));
    let mut busy = server.busy().await;

    let mut third = server.connect().await;
    third.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut third).await.ends_with("quick"));
    assert_eq!(until_closed(&mut used).await, "");
    server.go_on.notify_one();
    assert!(one_answer(&mut busy).await.ends_with("done"));
}

#[tokio::test]
async fn a_crowd_of_silent_clients_keeps_nobody_out() {
    let server = Server::start(ConnectionLimits { connections: 20, reserve: 2, ..ConnectionLimits::default() });
    let mut crowd = Vec::new();
    for nth in 0..100 {
        let mut client = server.connect().await;
        if nth % 2 == 0 {
            client.write_all(b"GET /quick HTTP/1.1\r\nX-Slow: ").await.unwrap();
        }
        crowd.push(client);
    }
    for path in ["/quick", "/health/live", "/metrics"] {
        let mut client = server.connect().await;
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: ordo\r\n\r\n").as_bytes()).await.unwrap();
        assert!(one_answer(&mut client).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
}

#[tokio::test]
async fn with_every_place_busy_the_process_still_says_how_it_is() {
    let server = Server::start(ConnectionLimits { connections: 1, reserve: 2, ..ConnectionLimits::default() });
    let mut busy = server.busy().await;
    // Those who say nothing do not keep the reserve either.
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(server.connect().await);
    }
    for (path, status) in [("/health/live", 200), ("/quick", 503), ("/metrics", 200)] {
        let mut client = server.connect().await;
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: ordo\r\n\r\n").as_bytes()).await.unwrap();
        let answer = until_closed(&mut client).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert_eq!(answer.contains(r#""code":"too-many-connections""#), status == 503, "{answer}");
        assert!(answer.contains("traceresponse: 00-"), "{answer}");
    }
    server.go_on.notify_one();
    assert!(one_answer(&mut busy).await.ends_with("done"));
    // Its place is free again for whoever comes.
    busy.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut busy).await.ends_with("quick"));
}

#[tokio::test]
async fn the_reserve_answers_behind_access_control_too() {
    let (under_way, busy) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let noted = Arc::clone(&under_way);
    let orders = async move || {
        noted.notify_one();
        busy.notified().await;
    };
    let router = Router::new()
        .route("/health/live", get(|| async { "live" }))
        .route("/metrics", get(|| async { "metrics" }))
        .route("/orders", get(orders));
    let authenticator = Authenticator::start(&AuthenticationSettings::default(), None).unwrap();
    let operator = Principal::new(Role::Operator, "local", None);
    let router = router.layer(AccessLayer::new(authenticator, Some(operator)));
    let listener = bind("127.0.0.1:0".parse().unwrap(), "--listen").unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ConnectionLimits { connections: 1, reserve: 2, ..ConnectionLimits::default() };
    let _server = AbortOnDropHandle::new(tokio::spawn(serve(listener, router, limits, CancellationToken::new())));

    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /orders HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    under_way.notified().await;
    for (path, end) in [("/health/live", "live"), ("/metrics", "metrics")] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: ordo\r\n\r\n").as_bytes()).await.unwrap();
        let answer = until_closed(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(end), "{answer}");
    }
}

#[tokio::test]
async fn whoever_has_waited_the_longest_makes_room_whatever_it_asked_before() {
    let server = Server::start(ConnectionLimits { connections: 3, reserve: 0, ..ConnectionLimits::default() });
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    let mut busy = server.busy().await;
    // It came first, and has waited for less than the second now.
    first.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut first).await.ends_with("quick"));

    let mut newcomers = Vec::new();
    for displaced in [&mut second, &mut first] {
        let mut newcomer = server.connect().await;
        newcomer.write_all(QUICK).await.unwrap();
        assert!(one_answer(&mut newcomer).await.ends_with("quick"));
        assert_eq!(until_closed(displaced).await, "");
        newcomers.push(newcomer);
    }
    // Who is served stays, whatever there is to displace.
    for _ in 0..10 {
        let mut newcomer = server.connect().await;
        newcomer.write_all(QUICK).await.unwrap();
        assert!(one_answer(&mut newcomer).await.ends_with("quick"));
    }
    server.go_on.notify_one();
    assert!(one_answer(&mut busy).await.ends_with("done"));
}

#[tokio::test]
async fn one_address_does_not_get_every_place() {
    let server = Server::start(ConnectionLimits { connections: 10, per_address: 2, ..ConnectionLimits::default() });
    let _busy = [server.busy().await, server.busy().await];
    let mut third = server.connect().await;
    third.write_all(QUICK).await.unwrap();
    assert!(until_closed(&mut third).await.starts_with("HTTP/1.1 503 "));

    // All of 127.0.0.0/8 is this machine on Linux.
    if cfg!(target_os = "linux") {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut elsewhere = socket.connect(server.address).await.unwrap();
        elsewhere.write_all(QUICK).await.unwrap();
        assert!(one_answer(&mut elsewhere).await.ends_with("quick"));
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = Server::start(ConnectionLimits::default());
    let mut client = server.connect().await;
    let head = format!("GET /quick HTTP/1.1\r\nHost: ordo\r\nX-Long: {}\r\n\r\n", "a".repeat(40 * 1024));
    client.write_all(head.as_bytes()).await.unwrap();
    // The answer can be lost with the rest of the head, which nobody reads.
    let answer = until_closed(&mut client).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_end() {
    let mut server = Server::start(ConnectionLimits::default());
    let mut client = server.connect().await;
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    assert!(until_closed(&mut client).await.ends_with("slow"));
    (&mut server.running).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "still listening");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let mut server = Server::start(ConnectionLimits { drain: SHORT, ..ConnectionLimits::default() });
    let mut client = server.connect().await;
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(2), &mut server.running).await.unwrap().unwrap();
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn a_taken_address_says_which_flag_to_change() {
    let taken = bind("127.0.0.1:0".parse().unwrap(), "--listen").unwrap();
    let address = taken.local_addr().unwrap();
    let error = format!("{:#}", bind(address, "--listen").unwrap_err());
    let expected = format!(
        "cannot listen on {address}: another process has that port; choose another address with --listen (port 0: any free one)"
    );
    assert_eq!(error, expected);
}
