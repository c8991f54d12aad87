//! Why a call to SQS or SNS failed, as operators read it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use error_chain::error_chain;

/// Who was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagingService {
    Sqs,
    Sns,
}

impl fmt::Display for MessagingService {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Sqs => "SQS",
            Self::Sns => "SNS",
        })
    }
}

/// Why a call to SQS or SNS failed. The message is complete: there is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("{service} answered {code}: {message}")]
    Answered {
        service: MessagingService,
        /// The service's error code, or the HTTP status if there is none.
        code: String,
        message: String,
    },
    /// There was no answer, after the SDK's own retries.
    #[error("{service} was not reached: {reason}")]
    NotReached { service: MessagingService, reason: String },
    /// There was no answer within the bound of the whole call, with the SDK's own retries.
    #[error("{service} did not answer within {bound:?}")]
    TimedOut { service: MessagingService, bound: Duration },
}

impl CallError {
    pub(crate) fn is_missing_queue(&self) -> bool {
        match self {
            // The code of the JSON protocol, and that of the older one, which some servers use.
            Self::Answered { service: MessagingService::Sqs, code, .. } => {
                ["QueueDoesNotExist", "NonExistentQueue"].iter().any(|name| code.ends_with(name))
            }
            Self::Answered { .. } | Self::NotReached { .. } | Self::TimedOut { .. } => false,
        }
    }
}

/// An error of SQS's client.
impl<E> From<SdkError<E>> for CallError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        Self::of(MessagingService::Sqs, &error)
    }
}

impl CallError {
    fn of<E>(service: MessagingService, error: &SdkError<E>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        match (error.code(), error.raw_response()) {
            (Some(code), _) => {
                let message = error.message().unwrap_or("no message").to_owned();
                Self::Answered { service, code: code.to_owned(), message }
            }
            (None, Some(answer)) => {
                let code = format!("HTTP {}", answer.status().as_u16());
                Self::Answered { service, code, message: error_chain(error) }
            }
            (None, None) => Self::NotReached { service, reason: error_chain(error) },
        }
    }
}

/// The answer to a call of SQS, if it comes within the bound.
pub(crate) async fn answered<T, E>(
    bound: Duration,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, CallError>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    answered_by(MessagingService::Sqs, bound, call).await
}

/// The answer of a service to a call, if it comes within the bound.
pub(crate) async fn answered_by<T, E>(
    service: MessagingService,
    bound: Duration,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, CallError>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match tokio::time::timeout(bound, call).await {
        Ok(answer) => answer.map_err(|error| CallError::of(service, &error)),
        Err(_) => Err(CallError::TimedOut { service, bound }),
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

        assert_eq!(answer, Err(CallError::TimedOut { service: MessagingService::Sqs, bound }));
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

        assert_eq!(CallError::from(error).to_string(), "SQS answered HTTP 502: response error: no JSON");
    }

    #[test]
    fn the_sdks_own_words_are_said_once() {
        let gone = QueueDoesNotExist::builder().message("no such queue").build();
        let error = SendMessageBatchError::QueueDoesNotExist(gone);

        assert_eq!(error_chain(&error), "QueueDoesNotExist: no such queue");
    }
}
