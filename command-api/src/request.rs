//! Reading a command's request: its body within bounds, its idempotency key, its precondition.
//!
//! The size of a body is bounded, and so are all bodies together that are being read or handled. A key is in use until its request
//! is answered.

mod earlier_keys;

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access_control::AuthorizedCaller;
use axum::body::{Body as Incoming, HttpBody};
use axum::extract::Request;
use bounds::{CapacityShare, KeyedCapacity};
use event_store::{EventStore, IdempotencyKey};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use problem::{ClientNetwork, Precondition, Problem, ProblemType, idempotency_key, within_body_time};
use sha2::{Digest, Sha256};

use self::earlier_keys::LegacyIdempotencyKeys;
use crate::problems::RETRY_SOON;

/// The most bytes a body may have.
const MAX_BYTES: usize = 256 * 1024;
/// How much of a refused body is still read, and for how long, so that a client that writes first and reads later sees the answer
/// instead of a reset connection.
const MAX_DRAINED: usize = 2 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The bytes of each body that are not counted. Usual orders need no more, so that large ones never keep them out. The number of
/// connections bounds what that comes to: 20 MiB for 5,000.
const UNCOUNTED: usize = 4 * 1024;
/// The granularity in which further bytes are counted.
const UNIT: usize = 1024;
/// The units for all bodies together: 44 MiB, which makes 64 with what is not counted.
const MAX_UNITS: usize = 44 * 1024;
/// The units for bodies from one address, so that one client does not keep out the large orders of others.
const MAX_UNITS_PER_ADDRESS: usize = MAX_UNITS / 2;

/// Reads requests; holds what they share.
pub(crate) struct CommandRequestReader {
    memory: KeyedCapacity<ClientNetwork>,
    in_flight: IdempotencyKeysInFlight,
    earlier_keys: LegacyIdempotencyKeys,
}

/// Whether a request must have a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyRequirement {
    /// A JSON body.
    Required,
    /// A JSON body or none, which is `{}`.
    Optional,
    /// A body with a JSON object a line.
    Lines,
}

/// A request that was read.
pub(crate) struct CommandRequest {
    pub(crate) body: MeteredBody,
    headers: HeaderMap,
    key: Option<IdempotencyKeyInFlight>,
}

impl Default for CommandRequestReader {
    fn default() -> Self {
        Self {
            memory: KeyedCapacity::new(MAX_UNITS, MAX_UNITS_PER_ADDRESS),
            in_flight: IdempotencyKeysInFlight::default(),
            earlier_keys: LegacyIdempotencyKeys::default(),
        }
    }
}

impl CommandRequestReader {
    /// Reads a request's body.
    pub(crate) async fn read_body(
        &self,
        request: Request,
        kind: BodyRequirement,
    ) -> Result<(Parts, MeteredBody), Problem> {
        let (head, body) = check_head(request)?;
        let claims_json = claims_json(&head);
        if kind == BodyRequirement::Required && !claims_json {
            return Err(not_json());
        }
        let peer = head.extensions.get().copied();
        let body = within_body_time(self.read_frames(peer, body)).await?;
        // Some clients give a content type even without a body.
        match kind {
            BodyRequirement::Optional if body.is_empty() => {
                Ok((head, MeteredBody { bytes: b"{}".to_vec(), memory: None }))
            }
            BodyRequirement::Optional if !claims_json => Err(not_json()),
            BodyRequirement::Optional | BodyRequirement::Required | BodyRequirement::Lines => Ok((head, body)),
        }
    }

    /// Takes the request's idempotency key, if it has one. Keys of different callers and of different commands are different keys; a
    /// key fits only the same body and the same `target`.
    pub(crate) async fn begin(
        &self,
        store: &EventStore,
        caller: &AuthorizedCaller,
        (head, body): (Parts, MeteredBody),
        command: &'static str,
        target: Option<&str>,
    ) -> Result<CommandRequest, Problem> {
        let target = target.map_or([&b""[..]; 2], |target| [target.as_bytes(), b"\n"]);
        let scope = || format!("{} {command}", caller.principal.identity());
        let mut key = self.in_flight.begin(&head.headers, scope, &[target[0], target[1], &body])?;
        if let Some(in_flight) = &mut key {
            self.earlier_keys.adopt(store, caller, command, &mut in_flight.key).await?;
        }
        Ok(CommandRequest { body, headers: head.headers, key })
    }

    async fn read_frames(&self, peer: Option<ClientNetwork>, mut frames: Incoming) -> Result<MeteredBody, Problem> {
        let mut body = MeteredBody { bytes: Vec::new(), memory: Some(self.memory.share(peer)) };
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| Problem::malformed(format!("the body could not be read: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if let Err(refused) = body.reserve(data.len()) {
                let read = body.len() + data.len();
                drop((body, data));
                drain(frames, read).await;
                return Err(refused);
            }
            body.bytes.extend_from_slice(&data);
        }
        Ok(body)
    }
}

impl CommandRequest {
    pub(crate) fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref().map(|in_flight| &in_flight.key)
    }

    /// The versions that the request is meant for.
    pub(crate) fn precondition(&self) -> Result<Precondition, Problem> {
        Precondition::read(&self.headers)
    }
}

/// A request's body in memory. It holds its share of the memory quota until it is dropped, which is when its command
/// is answered.
#[derive(Debug)]
pub(crate) struct MeteredBody {
    bytes: Vec<u8>,
    /// `None`: it counts nothing.
    memory: Option<CapacityShare<ClientNetwork>>,
}

impl Deref for MeteredBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl MeteredBody {
    /// Reserves memory for more bytes as they come, whatever the client says of the length. What is counted is the capacity.
    fn reserve(&mut self, more: usize) -> Result<(), Problem> {
        let needed = self.bytes.len() + more;
        if needed > MAX_BYTES {
            return Err(too_large());
        }
        let capacity = self.bytes.capacity();
        if needed <= capacity {
            return Ok(());
        }
        // Doubled, so that a body in many pieces is not copied for each of them.
        let wanted = needed.next_multiple_of(UNIT);
        let wanted = if capacity == 0 { wanted } else { wanted.max(2 * capacity).min(MAX_BYTES) };
        let units = wanted.saturating_sub(UNCOUNTED).div_ceil(UNIT);
        if self.memory.as_mut().is_some_and(|memory| memory.grow_to(units).is_err()) {
            return Err(out_of_memory());
        }
        self.bytes.reserve_exact(wanted - self.bytes.len());
        Ok(())
    }
}

/// Reads and drops what is still on its way of a refused body, of which `read` bytes have come.
async fn drain(mut frames: Incoming, mut read: usize) {
    let draining = async {
        while read <= MAX_DRAINED
            && let Some(Ok(frame)) = frames.frame().await
        {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
        }
    };
    // A slower client may not see the answer.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, draining).await;
}

/// Refuses a body that the head says can't be read. A client that waits for `100 Continue` has not sent it yet.
fn check_head(request: Request) -> Result<(Parts, Incoming), Problem> {
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
    Problem::new(ProblemType::PayloadTooLarge, format!("a body may have at most {MAX_BYTES} bytes"))
}

fn out_of_memory() -> Problem {
    let detail = "too many large bodies are under way; nothing was stored";
    Problem::new(ProblemType::Overloaded, detail).retry_after(RETRY_SOON)
}

fn not_json() -> Problem {
    Problem::unsupported_media_type("the body must be application/json, and Content-Type must say so")
}

/// Whether the body claims to have a JSON object a line.
pub(crate) fn is_ndjson(headers: &HeaderMap) -> bool {
    let essence = |value: &HeaderValue| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        ["application/x-ndjson", "application/ndjson"].iter().any(|it| essence.eq_ignore_ascii_case(it.as_bytes()))
    };
    headers.get(header::CONTENT_TYPE).is_some_and(essence)
}

fn claims_json(head: &Parts) -> bool {
    head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).is_some_and(is_json)
}

fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The idempotency keys whose requests are being handled in this process. A second request under such a key is refused. If it comes
/// to another process, the event store lets only one of the two append.
#[derive(Debug, Clone, Default)]
struct IdempotencyKeysInFlight(Arc<Mutex<HashSet<ScopedIdempotencyKey>>>);

/// A scope and a key.
type ScopedIdempotencyKey = (String, String);

/// A key for as long as its request is handled.
struct IdempotencyKeyInFlight {
    key: IdempotencyKey,
    /// Its place among those in flight.
    place: ScopedIdempotencyKey,
    in_flight: IdempotencyKeysInFlight,
}

impl IdempotencyKeysInFlight {
    /// The request's key, if it has one. `parts` are hashed: the key fits only a request with the same.
    fn begin(
        &self,
        headers: &HeaderMap,
        scope: impl FnOnce() -> String,
        parts: &[&[u8]],
    ) -> Result<Option<IdempotencyKeyInFlight>, Problem> {
        let Some(key) = idempotency_key(headers)? else { return Ok(None) };
        let place = (scope(), key);
        if !self.lock().insert(place.clone()) {
            let detail = "a request with this Idempotency-Key is still being carried out; send it again in a moment";
            return Err(Problem::new(ProblemType::IdempotencyKeyInUse, detail));
        }
        let request_hash = parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize().into();
        let (scope, key) = place.clone();
        let key = IdempotencyKey { scope, key, request_hash };
        Ok(Some(IdempotencyKeyInFlight { key, place, in_flight: self.clone() }))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ScopedIdempotencyKey>> {
        // Every change is a single insert or remove, so a panic leaves the set consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for IdempotencyKeyInFlight {
    fn drop(&mut self) {
        self.in_flight.lock().remove(&self.place);
    }
}

#[cfg(test)]
mod tests;
