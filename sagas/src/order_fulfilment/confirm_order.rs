//! Promises the order to the customer.

use std::sync::Arc;

use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, Stage};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::Context;
use crate::case::Case;
use crate::saga::{Kind, Outcome, Step, Undo, decided};

pub(super) const STEP: Step = Step {
    name: SagaStep::ConfirmOrder,
    kind: Kind::Pivot,
    is_due: |order| order.stage() == Stage::Pending && order.is_stocked() && order.is_paid_for(),
    run: confirm,
    undo: Undo::Nothing { because: "it is the pivot: a confirmed order is cancelled, not unconfirmed" },
};

fn confirm<'a>(_: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    ready(decided(cases, &OrderCommand::ConfirmOrder)).boxed()
}

/// Says that all that was done for an order is undone.
pub(crate) fn close<'a>(_: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    ready(decided(cases, &OrderCommand::CloseOrder)).boxed()
}
