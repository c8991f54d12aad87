use bytes::Bytes;
use futures_util::{StreamExt, poll, stream};
use http::HeaderName;

use super::*;

async fn read_as(content_type: Option<&str>, body: Incoming) -> Result<usize, u16> {
    let mut request = Request::post("/orders");
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let read = CommandRequestReader::default().read_body(request.body(body).unwrap(), BodyRequirement::Required).await;
    read.map(|(_, body)| body.len()).map_err(|problem| problem.status().as_u16())
}

#[tokio::test]
async fn only_json_is_read() {
    for json in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
        assert_eq!(read_as(Some(json), Incoming::from("{}")).await, Ok(2), "{json}");
    }
    for other in
        [None, Some(""), Some("text/plain"), Some("application/jsonp"), Some("application/x-www-form-urlencoded")]
    {
        assert_eq!(read_as(other, Incoming::from("{}")).await, Err(415), "{other:?}");
    }
}

#[tokio::test]
async fn a_body_that_may_be_left_out_is_an_empty_object_then() {
    let read = async |content_type: Option<&str>, body: &'static str| {
        let mut request = Request::post("/orders/a/cancel");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let read = CommandRequestReader::default()
            .read_body(request.body(Incoming::from(body)).unwrap(), BodyRequirement::Optional)
            .await;
        read.map(|(_, body)| body.to_vec()).map_err(|problem| problem.status().as_u16())
    };
    for nothing in [None, Some("application/json"), Some("application/x-www-form-urlencoded")] {
        assert_eq!(read(nothing, "").await, Ok(b"{}".to_vec()), "{nothing:?}");
    }
    assert_eq!(read(Some("application/json"), "{ }").await, Ok(b"{ }".to_vec()));
    assert_eq!(read(None, "{}").await, Err(415));
    assert_eq!(read(Some("text/plain"), "{}").await, Err(415));
}

#[tokio::test]
async fn a_body_may_have_256_kib_and_no_byte_more() {
    let json = Some("application/json");
    assert_eq!(read_as(json, Incoming::from(vec![b' '; MAX_BYTES])).await, Ok(MAX_BYTES));
    assert_eq!(read_as(json, Incoming::from(vec![b' '; MAX_BYTES + 1])).await, Err(413));
    assert_eq!(read_as(json, Incoming::from(vec![b' '; 2 * MAX_DRAINED])).await, Err(413));
}

#[tokio::test]
async fn a_body_that_is_encoded_is_refused() {
    for (encoding, status) in [("gzip", Err(415)), ("identity", Ok(())), ("Identity", Ok(())), ("br, gzip", Err(415))] {
        let request = || {
            let request = Request::post("/orders").header(header::CONTENT_TYPE, "application/json");
            request.header(header::CONTENT_ENCODING, encoding).body(Incoming::from("{}")).unwrap()
        };
        let status_of = |problem: Problem| problem.status().as_u16();
        assert_eq!(
            CommandRequestReader::default()
                .read_body(request(), BodyRequirement::Required)
                .await
                .map(drop)
                .map_err(status_of),
            status,
            "{encoding}"
        );
        assert_eq!(
            CommandRequestReader::default()
                .read_body(request(), BodyRequirement::Optional)
                .await
                .map(drop)
                .map_err(status_of),
            status,
            "{encoding}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_go_on_is_not_waited_for() {
    struct Never;
    impl http_body::Body for Never {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    assert_eq!(read_as(Some("application/json"), Incoming::new(Never)).await, Err(408));
}

fn in_pieces(pieces: &[usize]) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + use<> {
    stream::iter(pieces.iter().map(|length| Ok(Bytes::from(vec![b' '; *length]))).collect::<Vec<_>>())
}

#[tokio::test]
async fn what_a_body_takes_is_counted_as_it_comes_and_given_back_when_it_is_dropped() {
    let reader = CommandRequestReader::default();
    let taken = || reader.memory.used() * UNIT;
    // Usual orders do not meet the others.
    let usual = reader.read_frames(None, Incoming::from(vec![b' '; UNCOUNTED])).await.unwrap();
    assert_eq!((usual.bytes.capacity(), taken()), (UNCOUNTED, 0));

    let in_pieces = Incoming::from_stream(in_pieces(&[UNCOUNTED, 1, 60_000, 5_000, 100_000]));
    let large = reader.read_frames(None, in_pieces).await.unwrap();
    assert_eq!(large.len(), UNCOUNTED + 165_001);
    assert_eq!(large.bytes.capacity(), UNCOUNTED + taken());
    assert!(taken() <= MAX_BYTES - UNCOUNTED);
    drop(large);
    assert_eq!(taken(), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_taken() {
    let reader = CommandRequestReader::default();
    let never_ends = Incoming::from_stream(in_pieces(&[100_000]).chain(stream::pending()));
    let mut reading = Box::pin(reader.read_frames(None, never_ends));
    assert!(poll!(&mut reading).is_pending());
    assert!(reader.memory.used() > 0);
    drop(reading);
    assert_eq!(reader.memory.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_room_a_body_is_refused_whether_or_not_its_client_goes_on() {
    let reader = CommandRequestReader::default();
    let mut others = reader.memory.share(None);
    assert!(others.grow_to(MAX_UNITS).is_ok());
    let status = async |body| {
        reader.read_frames(None, body).await.map(|body| body.len()).map_err(|refused| refused.status().as_u16())
    };
    assert_eq!(status(Incoming::from(vec![b' '; UNCOUNTED])).await, Ok(UNCOUNTED));
    assert_eq!(status(Incoming::from(vec![b' '; UNCOUNTED + 1])).await, Err(503));
    assert_eq!(status(Incoming::from_stream(in_pieces(&[100_000]).chain(stream::pending()))).await, Err(503));
}

fn headers(keys: &[&[u8]]) -> HeaderMap {
    keys.iter().map(|key| (HeaderName::from_static("idempotency-key"), HeaderValue::from_bytes(key).unwrap())).collect()
}

fn begin(in_flight: &IdempotencyKeysInFlight, key: &str, body: &[u8]) -> Result<Option<IdempotencyKeyInFlight>, u16> {
    in_flight
        .begin(&headers(&[key.as_bytes()]), || "shop:a POST /orders".to_owned(), &[body])
        .map_err(|problem| problem.status().as_u16())
}

#[test]
fn a_key_is_in_use_until_its_request_is_done() {
    let in_flight = IdempotencyKeysInFlight::default();
    let first = begin(&in_flight, "k", b"a").unwrap();
    assert_eq!(begin(&in_flight, "k", b"a").err(), Some(409));
    assert!(begin(&in_flight, "another", b"a").is_ok());
    drop(first);
    assert!(begin(&in_flight, "k", b"a").is_ok());
}

#[test]
fn requests_without_a_key_do_not_meet() {
    let in_flight = IdempotencyKeysInFlight::default();
    let none = || {
        in_flight
            .begin(&HeaderMap::new(), || "shop:a POST /orders".to_owned(), &[b"a"])
            .map_err(|problem| problem.status())
    };
    let first = none().unwrap();
    assert!(first.is_none() && none().unwrap().is_none());
}

#[test]
fn the_key_of_one_body_does_not_fit_another() {
    let in_flight = IdempotencyKeysInFlight::default();
    let hash = |body: &[u8]| begin(&in_flight, "k", body).unwrap().unwrap().key.request_hash;
    assert_eq!(hash(b"a"), hash(b"a"));
    assert_ne!(hash(b"a"), hash(b"b"));
}

#[test]
fn what_is_no_key_is_refused() {
    let in_flight = IdempotencyKeysInFlight::default();
    let longest = "k".repeat(255);
    assert!(begin(&in_flight, &longest, b"a").is_ok());
    let too_long = "k".repeat(256);
    let wrong: [&[&[u8]]; 4] = [&[b""], &[too_long.as_bytes()], &["ä".as_bytes()], &[b"a", b"b"]];
    for keys in wrong {
        let refused = in_flight.begin(&headers(keys), || "shop:a POST /orders".to_owned(), &[b"a"]);
        assert_eq!(refused.err().map(|problem| problem.status().as_u16()), Some(400), "{keys:?}");
    }
}
