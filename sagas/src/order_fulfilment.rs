//! Fulfilling an order: what has to be done, in order, and how each step is undone.
//!
//! | step | kind | undo |
//! |---|---|---|
//! | confirm | pivot | nothing: from here on the order is only carried forward |
//! | notify | forward only | nothing: what the customer was told was true |

mod confirm;
mod notify;

use domain::PlacedOrder;
use event_store::{Loaded, StoredEvent};
use futures_util::future::BoxFuture;

use crate::Context;

/// The saga's name: of its checkpoint, its rows in `saga_work`, and the actor of its events.
pub const NAME: &str = "order_fulfilment";

/// The steps, in the order in which they are due.
pub static STEPS: [Step; 2] = [confirm::STEP, notify::STEP];

/// A row of the step table.
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// What a failure after it means.
    pub kind: Kind,
    /// How it is undone.
    pub undo: Undo,
    /// Whether the order shows that it is done.
    pub is_done: fn(&PlacedOrder) -> bool,
    /// Does it, for several orders at once. One result each, in order.
    pub(crate) run: for<'a> fn(&'a Context, &'a [Due]) -> Outcomes<'a>,
}

/// What became of each order, in the order they were given.
pub(crate) type Outcomes<'a> = BoxFuture<'a, Vec<Result<Done, StepError>>>;

/// Where a step stands in its saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Once it is done there is no way back.
    Pivot,
    /// Comes after the pivot: tried until it succeeds or is given up; it never stops the order.
    ForwardOnly,
}

/// How a step is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// There is nothing to undo.
    Nothing {
        /// Why not.
        because: &'static str,
    },
}

/// An order whose next step is due.
pub(crate) struct Due {
    pub(crate) order_id: String,
    pub(crate) order: PlacedOrder,
    pub(crate) stream: Loaded<domain::Order>,
    /// Its events: never empty.
    pub(crate) events: Vec<StoredEvent>,
    /// How often this step's request has gone out already.
    pub(crate) sent: u32,
}

/// What a step that did not fail came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Its outcome is an event on the order.
    Recorded,
    /// Its request is out; the answer will be an event on the order.
    Asked,
}

/// Why a step could not even be tried. It is tried again, for as long as it takes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StepError(pub(crate) String);

impl StepError {
    /// The error with all its causes, as an operator wants to read it.
    pub(crate) fn new(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}

/// What is to be done next with an order, and which step that is; `None`: its saga has ended.
pub fn next_step(order: &PlacedOrder) -> Option<(usize, &'static Step)> {
    STEPS.iter().enumerate().find(|(_, step)| !(step.is_done)(order))
}

#[cfg(test)]
mod tests;
