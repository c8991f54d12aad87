//! What is done to answers: fields are left out, and streams end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, future, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use problem::{ETagByContent, Problem, rewrite_json};

use super::Access;
use crate::{AuthenticationError, HandlerRedacted, Principal, Redaction, Route, RoutePermission};

/// The longest event of a stream: more than an order may have, several times over.
const LONGEST_EVENT: usize = 4 * 1024 * 1024;
/// How often it is asked whether the credential of a stream still holds. It may have been revoked. The copy of API keys that is asked
/// may be 10 s old, so a stream ends 25 s after the revocation at the latest.
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// How often in a row it may be that nobody can tell.
const UNKNOWN_AT_MOST: u32 = 2;

/// Resolves once the credential of a stream has ended: it has expired, it was revoked, or nobody can tell any more.
pub(super) async fn credential_ended(access: Arc<Access>, headers: HeaderMap, caller: Principal) {
    let expired = async {
        match caller.expires_at() {
            // A time in the past ends the stream at once.
            Some(at) => tokio::time::sleep(at.duration_since(SystemTime::now()).unwrap_or_default()).await,
            None => future::pending().await,
        }
    };
    let headers = Arc::new(headers);
    let ask = || {
        let (access, headers) = (Arc::clone(&access), Arc::clone(&headers));
        async move { access.authenticator.authenticate(&headers).await }
    };
    tokio::select! {
        () = expired => {}
        () = revoked(ask) => {}
    }
}

/// Resolves once a credential does not hold any more. `ask`: whether it does.
async fn revoked<F>(ask: impl Fn() -> F)
where
    F: Future<Output = Result<Option<Principal>, AuthenticationError>>,
{
    let mut unknown = 0;
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        unknown = match ask().await {
            Ok(_) => 0,
            Err(AuthenticationError::Invalid(_)) => return,
            Err(AuthenticationError::Unavailable(_) | AuthenticationError::OutdatedKeys(_)) => unknown + 1,
        };
        if unknown > UNKNOWN_AT_MOST {
            return;
        }
    }
}

/// An answer that goes on until something has happened.
pub(super) fn until(answer: Response, ended: impl Future<Output = ()> + Send + 'static) -> Response {
    answer.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(ended))))
}

/// An answer of a route without what a grant does not show. `is_read`: whether the request only reads.
pub(super) async fn redacted(
    mut answer: Response,
    route: &'static Route,
    grant: RoutePermission,
    is_read: bool,
) -> Response {
    let Some(redaction) = Redaction::of(grant) else { return answer };
    if answer.extensions_mut().remove::<HandlerRedacted>().is_some() {
        return answer;
    }
    if content_type(&answer).starts_with(b"text/event-stream") {
        return answer.map(|body| redacted_events(body, route, redaction));
    }
    if is_read {
        ETagByContent::replace_version(&mut answer);
    }
    rewrite_json(answer, move |text| redaction.apply(route, text)).await
}

/// A refusal without what a grant does not show.
pub(super) fn redacted_refusal(mut refused: Response, grant: RoutePermission) -> Response {
    if Redaction::of(grant).is_none() {
        return refused;
    }
    let is_text = content_type(&refused).starts_with(b"text/plain");
    let body = match refused.extensions_mut().get_mut::<Problem>() {
        Some(problem) => {
            problem.hide_members(|name| !Redaction::shows_member(name));
            problem.clone().into_response().into_body()
        }
        // The router's own line of text, in which nothing is told of an order.
        None if is_text => return refused,
        // Nothing is known of what is in it.
        None => {
            refused.headers_mut().remove(CONTENT_TYPE);
            Body::empty()
        }
    };
    refused.headers_mut().remove(CONTENT_LENGTH);
    *refused.body_mut() = body;
    refused
}

fn content_type(answer: &Response) -> &[u8] {
    answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default()
}

/// Server-sent events without what is left out. The stream ends before an event of which that can't be said.
fn redacted_events(body: Body, route: &'static Route, redaction: Redaction) -> Body {
    let state = (body.into_data_stream(), EventBlocks { route, redaction, unfinished: Vec::new() });
    let redacted = stream::unfold(state, |(mut chunks, mut blocks)| async move {
        loop {
            let chunk = match chunks.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), (chunks, blocks))),
            };
            let Some(finished) = blocks.push(&chunk) else {
                tracing::error!("a live stream ends, because nothing can be left out of its next event");
                return None;
            };
            if !finished.is_empty() {
                return Some((Ok(Bytes::from(finished)), (chunks, blocks)));
            }
        }
    });
    Body::from_stream(redacted)
}

/// Puts together the blocks of an event stream, which may come in pieces.
struct EventBlocks {
    route: &'static Route,
    redaction: Redaction,
    unfinished: Vec<u8>,
}

impl EventBlocks {
    /// The blocks that are whole by now. `None`: one is too long, or no JSON.
    fn push(&mut self, chunk: &[u8]) -> Option<String> {
        self.unfinished.extend_from_slice(chunk);
        let end = self.unfinished.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
        if self.unfinished.len() - end > LONGEST_EVENT {
            return None;
        }
        let rest = self.unfinished.split_off(end);
        let whole = String::from_utf8(std::mem::replace(&mut self.unfinished, rest)).ok()?;
        let mut finished = String::with_capacity(whole.len());
        for block in whole.split_inclusive("\n\n") {
            finished.push_str(&self.block(block)?);
        }
        Some(finished)
    }

    fn block(&self, block: &str) -> Option<String> {
        let (mut kept, mut data) = (String::with_capacity(block.len()), String::new());
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("data: ") {
                Some(part) => {
                    data.push_str(part);
                    data.push(' ');
                }
                None => {
                    kept.push_str(line);
                    kept.push('\n');
                }
            }
        }
        if !data.is_empty() {
            // Text that stays may have line ends, which were between tokens.
            kept.push_str("data: ");
            kept.push_str(&self.redaction.apply(self.route, &data).ok()?);
            kept.push('\n');
        }
        kept.push('\n');
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::to_bytes;
    use problem::{FieldError, ProblemType};
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::InvalidCredential;

    /// After how many seconds a stream ends whose credential is, each time it is asked about: known (`+`), unknown (`?`), revoked (`-`).
    async fn ends_after(answers: &str) -> u64 {
        let (began, asked) = (Instant::now(), AtomicUsize::new(0));
        let answer = || match answers.as_bytes()[asked.fetch_add(1, Ordering::SeqCst)] {
            b'+' => Ok(None),
            b'?' => Err(AuthenticationError::Unavailable("the database is away".into())),
            _ => Err(InvalidCredential::NoTokens.into()),
        };
        revoked(|| future::ready(answer())).await;
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_its_credential_or_when_nobody_can_tell_any_more() {
        for (answers, seconds) in [("-", 15), ("++-", 45), ("+???", 60), ("??+??+-", 105)] {
            assert_eq!(ends_after(answers).await, seconds, "{answers}");
        }
    }

    async fn json_of(answer: Response) -> Value {
        serde_json::from_slice(&to_bytes(answer.into_body(), 10_000).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_shows_only_members_of_which_it_is_known_what_they_tell() {
        let refusal = || {
            let problem = Problem::new(ProblemType::NotAllowed, "not now").with("stage", "shipped");
            problem.with("captured", "12.00").with("customerId", "customer-42").into_response()
        };
        for grant in [
            RoutePermission::All,
            RoutePermission::Own,
            RoutePermission::WithoutPaymentDetails,
            RoutePermission::Masked,
        ] {
            let mut refused = redacted_refusal(refusal(), grant);
            let kept = refused.extensions_mut().remove::<Problem>().unwrap().into_response();
            for answer in [refused, kept] {
                let body = json_of(answer).await;
                assert_eq!((&body["stage"], &body["detail"]), (&json!("shipped"), &json!("not now")));
                for name in ["captured", "customerId"] {
                    assert_eq!(body.get(name).is_some(), grant == RoutePermission::All, "{grant}: {body}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_request_is_told_to_everyone() {
        let error = FieldError { pointer: "?limit".into(), code: "invalid".into(), message: "must be 1 to 200".into() };
        for grant in [
            RoutePermission::All,
            RoutePermission::Own,
            RoutePermission::WithoutPaymentDetails,
            RoutePermission::Masked,
        ] {
            let body = json_of(redacted_refusal(Problem::invalid(vec![error.clone()]).into_response(), grant)).await;
            assert_eq!(body["errors"][0]["message"], "must be 1 to 200", "{grant}");
        }
        let of_its_own = || (http::StatusCode::CONFLICT, axum::Json(json!({ "secret": 1 }))).into_response();
        let refused = redacted_refusal(of_its_own(), RoutePermission::Own);
        assert_eq!(to_bytes(refused.into_body(), 100).await.unwrap(), "");
    }

    fn blocks() -> EventBlocks {
        let route = Route::find("GET", "/events/stream").unwrap();
        EventBlocks { route, redaction: Redaction::PersonalData, unfinished: Vec::new() }
    }

    #[test]
    fn an_event_in_pieces_is_redacted_once_it_is_whole() {
        let text = "retry: 1000\nid: 1\n\nid: 2\nevent: OrderCreated\ndata: {\"type\":\ndata: \"OrderCreated\",\"data\":{\"customerId\":\"c-1\"}}\n\n:\nid: 3\n\n";
        let expected = "retry: 1000\nid: 1\n\nid: 2\nevent: OrderCreated\ndata: {\"type\":\"OrderCreated\",\"data\":{\"customerId\":\"***\"}}\n\n:\nid: 3\n\n";
        for size in [1, 2, 3, 7, text.len()] {
            let mut blocks = blocks();
            let left: String = text.as_bytes().chunks(size).map(|chunk| blocks.push(chunk).unwrap()).collect();
            assert_eq!(left, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_can_not_be_redacted_ends_the_stream() {
        assert_eq!(blocks().push(b"data: {\"customerId\n\n"), None);
        assert_eq!(blocks().push(&vec![b'x'; LONGEST_EVENT + 1]), None);
    }
}
