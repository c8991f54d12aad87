//! `Idempotency-Key`: a request that is sent again under its key is carried out once and gets its first answer again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_store::{OnceOnly, Outcome};
use http::{HeaderMap, HeaderName, HeaderValue};
use problem::Problem;
use sha2::{Digest, Sha256};

const HEADER: &str = "idempotency-key";
/// What an answer that was given before is marked with.
pub(crate) const REPLAYED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
/// A UUID has 36; some clients send hashes or paths.
const MAX_CHARS: usize = 255;

/// Which keys are being carried out in this process. One that comes again meanwhile is told so; where it comes to another
/// process, the event store lets one of the two through.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<Key>>>);

type Key = (&'static str, String);

/// A request under its key, for as long as it is carried out.
pub(crate) struct Keyed {
    request: OnceOnly,
    in_flight: InFlight,
}

impl InFlight {
    /// The request under its key, if it has one. `scope` says who asks for what, `asked` are the pieces that make it this request.
    pub(crate) fn begin(
        &self,
        headers: &HeaderMap,
        scope: &'static str,
        asked: &[&[u8]],
    ) -> Result<Option<Keyed>, Problem> {
        let Some(key) = read_key(headers)? else { return Ok(None) };
        if !self.keys().insert((scope, key.clone())) {
            let detail = "a request with this Idempotency-Key is still being carried out; send it again in a moment";
            return Err(Problem::conflict("idempotency-key-in-use", detail));
        }
        let request_hash = asked.iter().fold(Sha256::new(), Sha256::chain_update).finalize().into();
        let request = OnceOnly { scope, key, request_hash };
        Ok(Some(Keyed { request, in_flight: self.clone() }))
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<Key>> {
        // Every change is a single insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keyed {
    pub(crate) fn request(&self) -> &OnceOnly {
        &self.request
    }

    /// Refuses a request that is not the one its key was first used for.
    pub(crate) fn check_same(&self, outcome: &Outcome) -> Result<(), Problem> {
        if outcome.request_hash == self.request.request_hash {
            return Ok(());
        }
        let detail = "this Idempotency-Key was used for a request with another body; use a new key";
        Err(Problem::new(http::StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key has been used")
            .detail(detail))
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        let OnceOnly { scope, key, .. } = &mut self.request;
        self.in_flight.keys().remove(&(*scope, std::mem::take(key)));
    }
}

fn read_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => only,
        (Some(_), Some(_)) => return Err(invalid("must be given once")),
    };
    match value.to_str() {
        Ok(key) if (1..=MAX_CHARS).contains(&key.len()) => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => Err(invalid(&format!("must have 1 to {MAX_CHARS} printable ASCII characters"))),
    }
}

fn invalid(rule: &str) -> Problem {
    Problem::malformed(format!("header Idempotency-Key {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(keys: &[&[u8]]) -> HeaderMap {
        keys.iter().map(|key| (HeaderName::from_static(HEADER), HeaderValue::from_bytes(key).unwrap())).collect()
    }

    fn begin(in_flight: &InFlight, key: &str, body: &[u8]) -> Result<Option<Keyed>, u16> {
        in_flight
            .begin(&headers(&[key.as_bytes()]), "POST /orders", &[body])
            .map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_key_is_in_use_until_its_request_is_done() {
        let in_flight = InFlight::default();
        let first = begin(&in_flight, "k", b"a").unwrap();
        assert_eq!(begin(&in_flight, "k", b"a").err(), Some(409));
        assert!(begin(&in_flight, "another", b"a").is_ok());
        drop(first);
        assert!(begin(&in_flight, "k", b"a").is_ok());
    }

    #[test]
    fn requests_without_a_key_do_not_meet() {
        let in_flight = InFlight::default();
        let none = || in_flight.begin(&HeaderMap::new(), "POST /orders", &[b"a"]).map_err(|problem| problem.status());
        let first = none().unwrap();
        assert!(first.is_none() && none().unwrap().is_none());
    }

    #[test]
    fn the_key_of_one_body_does_not_fit_another() {
        let in_flight = InFlight::default();
        let outcome = |body: &[u8]| Outcome {
            request_hash: Sha256::digest(body).to_vec(),
            stream_id: "o".to_owned(),
            version: 1,
            position: 1,
        };
        let keyed = begin(&in_flight, "k", b"a").unwrap().unwrap();
        assert!(keyed.check_same(&outcome(b"a")).is_ok());
        assert_eq!(keyed.check_same(&outcome(b"b")).unwrap_err().status().as_u16(), 422);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let in_flight = InFlight::default();
        let longest = "k".repeat(MAX_CHARS);
        assert!(begin(&in_flight, &longest, b"a").is_ok());
        let too_long = "k".repeat(MAX_CHARS + 1);
        let wrong: [&[&[u8]]; 4] = [&[b""], &[too_long.as_bytes()], &["ä".as_bytes()], &[b"a", b"b"]];
        for keys in wrong {
            let refused = in_flight.begin(&headers(keys), "POST /orders", &[b"a"]);
            assert_eq!(refused.err().map(|problem| problem.status().as_u16()), Some(400), "{keys:?}");
        }
    }
}
