//! Requests that get no stream.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use problem::ClientNetwork;
use projections::LiveStreamSettings;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::client::{Server, confirmed};

#[tokio::test]
async fn one_address_gets_no_more_than_its_share_of_live_streams() {
    let database = testkit::database().await;
    let server = Server::with(&database, LiveStreamSettings { per_address: 2, ..LiveStreamSettings::default() });
    let ask = async |address: &str| {
        let mut request = Request::get("/events/stream").body(Body::empty()).unwrap();
        request.extensions_mut().insert(ClientNetwork::of(address.parse().unwrap()));
        server.routes.clone().oneshot(request).await.unwrap()
    };
    let (first, second) = (ask("192.0.2.1").await, ask("192.0.2.1").await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let third = ask("192.0.2.1").await;
    assert_eq!(third.status().as_u16(), 503);
    let problem = third.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&problem).unwrap()["code"], "too-many-streams");
    assert_eq!(ask("192.0.2.2").await.status().as_u16(), 200);
    // Whoever leaves makes room.
    drop(first);
    assert_eq!(ask("192.0.2.1").await.status().as_u16(), 200);
    server.end().await;
}

#[tokio::test]
async fn a_position_that_the_log_does_not_have_is_refused() {
    let database = testkit::database().await;
    let position = confirmed(&database, "a").await;
    let server = Server::on(&database);
    for (query, last_event_id, status, says) in [
        ("", "soon", 400, "Last-Event-ID"),
        ("", "-1", 400, "Last-Event-ID"),
        ("", "99999999999999999999", 400, "Last-Event-ID"),
        ("", "7", 400, "beyond the end of the log, which is at 1"),
        ("?after=7", "", 400, "beyond the end of the log, which is at 1"),
        ("?after=soon", "", 422, "?after"),
        ("?after=-1", "", 422, "?after"),
        ("?after=", "", 422, "?after"),
        ("?type=", "", 422, "?type"),
        ("?type=NoteAdded,,OrderCreated", "", 422, "?type"),
        ("?type=OrderCraeted", "", 422, "there is no event"),
        ("?streamType=basket", "", 422, "there are order and stock"),
        ("?streamId=", "", 422, "?streamId"),
        ("?streamType=", "", 422, "?streamType"),
        ("?type=A&type=B", "", 422, "?type"),
        ("?colour=red", "", 422, "?colour"),
    ] {
        let (answered, problem) = server.refusal(query, last_event_id).await;
        assert_eq!(answered, status, "{query} {last_event_id}: {problem}");
        assert!(problem.to_string().contains(says), "{query} {last_event_id}: {problem}");
    }
    // The header counts for more: it is how far a client came that began there.
    let mut client = server.follow("?after=0", Some(position)).await;
    assert_eq!(client.block().await.unwrap().id, Some(position));
    let next = confirmed(&database, "a").await;
    assert_eq!(client.ids(1).await, [next]);
    server.end().await;
}

#[tokio::test]
async fn without_its_database_a_stream_is_told_to_come_back() {
    let database = testkit::database().await;
    let server = Server::on(&database);
    database.pool().close().await;
    let (status, problem) = server.refusal("", "").await;
    assert_eq!((status, &problem["code"]), (503, &json!("database-unavailable")));
    server.end().await;
}
