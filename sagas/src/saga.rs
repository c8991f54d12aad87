//! What a step table is, and what is next in it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PlacedOrder, Stage, StockState};
use futures_util::future::BoxFuture;

use crate::Context;
use crate::case::Case;

/// A saga: its steps, in the order in which they are due.
pub struct Saga {
    /// Its name: of its rows in `saga_work`, and the actor of its events.
    pub name: &'static str,
    /// Its steps.
    pub steps: &'static [Step],
    /// Whether it has anything to do with an order at all.
    pub concerns: fn(&PlacedOrder) -> bool,
}

/// A row of the step table.
pub struct Step {
    /// Its name.
    pub name: SagaStep,
    /// What a failure after it means.
    pub kind: Kind,
    /// Whether the order calls for it now.
    pub is_due: fn(&PlacedOrder) -> bool,
    /// Does it, for several orders at once.
    pub(crate) run: Run,
    /// How it is undone.
    pub undo: Undo,
}

/// Where a step stands in its saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Can be undone: a failure of it or after it undoes what was done.
    Compensable,
    /// Once it is done there is no way back but to cancel.
    Pivot,
    /// Comes after the pivot: tried until it succeeds or an operator decides; it never stops the order.
    ForwardOnly,
}

/// How a step is undone. A step that says neither does not compile.
pub enum Undo {
    /// By this.
    By(UndoStep),
    /// There is nothing to undo.
    Nothing {
        /// Why not.
        because: &'static str,
    },
}

/// The undoing of a step, also of one that may have been done without anybody knowing.
pub struct UndoStep {
    /// Its name.
    pub name: SagaStep,
    /// Whether there is something to undo.
    pub is_due: fn(&PlacedOrder) -> bool,
    /// Undoes it, for several orders at once.
    pub(crate) run: Run,
}

/// Does something for each of the orders and gives each back with what it came to.
pub(crate) type Run = for<'a> fn(&'a Arc<Context>, Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>>;

/// What a step came to for an order.
pub(crate) type Outcome = Result<Done, StepError>;

/// What a step that did not fail came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// The order has moved on.
    Moved,
    /// Its request is out; the answer will be an event on the order.
    Asked,
    /// It is still at it, and will record what comes of it. If it has not by then, it is asked again.
    UnderWay(Duration),
}

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// It is tried again, until the step's deadline.
    #[error("{0}")]
    Failed(String),
    /// Whoever does it can't be reached, for any order: it is tried again for as long as that lasts.
    #[error("{0}")]
    Unreachable(String),
    /// It stays so until an operator decides.
    #[error("{0}")]
    Stuck(String),
}

impl StepError {
    /// The error with all its causes, as an operator wants to read it.
    pub(crate) fn new(error: &dyn std::error::Error) -> Self {
        Self::Failed(in_full(error))
    }
}

/// What is to be done next with an order.
pub enum Next {
    /// A step.
    Do(&'static Step),
    /// The undoing of a step.
    Undo(&'static UndoStep),
    /// Everything is undone: say so.
    Close,
    /// The units were set aside for too long.
    Expire,
    /// Nothing: what was begun has ended.
    Nothing,
}

/// The error with all its causes.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Next {
    /// The name of it; `None`: there is nothing to be done.
    pub fn step(&self) -> Option<SagaStep> {
        match self {
            Self::Do(step) => Some(step.name),
            Self::Undo(undo) => Some(undo.name),
            Self::Close => Some(SagaStep::CloseOrder),
            Self::Expire => Some(SagaStep::ReleaseStock),
            Self::Nothing => None,
        }
    }
}

impl Saga {
    /// What is to be done next with an order, now.
    ///
    /// An order that is being undone goes through the undos in the order of their steps, and is then closed: no undo rests on another,
    /// and units that are free are of use to others while the provider is still being asked. Otherwise the first step that is
    /// due is done.
    pub fn next(&'static self, order: &PlacedOrder, now: DateTime<Utc>) -> Next {
        if !(self.concerns)(order) {
            return Next::Nothing;
        }
        if order.stage() == Stage::Undoing && self.has_pivot() {
            let mut undos = self.steps.iter().filter_map(|step| match &step.undo {
                Undo::By(undo) => Some(undo),
                Undo::Nothing { .. } => None,
            });
            return undos.find(|undo| (undo.is_due)(order)).map_or(Next::Close, Next::Undo);
        }
        if expires_at(order).is_some_and(|at| at <= now) {
            return Next::Expire;
        }
        self.steps.iter().find(|step| (step.is_due)(order)).map_or(Next::Nothing, Next::Do)
    }

    /// Whether it is the one that undoes orders.
    pub(crate) fn has_pivot(&self) -> bool {
        self.steps.iter().any(|step| step.kind == Kind::Pivot)
    }
}

/// What a step comes to that has nothing to do but to decide.
pub(crate) fn decided(cases: Vec<Case>, command: &OrderCommand) -> Vec<(Case, Outcome)> {
    let decide = |mut case: Case| {
        let taken = case.take(command.clone());
        (case, taken.map(|()| Done::Moved).map_err(|refusal| StepError::new(&refusal)))
    };
    cases.into_iter().map(decide).collect()
}

/// When the units of an order go back because it was not promised by then.
pub(crate) fn expires_at(order: &PlacedOrder) -> Option<DateTime<Utc>> {
    match (&order.stock, order.stage()) {
        (StockState::Reserved(reserved), Stage::Pending) => Some(reserved.expires_at),
        (
            StockState::Reserved(_)
            | StockState::None
            | StockState::Short
            | StockState::NotNeeded
            | StockState::Released,
            _,
        ) => None,
    }
}
