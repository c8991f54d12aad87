//! The live stream goes on where it was.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use ordo_client::{Error, Event};

use crate::fake_server::{FakeServer, Reply, answer, hang_up, problem};
use crate::impatient;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn event(position: i64) -> String {
    format!(
        "id: {position}\nevent: NoteAdded\ndata: {{\"streamType\":\"order\",\"streamId\":\"o-1\",\"version\":{position},\
         \"position\":{position},\"type\":\"NoteAdded\",\"eventId\":\"e\",\"recordedAt\":\"2026-11-30T03:07:09Z\",\
         \"metadata\":{{}},\"data\":{{\"text\":\"n\"}}}}\n\n"
    )
}

fn stream_of(blocks: &[String]) -> Reply {
    Reply::Bytes(format!("{HEAD}retry: 1000\n{}", blocks.concat()).into_bytes())
}

fn begins_at(position: i64) -> String {
    format!("id: {position}\n\n")
}

/// The positions until the end, and the error that ended it.
async fn all(stream: impl Stream<Item = Result<Event, Error>>) -> (Vec<i64>, Error) {
    let mut stream = pin!(stream);
    let mut positions = Vec::new();
    loop {
        match stream.next().await.unwrap() {
            Ok(event) => positions.push(event.position),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error is the end");
                return (positions, error);
            }
        }
    }
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_it_has_seen() {
    let half = Reply::Bytes(format!("{HEAD}{}{}", begins_at(8), &event(9)[..40]).into_bytes());
    let server = FakeServer::with([
        stream_of(&[begins_at(0), event(1), event(2)]),
        // Some come again, as from a server that takes the id for included.
        stream_of(&[event(2), event(3), begins_at(7)]),
        problem(503, "stopping"),
        hang_up(),
        half,
        stream_of(&[begins_at(8), event(9)]),
        problem(403, "forbidden"),
    ])
    .await;
    let interruptions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&interruptions);
    let live = impatient(&server.url).build().unwrap().live().after(0).types(&["NoteAdded", "OrderCreated"]);
    let live = live.on_interruption(move |_, position| seen.lock().unwrap().push(position));
    let (positions, error) = all(live.stream()).await;
    assert_eq!((positions, error.code()), (vec![1, 2, 3, 9], Some("forbidden")));
    assert_eq!(*interruptions.lock().unwrap(), [2, 7, 8, 9]);
    let ids = server.header("last-event-id");
    let ids: Vec<Option<&str>> = ids.iter().map(Option::as_deref).collect();
    assert_eq!(ids, [None, Some("2"), Some("7"), Some("7"), Some("7"), Some("8"), Some("9")]);
    let asked = server.requests();
    assert!(asked.iter().all(|it| it.starts_with("GET /events/stream?after=0&type=NoteAdded%2COrderCreated ")));
}

#[tokio::test]
async fn an_event_can_be_had_as_it_was_sent() {
    let odd = "id: 1\ndata: {\"ofLater\": 1,\ndata: \"b\":  2}\n\n".to_owned();
    let server = FakeServer::with([stream_of(&[odd]), problem(403, "forbidden")]).await;
    let mut stream = pin!(impatient(&server.url).build().unwrap().live().json_stream());
    assert_eq!(stream.next().await.unwrap().unwrap(), r#"{"ofLater": 1, "b":  2}"#);
    assert!(stream.next().await.unwrap().is_err() && stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_says_nothing_is_opened_anew() {
    let silent = Reply::ThenSilence(format!("{HEAD}{}{}", begins_at(4), event(5)).into_bytes());
    let server = FakeServer::with([silent, stream_of(&[event(6)]), problem(403, "forbidden")]).await;
    let live = impatient(&server.url).build().unwrap().live().silence_timeout(Duration::from_millis(200));
    let (positions, _) = all(live.stream()).await;
    assert_eq!(positions, [5, 6]);
}

#[tokio::test]
async fn an_answer_that_is_no_event_stream_ends_the_client_stream() {
    let nameless = event(1).replacen("id: 1\n", "", 1);
    for (reply, expected) in [
        (answer(200, "application/json", "", "{}"), "it is no stream of events"),
        (answer(307, "text/plain", "location: /elsewhere\r\n", ""), "redirects are not followed"),
        (stream_of(&[begins_at(0), nameless]), "an event has no position"),
        (stream_of(&[begins_at(0), "id: 1\ndata: {\n\n".to_owned()]), "event 1 can't be understood"),
        (
            Reply::Endless(HEAD.into(), b"data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n".to_vec()),
            "an event is too long",
        ),
    ] {
        let server = FakeServer::with([reply]).await;
        let client = impatient(&server.url).max_answer_bytes(64 * 1024).build().unwrap();
        let (positions, error) = all(client.live().stream()).await;
        assert!(positions.is_empty() && error.to_string().contains(expected), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_ends_with_its_token_goes_on_with_the_next_one() {
    let refused = || problem(401, "invalid-credential");
    let server = FakeServer::with([
        stream_of(&[begins_at(0), event(1)]),
        // There is a newer one at once.
        refused(),
        stream_of(&[event(2)]),
        // There is none yet, and for a moment none at all.
        refused(),
        stream_of(&[event(3)]),
        problem(403, "forbidden"),
    ])
    .await;
    let asked = AtomicUsize::new(0);
    let client = impatient(&server.url).token_from(move || {
        let nth = asked.fetch_add(1, Ordering::SeqCst);
        let token = ["a", "a", "b", "b", "b", "", "c", "c"][nth.min(7)];
        async move { if token.is_empty() { Err("the issuer is away".into()) } else { Ok(token.to_owned()) } }
    });
    let (positions, error) = all(client.build().unwrap().live().stream()).await;
    assert_eq!((positions, error.code()), (vec![1, 2, 3], Some("forbidden")));
    let sent: Vec<_> = server.header("authorization").into_iter().flatten().collect();
    assert_eq!(sent, ["a", "a", "b", "b", "c", "c"].map(|token| format!("Bearer {token}")));
}

#[tokio::test]
async fn a_stream_with_a_fixed_token_ends_when_that_is_refused() {
    let server = FakeServer::with([stream_of(&[begins_at(0), event(1)]), problem(401, "invalid-credential")]).await;
    let client = impatient(&server.url).token("fixed").build().unwrap();
    let (positions, error) = all(client.live().stream()).await;
    assert_eq!((positions, error.code()), (vec![1], Some("invalid-credential")));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_given_up() {
    let server = FakeServer::with([]).await;
    let client = impatient(&server.url).retries(1, Duration::from_secs(5)).build().unwrap();
    let (positions, error) = all(client.live().stream()).await;
    assert!(positions.is_empty() && matches!(error, Error::NoAnswer { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 2);
}
