//! A DynamoDB that throttles, leaves things undone and loses answers.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use rustack_dynamodb_core::handler::RustackDynamoDBHandler;
use rustack_dynamodb_http::{body::DynamoDBResponseBody, dispatch::DynamoDBHandler};
use rustack_dynamodb_model::{error::DynamoDBError, operations::DynamoDBOperation};
use serde_json::{Value, json};

/// Of so many calls one gets the true answer.
const CALLS: usize = 3;

/// Lets another handler do the work, and then answers in its place.
#[derive(Debug)]
pub(super) struct FaultyHandler {
    handler: RustackDynamoDBHandler,
    calls: AtomicUsize,
}

impl FaultyHandler {
    pub(super) fn over(handler: RustackDynamoDBHandler) -> Self {
        Self { handler, calls: AtomicUsize::new(0) }
    }

    /// The false answer; `None`: the true one.
    fn instead(&self, operation: DynamoDBOperation, asked: &Bytes) -> Option<(u16, Value)> {
        let asked: Value = serde_json::from_slice(asked).ok()?;
        let exception =
            |name: &str| json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "" });
        let answer = match operation.as_str() {
            "BatchGetItem" => (200, json!({ "Responses": {}, "UnprocessedKeys": asked["RequestItems"] })),
            "BatchWriteItem" => (200, json!({ "UnprocessedItems": asked["RequestItems"] })),
            "PutItem" => (400, exception("ProvisionedThroughputExceededException")),
            "TransactWriteItems" => {
                let mut cancelled = exception("TransactionCanceledException");
                let actions = asked["TransactItems"].as_array().map_or(0, Vec::len);
                cancelled["CancellationReasons"] = vec![json!({ "Code": "TransactionConflict" }); actions].into();
                (400, cancelled)
            }
            _ => return None,
        };
        let nth = self.calls.fetch_add(1, Ordering::SeqCst);
        (!nth.is_multiple_of(CALLS)).then_some(answer)
    }
}

impl DynamoDBHandler for FaultyHandler {
    fn handle_operation(
        &self,
        operation: DynamoDBOperation,
        asked: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<DynamoDBResponseBody>, DynamoDBError>> + Send>> {
        let instead = self.instead(operation, &asked);
        let truth = self.handler.handle_operation(operation, asked);
        Box::pin(async move {
            let truth = truth.await?;
            let Some((status, answer)) = instead else { return Ok(truth) };
            let body = DynamoDBResponseBody::from_json(answer.to_string().into_bytes());
            Ok(http::Response::builder().status(status).body(body).expect("an answer"))
        })
    }
}
