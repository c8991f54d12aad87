//! What a step has to ask the payment provider, and what it comes to once there is an answer.

use domain::order::OrderCommand;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::outcome::{StepError, StepOutcome, StepProgress};

/// What a step has to ask the provider for an order.
pub(crate) enum ProviderCall {
    /// Nothing. What the step comes to is known without it.
    NotNeeded(Box<ProviderCallOutcome>),
    /// This. The call holds its requests and not the order, because hundreds of calls can wait for a slow provider.
    Needed(BoxFuture<'static, ProviderCallOutcome>),
}

/// What a step comes to once the provider has answered: a decision on the order, and how far the step came.
pub(crate) struct ProviderCallOutcome {
    /// What is to be decided on the order.
    pub(crate) decision: Option<OrderCommand>,
    pub(crate) outcome: StepOutcome,
}

impl ProviderCall {
    pub(crate) fn not_needed(outcome: ProviderCallOutcome) -> Self {
        Self::NotNeeded(Box::new(outcome))
    }

    pub(crate) fn needed(call: impl Future<Output = ProviderCallOutcome> + Send + 'static) -> Self {
        Self::Needed(call.boxed())
    }
}

impl ProviderCallOutcome {
    /// The step is done.
    pub(crate) fn done(decision: OrderCommand) -> Self {
        Self { decision: Some(decision), outcome: Ok(StepProgress::Advanced) }
    }

    /// There was nothing to do.
    pub(crate) fn nothing() -> Self {
        Self { decision: None, outcome: Ok(StepProgress::Advanced) }
    }

    /// The step failed, and nothing is decided.
    pub(crate) fn failed(error: impl Into<StepError>) -> Self {
        Self { decision: None, outcome: Err(error.into()) }
    }

    /// The step failed, and the order says so.
    pub(crate) fn failed_with(decision: OrderCommand, error: impl Into<StepError>) -> Self {
        Self { decision: Some(decision), outcome: Err(error.into()) }
    }
}
