//! Changes to the JSON of an answer that hold up nobody else.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::sync::Semaphore;

use crate::Problem;

/// The longest JSON that is changed. The longest answers are an order with all that hangs on it and a page of 200 orders.
const LONGEST: usize = 32 * 1024 * 1024;
/// What is worked on where the request is: for less than a millisecond.
const SHORT: usize = 64 * 1024;
/// How many longer answers are worked on at the same time. The others wait, and hold up no other request.
const AT_ONCE: usize = 2;

/// An answer with other JSON in its body. An answer without a body stays as it is; one that is not JSON, or too long, becomes 500.
pub async fn rewrite_json<E>(
    answer: Response,
    rewrite: impl FnOnce(&str) -> Result<String, E> + Send + 'static,
) -> Response
where
    E: std::error::Error + Send + Sync + 'static,
{
    let is_json = is_json(&answer);
    let (mut head, body) = answer.into_parts();
    let body = match to_bytes(body, LONGEST).await {
        // 304, or HEAD.
        Ok(body) if body.is_empty() => {
            head.headers.remove(CONTENT_LENGTH);
            return Response::from_parts(head, Body::empty());
        }
        Ok(body) if is_json => body,
        Ok(_) => return Problem::internal("an answer that is to be changed is not JSON").into_response(),
        Err(error) => return Problem::internal(error).into_response(),
    };
    let rewritten = work_on(body.len(), move || {
        let text = str::from_utf8(&body).map_err(Problem::internal)?;
        rewrite(text).map_err(Problem::internal)
    });
    match rewritten.await.flatten() {
        Ok(left) => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(left.len()));
            Response::from_parts(head, Body::from(left))
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether the body of an answer is JSON.
pub(crate) fn is_json(answer: &Response) -> bool {
    let media_type = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    ["application/json", "application/problem+json"].iter().any(|json| media_type.starts_with(json.as_bytes()))
}

/// Does work that takes as long as there are bytes. Much of it is done on another thread, so that no other request waits.
pub(crate) async fn work_on<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);
    if bytes <= SHORT {
        return Ok(work());
    }
    let turn = TURNS.acquire().await.map_err(Problem::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        // Also if nobody waits for it any more.
        drop(turn);
        done
    });
    done.await.map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::mpsc;
    use std::time::Duration;

    use axum::Json;

    use super::*;

    #[tokio::test]
    async fn a_long_answer_is_changed_while_others_are_answered() {
        let (others_are_answered, answered) = mpsc::channel();
        let long = Json("x".repeat(SHORT)).into_response();
        let rewritten = tokio::spawn(rewrite_json(long, move |text| {
            // The test has one thread for all requests. If this were done on it, nothing would ever be sent.
            answered.recv_timeout(Duration::from_secs(60)).unwrap();
            Ok::<_, Infallible>(text[..10].to_owned())
        }));
        tokio::task::yield_now().await;
        others_are_answered.send(()).unwrap();
        let answer = rewritten.await.unwrap();
        assert_eq!(answer.headers()[CONTENT_LENGTH], "10");
        assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), "\"xxxxxxxxx");
    }

    #[tokio::test]
    async fn what_can_not_be_changed_is_not_sent() {
        let unchanged = |text: &str| Ok::<_, Infallible>(text.to_owned());
        let empty = rewrite_json(http::StatusCode::NOT_MODIFIED.into_response(), unchanged).await;
        assert_eq!(empty.status(), 304);
        assert_eq!(rewrite_json("text".into_response(), unchanged).await.status(), 500);
        let long = ([(CONTENT_TYPE, "application/json")], "1".repeat(LONGEST + 1)).into_response();
        assert_eq!(rewrite_json(long, unchanged).await.status(), 500);
        let wrong = Json(1).into_response();
        assert_eq!(rewrite_json(wrong, |_| Err(std::fmt::Error)).await.status(), 500);
    }
}
