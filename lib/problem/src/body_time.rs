//! How long a request's body may take to arrive. The HTTP server does not limit that: whoever reads a body does.

use std::time::Duration;

use crate::{Problem, ProblemType};

/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body within the time that a client may take to send it: 408 after that.
pub async fn within_body_time<T>(read: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_| {
        let took_too_long = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
        Err(Problem::new(ProblemType::RequestTimeout, took_too_long))
    })
}
