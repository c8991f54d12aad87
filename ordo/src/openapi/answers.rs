//! What the document says of answers beside what each route says of its own: the refusals that any route may give, and the headers
//! that the layers around the routes add.

use std::collections::BTreeMap;

use http::StatusCode;
use problem::Deprecation;
use serde_json::{Map, Value, json};

use super::common::Operation;

/// The headers that layers add, each with its type.
const HEADERS: [(&str, &str, &str); 16] = [
    ("Cache-Control", "string", "How long the answer may be kept, and by whom"),
    ("Content-Encoding", "string", "`gzip`, of a longer answer for a client that takes it"),
    ("Content-Security-Policy", "string", "What a browser may load for the answer: nothing unless it is a page"),
    ("Deprecation", "string", "Since when the route should not be used (RFC 9745)"),
    ("Link", "string", "With `rel=\"deprecation\"`: a page about what to use instead"),
    ("Preference-Applied", "string", "The preference that was followed: `wait=N` (RFC 7240)"),
    ("RateLimit", "string", "What is left of the quota"),
    ("RateLimit-Policy", "string", "The quota that counts, as in draft-ietf-httpapi-ratelimit-headers"),
    ("Referrer-Policy", "string", "`no-referrer`"),
    ("Retry-After", "integer", "Seconds after which to try again"),
    ("Strict-Transport-Security", "string", "Over TLS: it is to be used from now on"),
    ("Sunset", "string", "Until when the route answers (RFC 8594)"),
    ("Vary", "string", "The headers of the request by which the answer may differ"),
    ("WWW-Authenticate", "string", "The scheme of credentials, `Bearer`, and what is wrong with this one (RFC 6750)"),
    ("X-Content-Type-Options", "string", "`nosniff`"),
    ("traceresponse", "string", "The request's trace (W3C Trace Context)"),
];

/// Headers and refusals that operations refer to, by their names.
#[derive(Debug, Default)]
pub(super) struct SharedComponents {
    headers: BTreeMap<&'static str, Value>,
    refusals: BTreeMap<String, Value>,
}

impl SharedComponents {
    /// Puts those that are referred to into the document.
    pub(super) fn put_into(self, document: &mut Value) {
        document["components"]["headers"] = json!(self.headers);
        document["components"]["responses"] = json!(self.refusals);
    }

    /// Completes the answers of an operation.
    pub(super) fn complete(&mut self, operation: &Operation<'_>, responses: &mut Map<String, Value>) {
        for (status, about) in refusals(operation) {
            let Some(reason) = status.canonical_reason() else { continue };
            let status = status.as_str();
            if responses.contains_key(status) {
                continue;
            }
            // Only an operation of its own kind has the same headers.
            let name = format!("{}{}", operation.kind(), reason.replace(' ', ""));
            let mut refusal = json!({ "description": about });
            self.complete_answer(operation, status, &mut refusal);
            let answer = match operation.deprecation {
                Some(_) => refusal,
                None => {
                    let reference = json!({ "$ref": format!("#/components/responses/{name}") });
                    self.refusals.insert(name, refusal);
                    reference
                }
            };
            responses.insert(status.to_owned(), answer);
        }
        for (status, answer) in responses.iter_mut().filter(|(_, answer)| answer.get("$ref").is_none()) {
            self.complete_answer(operation, status, answer);
        }
    }

    fn complete_answer(&mut self, operation: &Operation<'_>, status: &str, answer: &mut Value) {
        if status.starts_with(['4', '5']) {
            let schema = json!({ "$ref": format!("#/components/schemas/Problem{status}") });
            answer["content"]["application/problem+json"] = json!({ "schema": schema });
        }
        let media_types = || answer["content"].as_object().into_iter().flat_map(Map::keys);
        let is_compressed = media_types().any(|name| name.ends_with("json") || operation.is_description());
        for (name, kind, about) in HEADERS {
            let is_sent = match name {
                "Cache-Control" => operation.is_read,
                "Content-Encoding" => is_compressed,
                "Deprecation" => operation.deprecation.is_some(),
                "Link" => operation.deprecation.is_some_and(|deprecation| deprecation.link.is_some()),
                "Preference-Applied" => operation.waits,
                "RateLimit" | "RateLimit-Policy" => !operation.is_probe(),
                "Retry-After" => ["429", "503"].contains(&status),
                "Sunset" => operation.deprecation.is_some_and(|deprecation| deprecation.sunset.is_some()),
                "WWW-Authenticate" => status == "401",
                _ => true,
            };
            // What the route itself says of it is more exact.
            if is_sent && answer["headers"].get(name).is_none() {
                answer["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
                self.headers.insert(name, json!({ "description": about, "schema": { "type": kind } }));
            }
        }
    }
}

/// The refusals that an operation may be answered with before or after its handler, and why.
fn refusals(operation: &Operation<'_>) -> Vec<(StatusCode, &'static str)> {
    let mut refusals = vec![
        (StatusCode::BAD_REQUEST, "The request cannot be read"),
        (StatusCode::FORBIDDEN, "The caller may not do this, or a web page of another site sent it"),
        (StatusCode::NOT_ACCEPTABLE, "`Accept` refuses the media type of the answer"),
        (StatusCode::MISDIRECTED_REQUEST, "It is addressed to a name that the server does not have"),
        (StatusCode::INTERNAL_SERVER_ERROR, "Something failed on the server's side"),
        (StatusCode::SERVICE_UNAVAILABLE, "Not now: it may succeed after `Retry-After`"),
    ];
    if !operation.is_public() {
        refusals.push((StatusCode::UNAUTHORIZED, "There is no credential, or it does not hold"));
    }
    if !operation.is_probe() {
        refusals.push((StatusCode::TOO_MANY_REQUESTS, "There are too many requests"));
    }
    if operation.has_body {
        refusals.extend([
            (StatusCode::REQUEST_TIMEOUT, "The body took too long"),
            (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not said to be plain `application/json`"),
        ]);
    }
    if operation.has_body || operation.has_query {
        refusals.push((StatusCode::UNPROCESSABLE_ENTITY, "It breaks rules: `errors` has all of them"));
    }
    refusals
}

/// Which of the routes that will go away a path is one of.
pub(super) fn deprecation<'a>(deprecations: &'a [Deprecation], path: &str) -> Option<&'a Deprecation> {
    deprecations.iter().find(|deprecation| deprecation.is_of(path))
}
