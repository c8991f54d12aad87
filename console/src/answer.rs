//! What the API answers, as its reader may see it.

use access_control::{AuthorizedCaller, Redaction, Route};
use problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An answer of a route without what the table of routes leaves out for the caller.
pub(crate) fn shown<T: DeserializeOwned>(
    (caller, route): &(AuthorizedCaller, &'static Route),
    answer: &impl Serialize,
) -> Result<T, Problem> {
    let mut json = serde_json::to_string(answer).map_err(Problem::internal)?;
    if let Some(redaction) = Redaction::of(caller.grant) {
        json = redaction.apply(route, &json).map_err(Problem::internal)?;
    }
    serde_json::from_str(&json).map_err(Problem::internal)
}
