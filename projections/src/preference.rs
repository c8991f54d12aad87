//! `Prefer: wait=N` (RFC 7240): for how many seconds a read waits for a position. The answer says in `Preference-Applied` for how
//! many it would have waited.

use std::cell::Cell;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};

/// The longest time that a client may prefer. Proxies usually give up after 60 s.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// The preference that the running request was answered by.
    static APPLIED: Cell<Option<Duration>>;
}

/// The time that a read should wait for a position; `None`: the client prefers none. It is noted that it was applied.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let wait = preferred(headers)?.min(LONGEST_WAIT);
    // A caller outside of the layer only gets no `Preference-Applied`.
    APPLIED.try_with(|applied| applied.set(Some(wait))).ok();
    Some(wait)
}

/// The layer that says in an answer which preference was applied.
pub(crate) async fn say_what_was_applied(request: Request, next: Next) -> Response {
    if !request.headers().contains_key("prefer") {
        return next.run(request).await;
    }
    let answered = async {
        let answer = next.run(request).await;
        (answer, APPLIED.with(Cell::get))
    };
    let (mut answer, applied) = APPLIED.scope(Cell::default(), answered).await;
    let applied = applied.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok());
    if let Some(applied) = applied {
        answer.headers_mut().insert("preference-applied", applied);
    }
    answer
}

/// The first `wait` of the header. A preference that can't be read is none: RFC 7240, 2.
fn preferred(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut named = preferences.flat_map(|value| value.split(',')).filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then_some(value.trim())
    });
    let seconds = named.next()?;
    let seconds = seconds.strip_prefix('"').and_then(|seconds| seconds.strip_suffix('"')).unwrap_or(seconds);
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // What does not fit is longer than the longest.
    is_number.then(|| Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wait_counts() {
        for (values, seconds) in [
            (&[][..], None),
            (&["wait=3"], Some(3)),
            (&["respond-async, WAIT = 3"], Some(3)),
            (&["wait=\"3\"; later=1"], Some(3)),
            (&["return=minimal", "wait=0", "wait=9"], Some(0)),
            (&["wait=99999999999999999999999"], Some(u64::MAX)),
            (&["wait"], None),
            (&["wait="], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["await=3"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            assert_eq!(preferred(&headers), seconds.map(Duration::from_secs), "{values:?}");
        }
    }
}
