//! Compression of answers.
//!
//! An answer is compressed as a whole, at once: all of it is in memory anyway. A compressor that works piece by piece would keep its
//! 300 KiB for as long as a slow client takes.

use std::io::Write;

use axum::body::{Body, Bytes, to_bytes};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Body as _;
use problem::{Problem, gzip_etag};
use tokio::sync::Semaphore;

/// Answers up to this size fit into a packet as they are.
const SMALL: u64 = 1024;
/// A larger answer would keep a thread busy for too long.
const LARGE: u64 = 4 * 1024 * 1024;
/// How much is compressed before others get their turn: half a millisecond's work.
const PIECE: usize = 32 * 1024;

/// An extension of an answer that is the same as long as the process runs: its body, compressed in advance.
#[derive(Debug, Clone)]
pub(crate) struct PrecompressedBody {
    pub(crate) gzip: Bytes,
}

/// Compresses an answer of more than 1 KiB that is JSON, if its client takes gzip, as soon as `turns` has one. A [`PrecompressedBody`] is
/// compressed already.
pub(super) async fn compressed(mut answer: Response, client_takes_gzip: bool, turns: &Semaphore) -> Response {
    if let Some(PrecompressedBody { gzip }) = answer.extensions_mut().remove() {
        return precompressed(answer, gzip, client_takes_gzip);
    }
    let large = answer.body().size_hint().exact().is_some_and(|bytes| bytes > SMALL && bytes <= LARGE);
    if !large || !is_json(answer.headers()) || answer.headers().contains_key(CONTENT_ENCODING) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    vary_by_encoding(&mut head.headers);
    if !client_takes_gzip {
        return Response::from_parts(head, body);
    }
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => return Problem::internal(error).into_response(),
    };
    // Nobody closes it.
    let turn = turns.acquire().await;
    let Some(smaller) = gzip(&body).await.filter(|smaller| smaller.len() < body.len()) else {
        return Response::from_parts(head, Body::from(body));
    };
    drop(turn);
    describe_gzip(&mut head.headers, smaller.len());
    Response::from_parts(head, Body::from(smaller))
}

fn precompressed(mut answer: Response, gzip: Bytes, client_takes_gzip: bool) -> Response {
    vary_by_encoding(answer.headers_mut());
    if answer.status() == StatusCode::OK && client_takes_gzip {
        describe_gzip(answer.headers_mut(), gzip.len());
        // The answer to a HEAD has no body.
        if !answer.body().is_end_stream() {
            *answer.body_mut() = Body::from(gzip);
        }
    }
    answer
}

/// Caches must know that others get it otherwise.
fn vary_by_encoding(headers: &mut HeaderMap) {
    if !headers.get_all(VARY).iter().any(|value| value.as_bytes() == ACCEPT_ENCODING.as_str().as_bytes()) {
        headers.append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    }
}

fn describe_gzip(headers: &mut HeaderMap, bytes: usize) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    if let Some(etag) = headers.get(ETAG).and_then(gzip_etag) {
        headers.insert(ETAG, etag);
    }
}

/// Whether a client takes gzip: it says so by name or by `*`, and not with the quality 0.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            let mut parts = coding.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let wanted = parts.all(|part| !is_zero(part));
            if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                return wanted;
            }
            any |= name == b"*" && wanted;
        }
    }
    any
}

/// Whether a parameter is a quality of 0, such as `q=0.0`.
fn is_zero(parameter: &[u8]) -> bool {
    let quality = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
    quality.is_some_and(|quality| !quality.is_empty() && quality.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    media_type == b"application/json" || media_type.ends_with(b"+json")
}

async fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    // The fastest: most of what JSON can be made smaller by comes with it.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    for piece in body.chunks(PIECE) {
        encoder.write_all(piece).ok()?;
        tokio::task::yield_now().await;
    }
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_takes_gzip_if_it_says_so() {
        for (said, takes) in [
            (&["gzip"][..], true),
            (&["deflate, gzip;q=1.0, *;q=0.5"], true),
            (&["br", "GZIP"], true),
            (&["*"], true),
            (&["gzip;q=0, *"], false),
            (&["*;q=0.000"], false),
            (&["identity"], false),
            (&["gzip;q=0.001"], true),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(takes_gzip(&headers), takes, "{said:?}");
        }
    }
}
