//! Reading a request's body within bounds: of one body, and of all that are held at the same time.

mod room;

use std::ops::Deref;
use std::time::Duration;

use axum::body::{Body as Incoming, HttpBody};
use axum::extract::Request;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use problem::{Peer, Problem};

use self::room::{Room, Units};
use crate::refusal::SOON;

/// The most bytes a body may have.
const MAX_BYTES: usize = 256 * 1024;
/// How much of a body that is refused is still taken in, and for how long, so that a client that writes first and reads later
/// sees the answer instead of a reset connection.
const MAX_DRAINED: usize = 2 * 1024 * 1024;
const DRAINING: Duration = Duration::from_secs(2);
/// How long a client may take to send its body.
const PATIENCE: Duration = Duration::from_secs(10);

/// What each body may take beside the others. Orders as they usually are need no more, so that large ones never keep them out; the
/// number of connections bounds what that comes to: 20 MiB for 5,000.
const FREE: usize = 4 * 1024;
/// What is counted at a time of what bodies have beyond that.
const UNIT: usize = 1024;
/// How many units there are for all bodies together: 44 MiB, so that with what is free it is 64.
const UNITS: usize = 44 * 1024;
/// How many of them bodies from one address may take, so that one client does not keep the large orders of others out.
const PER_ADDRESS: usize = UNITS / 2;

/// The bodies of commands that are being read or carried out.
pub(crate) struct Bodies {
    units: Units,
}

/// A body. Its room is taken until it is dropped, which is when its command is answered.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    /// None: it takes none.
    room: Option<Room>,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self { units: Units::new(UNITS, PER_ADDRESS) }
    }
}

impl Bodies {
    /// A request that says its body is JSON, and the body.
    pub(crate) async fn read_json(&self, request: Request) -> Result<(Parts, Body), Problem> {
        let (head, body) = expected(request)?;
        if !says_json(&head) {
            return Err(not_json());
        }
        let body = self.read_in_time(&head, body).await?;
        Ok((head, body))
    }

    /// A request that may leave its body out: `{}` then.
    pub(crate) async fn read_optional_json(&self, request: Request) -> Result<(Parts, Body), Problem> {
        let (head, body) = expected(request)?;
        // Some clients give a type even to nothing.
        let body = self.read_in_time(&head, body).await?;
        match body.is_empty() {
            true => Ok((head, Body { bytes: b"{}".to_vec(), room: None })),
            false if says_json(&head) => Ok((head, body)),
            false => Err(not_json()),
        }
    }

    async fn read_in_time(&self, head: &Parts, body: Incoming) -> Result<Body, Problem> {
        let peer = head.extensions.get().copied();
        tokio::time::timeout(PATIENCE, self.read(peer, body)).await.unwrap_or_else(|_| {
            let took_too_long = format!("the body did not arrive within {} s", PATIENCE.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "Request Timeout").detail(took_too_long))
        })
    }

    async fn read(&self, peer: Option<Peer>, mut frames: Incoming) -> Result<Body, Problem> {
        let mut body = Body { bytes: Vec::new(), room: Some(self.units.room_for(peer)) };
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| Problem::malformed(format!("the body could not be read: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if let Err(refused) = body.make_room(data.len()) {
                let come = body.len() + data.len();
                drop((body, data));
                drain(frames, come).await;
                return Err(refused);
            }
            body.bytes.extend_from_slice(&data);
        }
        Ok(body)
    }
}

impl Body {
    /// Makes room for more of it as it comes, whatever its client says of its length. What is counted is the memory that it has.
    fn make_room(&mut self, more: usize) -> Result<(), Problem> {
        let needed = self.bytes.len() + more;
        if needed > MAX_BYTES {
            return Err(too_large());
        }
        let (has, wanted) = (self.bytes.capacity(), needed.next_multiple_of(UNIT));
        if needed <= has {
            return Ok(());
        }
        // Doubled, so that what comes in many pieces is not copied for each of them.
        let wanted = if has == 0 { wanted } else { wanted.max(2 * has).min(MAX_BYTES) };
        let units = wanted.saturating_sub(FREE).div_ceil(UNIT);
        if !self.room.as_mut().is_none_or(|room| room.grow_to(units)) {
            return Err(no_room());
        }
        self.bytes.reserve_exact(wanted - self.bytes.len());
        Ok(())
    }
}

/// Takes in what is on its way of a body that is refused, of which so many bytes have come.
async fn drain(mut frames: Incoming, mut come: usize) {
    let draining = async {
        while come <= MAX_DRAINED
            && let Some(Ok(frame)) = frames.frame().await
        {
            come += frame.data_ref().map_or(0, bytes::Bytes::len);
        }
    };
    // Whoever is slower reads the answer or does not.
    let _ = tokio::time::timeout(DRAINING, draining).await;
}

/// A request with a body that can be read, as far as its head says. What is refused here was not sent yet by a client that waits
/// for `100 Continue`.
fn expected(request: Request) -> Result<(Parts, Incoming), Problem> {
    let (head, body) = request.into_parts();
    let mut encodings = head.headers.get_all(header::CONTENT_ENCODING).iter();
    if !encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_media_type("the body must come as it is, without a Content-Encoding"));
    }
    let waits = head.headers.get(header::EXPECT).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if waits && body.size_hint().lower() > MAX_BYTES as u64 {
        return Err(too_large());
    }
    Ok((head, body))
}

fn too_large() -> Problem {
    Problem::payload_too_large(format!("a body may have at most {MAX_BYTES} bytes"))
}

fn no_room() -> Problem {
    let detail = "too many large bodies are under way; nothing was stored";
    Problem::unavailable("overloaded", detail, SOON)
}

fn not_json() -> Problem {
    Problem::unsupported_media_type("the body must be application/json, and Content-Type must say so")
}

fn says_json(head: &Parts) -> bool {
    head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).is_some_and(is_json)
}

fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{StreamExt, poll, stream};

    use super::*;

    async fn read_as(content_type: Option<&str>, body: Incoming) -> Result<usize, u16> {
        let mut request = Request::post("/orders");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let read = Bodies::default().read_json(request.body(body).unwrap()).await;
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
            let read = Bodies::default().read_optional_json(request.body(Incoming::from(body)).unwrap()).await;
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
        for (encoding, status) in
            [("gzip", Err(415)), ("identity", Ok(())), ("Identity", Ok(())), ("br, gzip", Err(415))]
        {
            let request = || {
                let request = Request::post("/orders").header(header::CONTENT_TYPE, "application/json");
                request.header(header::CONTENT_ENCODING, encoding).body(Incoming::from("{}")).unwrap()
            };
            let status_of = |problem: Problem| problem.status().as_u16();
            assert_eq!(Bodies::default().read_json(request()).await.map(drop).map_err(status_of), status, "{encoding}");
            assert_eq!(
                Bodies::default().read_optional_json(request()).await.map(drop).map_err(status_of),
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
        let bodies = Bodies::default();
        let taken = || bodies.units.taken_by_all() * UNIT;
        // Usual orders do not meet the others.
        let usual = bodies.read(None, Incoming::from(vec![b' '; FREE])).await.unwrap();
        assert_eq!((usual.bytes.capacity(), taken()), (FREE, 0));

        let in_pieces = Incoming::from_stream(in_pieces(&[FREE, 1, 60_000, 5_000, 100_000]));
        let large = bodies.read(None, in_pieces).await.unwrap();
        assert_eq!(large.len(), FREE + 165_001);
        assert_eq!(large.bytes.capacity(), FREE + taken());
        assert!(taken() <= MAX_BYTES - FREE);
        drop(large);
        assert_eq!(taken(), 0);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_in_the_middle_leaves_nothing_taken() {
        let bodies = Bodies::default();
        let never_ends = Incoming::from_stream(in_pieces(&[100_000]).chain(stream::pending()));
        let mut reading = Box::pin(bodies.read(None, never_ends));
        assert!(poll!(&mut reading).is_pending());
        assert!(bodies.units.taken_by_all() > 0);
        drop(reading);
        assert_eq!(bodies.units.taken_by_all(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_a_body_is_refused_whether_or_not_its_client_goes_on() {
        let bodies = Bodies::default();
        let mut others = bodies.units.room_for(None);
        assert!(others.grow_to(UNITS));
        let status = async |body| {
            bodies.read(None, body).await.map(|body| body.len()).map_err(|refused| refused.status().as_u16())
        };
        assert_eq!(status(Incoming::from(vec![b' '; FREE])).await, Ok(FREE));
        assert_eq!(status(Incoming::from(vec![b' '; FREE + 1])).await, Err(503));
        assert_eq!(status(Incoming::from_stream(in_pieces(&[100_000]).chain(stream::pending()))).await, Err(503));
    }
}
