//! What a bulk action does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is done to each item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BulkActionKind {
    /// Stuck sagas try their step again.
    RetrySagas,
    /// What was done for the orders of stuck sagas is undone, and they end. Their customers get a mail.
    CompensateSagas,
    /// Dead letters are sent to their queues again.
    RedriveDeadLetters,
    /// Dead letters are deleted.
    DiscardDeadLetters,
    /// Parked streams are tried again.
    RetryParkedEvents,
    /// The first parked event of each stream is dropped, and the others are tried.
    SkipParkedEvents,
}

impl BulkActionKind {
    pub(crate) const ALL: [Self; 6] = [
        Self::RetrySagas,
        Self::CompensateSagas,
        Self::RedriveDeadLetters,
        Self::DiscardDeadLetters,
        Self::RetryParkedEvents,
        Self::SkipParkedEvents,
    ];

    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RetrySagas => "retry_sagas",
            Self::CompensateSagas => "compensate_sagas",
            Self::RedriveDeadLetters => "redrive_dead_letters",
            Self::DiscardDeadLetters => "discard_dead_letters",
            Self::RetryParkedEvents => "retry_parked_events",
            Self::SkipParkedEvents => "skip_parked_events",
        }
    }

    #[must_use]
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it receives dead letters, which hides them from others.
    #[must_use]
    pub(crate) fn is_of_dead_letters(self) -> bool {
        matches!(self, Self::RedriveDeadLetters | Self::DiscardDeadLetters)
    }
}
