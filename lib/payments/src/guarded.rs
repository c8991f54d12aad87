//! Wraps a provider with a timeout and a circuit breaker.

mod breaker;
mod metrics;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
pub use breaker::{BreakerSettings, BreakerState};
use breaker::{CallHealth, CircuitBreaker};
pub use metrics::PaymentMetrics;
use tokio::time::Instant;

use crate::{
    AcceptedRefund, AuthorizationRequest, CaptureRequest, CapturedPayment, PaymentAuthorization, PaymentError,
    PaymentGateway, RefundRequest, VoidRequest,
};

/// A gateway with a timeout and a circuit breaker. A call that takes too long is [`PaymentError::Unknown`]. While the
/// breaker is open, calls are [`PaymentError::Unavailable`] at once and don't reach the provider.
pub struct Guarded {
    gateway: Arc<dyn PaymentGateway>,
    timeout: Duration,
    breaker: CircuitBreaker,
    metrics: PaymentMetrics,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("timeout", &self.timeout).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Guarded {
    #[must_use]
    pub fn new(gateway: Arc<dyn PaymentGateway>, timeout: Duration, breaker: BreakerSettings) -> Self {
        Self { gateway, timeout, breaker: CircuitBreaker::new(breaker), metrics: PaymentMetrics::default() }
    }

    /// Whether calls reach the provider.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    #[must_use]
    pub fn metrics(&self) -> &PaymentMetrics {
        &self.metrics
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        order: &str,
        call: impl Future<Output = Result<T, PaymentError>> + Send,
    ) -> Result<T, PaymentError> {
        let permit = match self.breaker.enter(order) {
            Ok(permit) => permit,
            Err(wait) => {
                self.metrics.not_tried(operation);
                self.metrics.breaker(self.state());
                // Rounded up, so that a retry does not come too early.
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                let reason = format!("the payment provider is failing; calls go again in {seconds} s");
                return Err(PaymentError::unavailable(reason));
            }
        };
        self.metrics.breaker(self.state());
        let began = Instant::now();
        let answered = tokio::time::timeout(self.timeout, call).await;
        let outcome = answered.unwrap_or_else(|_| {
            Err(PaymentError::unknown(format!("no answer within {} s", self.timeout.as_secs_f64())))
        });
        permit.answered(health(&outcome));
        self.metrics.called(operation, &outcome, began.elapsed());
        self.metrics.breaker(self.state());
        outcome
    }
}

/// A provider that declines or refuses is healthy.
fn health<T>(outcome: &Result<T, PaymentError>) -> CallHealth {
    match outcome {
        Ok(_) | Err(PaymentError::Declined { .. } | PaymentError::Refused { .. }) => CallHealth::Healthy,
        Err(PaymentError::Unknown { .. } | PaymentError::Unavailable { .. }) => CallHealth::Failing,
    }
}

#[async_trait]
impl PaymentGateway for Guarded {
    async fn authorize(&self, request: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError> {
        self.call("authorize", &request.order_id, self.gateway.authorize(request)).await
    }

    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError> {
        self.call("find", &request.order_id, self.gateway.find(request)).await
    }

    async fn capture(&self, request: &CaptureRequest) -> Result<CapturedPayment, PaymentError> {
        self.call("capture", &request.reference, self.gateway.capture(request)).await
    }

    async fn void(&self, request: &VoidRequest) -> Result<(), PaymentError> {
        self.call("void", &request.reference, self.gateway.void(request)).await
    }

    async fn abandon(&self, request: &AuthorizationRequest) -> Result<(), PaymentError> {
        self.call("abandon", &request.order_id, self.gateway.abandon(request)).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<AcceptedRefund, PaymentError> {
        self.call("refund", &request.reference, self.gateway.refund(request)).await
    }
}
