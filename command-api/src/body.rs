//! Reading a request's body within bounds.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use problem::Problem;

/// The most bytes a body may have.
const MAX_BYTES: usize = 256 * 1024;
/// How much of a body that is too large is still taken in, so that a client that writes first and reads later sees the
/// answer instead of a reset connection.
const MAX_DRAINED: usize = 2 * 1024 * 1024;
/// How long a client may take to send its body.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that says its body is JSON, and the body.
pub(crate) async fn read_json(request: Request) -> Result<(Parts, Bytes), Problem> {
    let (head, body) = expected(request)?;
    if !says_json(&head) {
        return Err(not_json());
    }
    Ok((head, read_in_time(body).await?))
}

/// A request that may leave its body out: `{}` then.
pub(crate) async fn read_optional_json(request: Request) -> Result<(Parts, Bytes), Problem> {
    let (head, body) = expected(request)?;
    // Some clients give a type even to nothing.
    let body = read_in_time(body).await?;
    match body.is_empty() {
        true => Ok((head, Bytes::from_static(b"{}"))),
        false if says_json(&head) => Ok((head, body)),
        false => Err(not_json()),
    }
}

/// A request with a body that can be read, as far as its head says. What is refused here was not sent yet by a client that waits
/// for `100 Continue`.
fn expected(request: Request) -> Result<(Parts, Body), Problem> {
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

fn not_json() -> Problem {
    Problem::unsupported_media_type("the body must be application/json, and Content-Type must say so")
}

fn says_json(head: &Parts) -> bool {
    head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).is_some_and(is_json)
}

async fn read_in_time(body: Body) -> Result<Bytes, Problem> {
    tokio::time::timeout(PATIENCE, read(body)).await.unwrap_or_else(|_| {
        let took_too_long = format!("the body did not arrive within {} s", PATIENCE.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "Request Timeout").detail(took_too_long))
    })
}

fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

async fn read(mut frames: Body) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = frames.frame().await {
        let frame = frame.map_err(|error| Problem::malformed(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= MAX_BYTES {
            body.extend_from_slice(&data);
        } else if length > MAX_DRAINED {
            break;
        }
    }
    if length > MAX_BYTES {
        return Err(too_large());
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_as(content_type: Option<&str>, body: Body) -> Result<usize, u16> {
        let mut request = Request::post("/orders");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let read = read_json(request.body(body).unwrap()).await;
        read.map(|(_, body)| body.len()).map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn only_json_is_read() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
            assert_eq!(read_as(Some(json), Body::from("{}")).await, Ok(2), "{json}");
        }
        for other in
            [None, Some(""), Some("text/plain"), Some("application/jsonp"), Some("application/x-www-form-urlencoded")]
        {
            assert_eq!(read_as(other, Body::from("{}")).await, Err(415), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_may_be_left_out_is_an_empty_object_then() {
        let read = async |content_type: Option<&str>, body: &'static str| {
            let mut request = Request::post("/orders/a/cancel");
            if let Some(content_type) = content_type {
                request = request.header(header::CONTENT_TYPE, content_type);
            }
            let read = read_optional_json(request.body(Body::from(body)).unwrap()).await;
            read.map(|(_, body)| body).map_err(|problem| problem.status().as_u16())
        };
        for nothing in [None, Some("application/json"), Some("application/x-www-form-urlencoded")] {
            assert_eq!(read(nothing, "").await, Ok(Bytes::from("{}")), "{nothing:?}");
        }
        assert_eq!(read(Some("application/json"), "{ }").await, Ok(Bytes::from("{ }")));
        assert_eq!(read(None, "{}").await, Err(415));
        assert_eq!(read(Some("text/plain"), "{}").await, Err(415));
    }

    #[tokio::test]
    async fn a_body_may_have_256_kib_and_no_byte_more() {
        let json = Some("application/json");
        assert_eq!(read_as(json, Body::from(vec![b' '; MAX_BYTES])).await, Ok(MAX_BYTES));
        assert_eq!(read_as(json, Body::from(vec![b' '; MAX_BYTES + 1])).await, Err(413));
        assert_eq!(read_as(json, Body::from(vec![b' '; 2 * MAX_DRAINED])).await, Err(413));
    }

    #[tokio::test]
    async fn a_body_that_is_encoded_is_refused() {
        for (encoding, status) in
            [("gzip", Err(415)), ("identity", Ok(())), ("Identity", Ok(())), ("br, gzip", Err(415))]
        {
            let request = || {
                let request = Request::post("/orders").header(header::CONTENT_TYPE, "application/json");
                request.header(header::CONTENT_ENCODING, encoding).body(Body::from("{}")).unwrap()
            };
            let status_of = |problem: Problem| problem.status().as_u16();
            assert_eq!(read_json(request()).await.map(drop).map_err(status_of), status, "{encoding}");
            assert_eq!(read_optional_json(request()).await.map(drop).map_err(status_of), status, "{encoding}");
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
        assert_eq!(read_as(Some("application/json"), Body::new(Never)).await, Err(408));
    }
}
