//! What the emulator answers otherwise than AWS does, put right.
//!
//! - An error is named by its shape in AWS's model, which is what SDKs look for: `com.amazonaws.sqs#QueueDoesNotExist`. The code of
//!   the query protocol stays in the header `x-amzn-query-error`.
//! - The `maxReceiveCount` of a redrive policy may be a text, as many tools send it.
//! - `ListDeadLetterSourceQueues` answers `queueUrls`, with a small `q`.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::dispatch::SqsHandler;
use rustack_sqs_http::response::{CONTENT_TYPE, json_response};
use rustack_sqs_model::error::{SqsError, SqsErrorCode};
use rustack_sqs_model::operations::SqsOperation;
use serde_json::{Value, json};

/// Answers operations as the emulator does, with the differences to AWS put right.
pub(super) struct AsAws<H>(pub(super) H);

type Answer = Result<Response<SqsResponseBody>, SqsError>;

impl<H: SqsHandler> SqsHandler for AsAws<H> {
    fn handle_operation(&self, op: SqsOperation, body: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let changes_attributes = matches!(op, SqsOperation::CreateQueue | SqsOperation::SetQueueAttributes);
        let body = if changes_attributes { with_a_number(body) } else { body };
        let answer = self.0.handle_operation(op, body);
        Box::pin(async move {
            match answer.await {
                Ok(answer) if op == SqsOperation::ListDeadLetterSourceQueues => with_a_small_q(answer).await,
                Ok(answer) => Ok(answer),
                Err(error) => refused(&error),
            }
        })
    }
}

/// The request with the `maxReceiveCount` of its redrive policy as a number. One that can't be read is left to be refused.
fn with_a_number(body: Bytes) -> Bytes {
    let changed = || {
        let mut request: Value = serde_json::from_slice(&body).ok()?;
        let policy = request.pointer_mut("/Attributes/RedrivePolicy")?;
        let mut content: Value = serde_json::from_str(policy.as_str()?).ok()?;
        let count = content.get_mut("maxReceiveCount")?;
        *count = json!(count.as_str()?.parse::<i32>().ok()?);
        *policy = Value::String(content.to_string());
        Some(Bytes::from(request.to_string()))
    };
    changed().unwrap_or(body)
}

async fn with_a_small_q(answer: Response<SqsResponseBody>) -> Answer {
    let unreadable = |what: &str| SqsError::new(SqsErrorCode::InternalError, what);
    let body = answer.into_body().collect().await.map_err(|_| unreadable("the answer broke off"))?;
    let mut answer: Value =
        serde_json::from_slice(&body.to_bytes()).map_err(|_| unreadable("the answer is no JSON"))?;
    if let Some(urls) = answer.as_object_mut().and_then(|answer| answer.remove("QueueUrls")) {
        answer["queueUrls"] = urls;
    }
    Ok(json_response(answer.to_string().into_bytes(), &uuid::Uuid::new_v4().to_string()))
}

fn refused(error: &SqsError) -> Answer {
    let body =
        json!({ "__type": format!("com.amazonaws.sqs#{}", shape(error.code)), "message": error.message }).to_string();
    Response::builder()
        .status(error.code.status_code())
        .header("content-type", CONTENT_TYPE)
        .header("x-amzn-query-error", error.code.query_error_header())
        .header(CONTENT_LENGTH, body.len())
        .body(SqsResponseBody::from_json(body.into_bytes()))
        .map_err(|_| SqsError::new(error.code, error.message.clone()))
}

/// The error's shape in AWS's model. Where the query protocol has another code, the names differ by more than a prefix.
fn shape(code: SqsErrorCode) -> &'static str {
    let error_type = code.error_type();
    match error_type.strip_prefix("AWS.SimpleQueueService.").unwrap_or(error_type) {
        "NonExistentQueue" => "QueueDoesNotExist",
        "QueueAlreadyExists" => "QueueNameExists",
        same => same,
    }
}
