//! A listener with a thread of its own says that the process is alive while all other threads are busy.

use std::io::{Read, Write};
use std::net::TcpStream;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{PATIENCE, QUICK, Server, one_answer, until_closed};

fn ask(server: &Server, path: &str) -> String {
    let mut client = TcpStream::connect(server.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: ordo\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn it_is_said_that_the_process_is_alive_while_no_other_thread_is_free() {
    let server = Server::start_on_own_thread();
    tokio::task::yield_now().await;
    // The only thread of the runtime waits here, and runs nothing else.
    assert!(ask(&server, "/health/live").starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn everything_else_is_served_by_the_runtime() {
    let mut server = Server::start_on_own_thread();
    let mut client = server.connect().await;
    client.write_all(QUICK).await.unwrap();
    assert!(one_answer(&mut client).await.contains("quick"));
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    assert!(one_answer(&mut client).await.contains("metrics"));
    let mut client = server.connect().await;
    client.write_all(b"GET /flood HTTP/1.1\r\nHost: ordo\r\n\r\n").await.unwrap();
    // Before there is an answer, whoever leaves may be gone before anybody began one.
    client.read_u8().await.unwrap();
    drop(client);
    server.given_up.recv().await.unwrap();
}

#[tokio::test]
async fn what_is_under_way_ends_before_it_stops() {
    let server = Server::start_on_own_thread();
    let mut client = server.busy().await;
    server.stop.cancel();
    server.go_on.notify_one();
    assert!(until_closed(&mut client).await.contains("done"));
    server.running.await.unwrap();
}
