//! A log line for each request that is refused or fails, so that it can be found by its trace id. Lines are limited, so that clients
//! can't fill the log with refused requests.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use error_chain::error_chain;
use http::{Method, StatusCode};

use crate::{Problem, RefusedCaller, Trace};

/// The most lines of each kind in a second.
const LINES_PER_SECOND: u32 = 20;
/// How much of a path and of a method is logged; they can be as long as a request's head.
const LONGEST_PATH: usize = 200;
const LONGEST_METHOD: usize = 20;

/// Logs refusals and failures, so many lines a second at most.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    /// For what clients did wrong.
    client_errors: LogRateLimit,
    /// For requests without capacity or a database, which clients can bring about.
    unavailable: LogRateLimit,
    /// For internal failures, which the others must not crowd out.
    failures: LogRateLimit,
}

/// What the log line of a refused request tells of the request.
pub(crate) struct RefusalLogFields<'a> {
    pub(crate) trace: &'a Trace,
    /// `None`: it was refused before it was known who calls.
    pub(crate) actor: Option<RefusedCaller>,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
}

impl RefusalLog {
    /// The one place where a problem is logged, with the chain of its hidden cause.
    pub(crate) fn log(&self, problem: &Problem, request: &RefusalLogFields<'_>) {
        let status = problem.status();
        let limit = match status {
            StatusCode::INTERNAL_SERVER_ERROR => &self.failures,
            status if status.is_server_error() => &self.unavailable,
            _ => &self.client_errors,
        };
        let Some(not_logged) = limit.admit(Instant::now()) else { return };
        if not_logged > 0 {
            tracing::warn!(not_logged, "more requests were refused than are logged");
        }
        let (trace_id, code) = (request.trace.trace_id(), problem.code());
        let (method, path) = (request.method.as_str(), request.path);
        let (method, path) = (beginning(method, LONGEST_METHOD), beginning(path, LONGEST_PATH));
        let actor = request.actor.as_ref().map(tracing::field::display);
        let error = problem.cause().map(|cause| error_chain(cause));
        let (failed, refused) = ("request failed", "request refused");
        match (status, status.as_u16()) {
            (StatusCode::INTERNAL_SERVER_ERROR, status) => {
                tracing::error!(trace_id, actor, method, path, status, code, error, "{failed}");
            }
            (server, status) if server.is_server_error() => {
                tracing::warn!(trace_id, actor, method, path, status, code, error, "{refused}");
            }
            (_, status) => tracing::info!(trace_id, actor, method, path, status, code, error, "{refused}"),
        }
    }
}

fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// Admits [`LINES_PER_SECOND`].
#[derive(Debug, Default)]
struct LogRateLimit(Mutex<LoggedSecond>);

#[derive(Debug, Default)]
struct LoggedSecond {
    began: Option<Instant>,
    admitted: u32,
    left_out: u64,
}

impl LogRateLimit {
    /// Admits a line if there is room, and says then how many were left out since the last one.
    fn admit(&self, now: Instant) -> Option<u64> {
        // Nothing panics between the changes that belong together.
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1)) {
            (second.began, second.admitted) = (Some(now), 0);
        }
        if second.admitted == LINES_PER_SECOND {
            second.left_out += 1;
            return None;
        }
        second.admitted += 1;
        Some(std::mem::take(&mut second.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_head_is_bounded() {
        assert_eq!((beginning("POST", 20), beginning("ää", 3), beginning("", 3)), ("POST", "ä", ""));
    }

    #[test]
    fn in_a_second_there_are_so_many_lines_and_the_next_one_says_how_many_were_left_out() {
        let (limit, now) = (LogRateLimit::default(), Instant::now());
        let admitted = |after: Duration| limit.admit(now + after);
        for nth in 0..LINES_PER_SECOND {
            assert_eq!(admitted(Duration::from_millis(nth.into())), Some(0));
        }
        assert_eq!(admitted(Duration::from_millis(500)), None);
        assert_eq!(admitted(Duration::from_millis(999)), None);
        assert_eq!(admitted(Duration::from_secs(1)), Some(2));
        assert_eq!(admitted(Duration::from_secs(1)), Some(0));
    }
}
