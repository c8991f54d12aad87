//! Why a call to SQS failed, as operators read it.

use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use error_chain::error_chain;

/// Why a call to SQS failed. The message is complete: there is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqsError {
    #[error("SQS answered {code}: {message}")]
    Answered {
        /// SQS's error code, or the HTTP status if there is none.
        code: String,
        message: String,
    },
    /// There was no answer, after the SDK's own retries.
    #[error("SQS was not reached: {reason}")]
    NotReached { reason: String },
    /// There was no answer within the bound of the whole call, with the SDK's own retries.
    #[error("SQS did not answer within {bound:?}")]
    TimedOut { bound: Duration },
}

impl SqsError {
    pub(crate) fn is_missing_queue(&self) -> bool {
        match self {
            // The code of the JSON protocol, and that of the older one, which some servers use.
            Self::Answered { code, .. } => {
                ["QueueDoesNotExist", "NonExistentQueue"].iter().any(|name| code.ends_with(name))
            }
            Self::NotReached { .. } | Self::TimedOut { .. } => false,
        }
    }
}

impl<E> From<SdkError<E>> for SqsError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        match (error.code(), error.raw_response()) {
            (Some(code), _) => {
                Self::Answered { code: code.to_owned(), message: error.message().unwrap_or("no message").to_owned() }
            }
            (None, Some(answer)) => {
                Self::Answered { code: format!("HTTP {}", answer.status().as_u16()), message: error_chain(&error) }
            }
            (None, None) => Self::NotReached { reason: error_chain(&error) },
        }
    }
}

/// The answer to a call, if it comes within the bound.
pub(crate) async fn answered<T, E>(
    bound: Duration,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, SqsError>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match tokio::time::timeout(bound, call).await {
        Ok(answer) => answer.map_err(SqsError::from),
        Err(_) => Err(SqsError::TimedOut { bound }),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use aws_sdk_sqs::config::http::HttpResponse;
    use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError;
    use aws_sdk_sqs::types::error::QueueDoesNotExist;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("slow")]
    struct Slow(#[source] Option<Box<Slow>>);

    #[tokio::test]
    async fn a_call_that_is_never_answered_ends_at_its_bound() {
        let bound = Duration::from_millis(20);

        let answer = answered(bound, pending::<Result<(), SdkError<SendMessageBatchError>>>()).await;

        assert_eq!(answer, Err(SqsError::TimedOut { bound }));
        assert_eq!(answer.unwrap_err().to_string(), "SQS did not answer within 20ms");
    }

    #[tokio::test]
    async fn a_call_that_did_not_get_out_says_why_once() {
        let error: SdkError<SendMessageBatchError> = SdkError::timeout_error(Slow(Some(Box::new(Slow(None)))));

        let error = answered(Duration::from_secs(1), ready(Err::<(), _>(error))).await.unwrap_err();

        assert_eq!(error.to_string(), "SQS was not reached: request has timed out: slow");
    }

    #[test]
    fn an_answer_without_a_code_is_known_by_its_status() {
        let proxy = HttpResponse::new(502.try_into().unwrap(), "<html>".into());
        let error = SdkError::<SendMessageBatchError>::response_error("no JSON", proxy);

        assert_eq!(SqsError::from(error).to_string(), "SQS answered HTTP 502: response error: no JSON");
    }

    #[test]
    fn the_sdks_own_words_are_said_once() {
        let gone = QueueDoesNotExist::builder().message("no such queue").build();
        let error = SendMessageBatchError::QueueDoesNotExist(gone);

        assert_eq!(error_chain(&error), "QueueDoesNotExist: no such queue");
    }
}
