//! What a step has to ask the payment provider, and what it comes to once there is an answer.

use domain::order::OrderCommand;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::outcome::{StepError, StepOutcome, StepProgress};

/// Whether a step has to call the payment provider for an order, and the call if so.
pub(crate) enum ProviderCallPlan {
    /// Nothing. What the step comes to is known without it.
    NotNeeded(Box<ProviderStepOutcome>),
    /// This. The call holds its requests and not the order, because hundreds of calls can wait for a slow provider.
    Needed(BoxFuture<'static, ProviderStepOutcome>),
}

/// What a step comes to once the provider has answered: a decision on the order, and how far the step came.
pub(crate) struct ProviderStepOutcome {
    /// What is to be decided on the order.
    pub(crate) decision: Option<OrderCommand>,
    pub(crate) outcome: StepOutcome,
}

impl ProviderCallPlan {
    pub(crate) fn not_needed(outcome: ProviderStepOutcome) -> Self {
        Self::NotNeeded(Box::new(outcome))
    }

    pub(crate) fn needed(call: impl Future<Output = ProviderStepOutcome> + Send + 'static) -> Self {
        Self::Needed(call.boxed())
    }
}

impl ProviderStepOutcome {
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
