//! A payment provider of our own that needs no account. Its books are in Postgres, so they survive a crash and can be
//! audited.
//!
//! The payment token chooses the outcome:
//!
//! | token | outcome |
//! |---|---|
//! | none, `tok_ok` | authorized |
//! | `tok_declined` | declined |
//! | `tok_timeout_then_ok` | authorized, but the first request gets no answer |
//! | `tok_timeout_then_declined` | declined, but the first request gets no answer |
//! | `tok_slow` | every call is answered after 2 s |
//! | `tok_flaky` | the first two calls under each key fail without effect |
//! | any other | declined, as an unknown token |
//!
//! It has the rules of a real provider: no more is captured than was authorized, no more is refunded than was captured,
//! nothing is captured after a void, and all of it is in one currency.

mod book;
mod ledger;
mod storage;

use std::time::Duration;

use async_trait::async_trait;
use book::{CallOutcome, Operation, Reply, ReplyDelay, movement_reference, payment_reference};
pub use ledger::{SandboxPaymentRow, is_sandbox_payment, ledger, ledger_of};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::{
    AcceptedRefund, AuthorizationRequest, CaptureRequest, CapturedPayment, PaymentAuthorization, PaymentError,
    PaymentGateway, RefundRequest, VoidRequest,
};

/// The most calls of one transaction. More would only make its statements long.
const BATCH: usize = 256;
/// How long a call with `tok_slow` takes.
const SLOW: Duration = Duration::from_secs(2);
/// How long a call with `tok_timeout_…` takes: longer than any caller waits.
const NEVER: Duration = Duration::from_secs(3600);

/// The payment provider that moves no money. Clones share batches.
#[derive(Debug, Clone)]
pub struct Sandbox {
    calls: mpsc::Sender<SandboxCall>,
}

#[derive(Debug)]
struct SandboxCall {
    operation: Operation,
    answer: oneshot::Sender<Reply>,
}

impl Sandbox {
    /// Starts the task that keeps the books in this database. It ends with the last clone.
    ///
    /// Queued calls are executed in batches, one transaction after the other, over one connection. So a `find` comes
    /// after the call that it is about, even if that call's caller gave up.
    #[must_use]
    pub fn start(pool: PgPool) -> Self {
        let (calls, mut waiting) = mpsc::channel(4 * BATCH);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while waiting.recv_many(&mut batch, BATCH).await > 0 {
                handle(&pool, batch.drain(..)).await;
            }
        });
        Self { calls }
    }

    async fn call(&self, operation: Operation) -> Result<CallOutcome, PaymentError> {
        operation.check()?;
        let (answer, answered) = oneshot::channel();
        // These fail only if the runtime is shutting down.
        let stopped = || PaymentError::unavailable("the sandbox has stopped");
        self.calls.send(SandboxCall { operation, answer }).await.map_err(|_| stopped())?;
        let Reply { outcome, delay } = answered.await.map_err(|_| PaymentError::unknown("the sandbox has stopped"))?;
        match delay {
            ReplyDelay::AtOnce => outcome,
            ReplyDelay::Slow => {
                tokio::time::sleep(SLOW).await;
                outcome
            }
            ReplyDelay::Never => {
                tokio::time::sleep(NEVER).await;
                Err(PaymentError::unknown("the sandbox did not answer, as its token says"))
            }
        }
    }
}

async fn handle(pool: &PgPool, calls: impl Iterator<Item = SandboxCall>) {
    // A call whose caller gave up before it began is never made.
    let (operations, answers): (Vec<_>, Vec<_>) =
        calls.filter(|call| !call.answer.is_closed()).map(|call| (call.operation, call.answer)).unzip();
    let replies = match storage::execute(pool, &operations).await {
        Ok(replies) => replies,
        Err(error) => vec![Reply { outcome: Err(error), delay: ReplyDelay::AtOnce }; operations.len()],
    };
    for (reply, answer) in replies.into_iter().zip(answers) {
        // A caller that was dropped needs no reply.
        let _ = answer.send(reply);
    }
}

#[async_trait]
impl PaymentGateway for Sandbox {
    async fn authorize(&self, request: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError> {
        self.call(Operation::Authorize(request.clone())).await?;
        Ok(PaymentAuthorization { reference: payment_reference(&request.key) })
    }

    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError> {
        let found = self.call(Operation::Find(request.clone())).await?;
        Ok((found == CallOutcome::Done).then(|| PaymentAuthorization { reference: payment_reference(&request.key) }))
    }

    async fn capture(&self, request: &CaptureRequest) -> Result<CapturedPayment, PaymentError> {
        self.call(Operation::Capture(request.clone())).await?;
        Ok(CapturedPayment { reference: movement_reference(&request.key) })
    }

    async fn void(&self, request: &VoidRequest) -> Result<(), PaymentError> {
        self.call(Operation::Void(request.clone())).await.map(drop)
    }

    async fn abandon(&self, request: &AuthorizationRequest) -> Result<(), PaymentError> {
        self.call(Operation::Abandon(request.clone())).await.map(drop)
    }

    async fn refund(&self, request: &RefundRequest) -> Result<AcceptedRefund, PaymentError> {
        self.call(Operation::Refund(request.clone())).await?;
        Ok(AcceptedRefund { reference: movement_reference(&request.key) })
    }
}
