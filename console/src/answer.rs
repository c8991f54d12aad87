//! What the API answers, as its reader may see it.

use access_control::{AuthorizedCaller, Redaction, Route};
use error_chain::error_chain;
use problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::display::Text;

/// The text of an error, for those who may see what is at the route. It may repeat what is in an event.
pub(crate) fn error_text(caller: &AuthorizedCaller, error: &str) -> Text {
    if Redaction::of(caller.grant).is_some() { "***".into() } else { error.into() }
}

/// What a problem says, and what caused it: for those who run the platform.
pub(crate) fn told(problem: &Problem) -> String {
    let json = problem.to_json();
    let text = ["detail", "title"].into_iter().find_map(|name| json[name].as_str()).unwrap_or_default();
    match problem.cause() {
        Some(cause) => format!("{text}: {}", error_chain(cause)),
        None => text.to_owned(),
    }
}

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
