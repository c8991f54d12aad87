//! Reading a request's body within bounds.

use std::time::Duration;

use axum::extract::Request;
use bytes::{Bytes, BytesMut};
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

/// The body of a request that says it is JSON.
pub(crate) async fn read_json(request: Request) -> Result<Bytes, Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(is_json) {
        return Err(Problem::unsupported_media_type("the body must be application/json, and Content-Type must say so"));
    }
    tokio::time::timeout(PATIENCE, read(request)).await.unwrap_or_else(|_| {
        let took_too_long = format!("the body did not arrive within {} s", PATIENCE.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "Request Timeout").detail(took_too_long))
    })
}

fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let mut frames = request.into_body();
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
        return Err(Problem::payload_too_large(format!("a body may have at most {MAX_BYTES} bytes")));
    }
    Ok(body.freeze())
}
