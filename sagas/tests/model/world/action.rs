//! What can happen in the model, and how much of it.

use domain::order::saga::SagaStep;

use super::MailOf;
use crate::provider::Call;

/// A call on its way.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct CallInFlight {
    pub(crate) call: Call,
    /// Means of payment that were replaced when it was made.
    pub(crate) replaced: u32,
    /// Whether the process that made it died: nobody hears the answer.
    pub(crate) is_orphan: bool,
}

/// How much may still happen.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) crashes: u8,
    pub(crate) duplicates: u8,
    /// Calls that go wrong.
    pub(crate) faults: u8,
    pub(crate) cancels: u8,
    pub(crate) operators: u8,
    pub(crate) expiries: u8,
    pub(crate) edits: u8,
    pub(crate) ships: u8,
    pub(crate) returns: u8,
    pub(crate) refunds: u8,
    /// How often the provider forgets its keys.
    pub(crate) forgets: u8,
    /// How often the database loses the last commits.
    pub(crate) failovers: u8,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// A copy of the saga looks at the order.
    Look,
    /// A visit does its next step, with this luck.
    Go(usize, Luck),
    /// A visit stores what it decided.
    Save(usize),
    /// A call arrives at the provider.
    Arrive(usize),
    /// All visits end where they are.
    Crash,
    /// Notification says that a mail went out.
    Answer(MailOf),
    /// The units were set aside for long enough.
    TimePasses,
    Cancel,
    /// An operator decides.
    Decide(SagaStep, Decision),
    /// The provider forgets its keys.
    Forget,
    /// The database loses so many of its last commits.
    Failover(usize),
    /// Another quantity of the line.
    Edit,
    Ship,
    Return,
    Refund,
}

/// What an operator decides. Outcomes are the true ones: the operator asked the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Retry,
    OtherMeans,
    Skip,
    Compensate,
    MarkSucceeded,
    MarkFailed,
}

impl Decision {
    pub(super) const ALL: [Self; 6] =
        [Self::Retry, Self::OtherMeans, Self::Skip, Self::Compensate, Self::MarkSucceeded, Self::MarkFailed];
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    Good,
    /// The provider says no.
    Declined,
    /// It is done, and the answer gets lost.
    AnswerLost,
    /// It never gets there, and nobody knows.
    Lost,
    /// It gets there later.
    Late,
    /// It surely was not done.
    Unavailable,
    /// The provider says no, and goes on to say so under this key.
    Refused,
    /// The provider breaks down, and goes on to say so under this key.
    Broke,
}

impl Luck {
    pub(crate) const BAD: [Self; 7] =
        [Self::Declined, Self::AnswerLost, Self::Lost, Self::Late, Self::Unavailable, Self::Refused, Self::Broke];
}
