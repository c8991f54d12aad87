//! Money that was paid elsewhere goes back by hand: the step waits for a person, and is never tried.
//!
//! It comes last, so that it holds up neither the provider's refunds nor mails.

use domain::order::saga::SagaStep;

use crate::outcome::StepProgress;
use crate::saga::{Step, StepHandler, StepKind, StepUndo};

pub(super) const STEP: Step = Step {
    name: SagaStep::RefundManually,
    kind: StepKind::Retriable,
    is_due: |order| order.manual_refunds().next().is_some(),
    action: StepHandler::Decide(|_, _| Ok(StepProgress::LeftToPerson)),
    undo: StepUndo::Nothing { because: "money that went back stays there" },
};
