//! Why a replay did not do what it was asked to.

use event_store::DecodeError;
use event_store::bulk::MalformedRow;
use read_models::StoreError;
use uuid::Uuid;

use crate::projection::{FoldError, ProjectError};

/// Why read models were not rebuilt. The live ones are as they were, but for those that had been told to have changed places.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such projection.
    #[error("there is no projection {name}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No projection was named.
    #[error("no projection is named")]
    Nothing,
    /// There is no such replay.
    #[error("there is no replay {0}: it was cancelled, is long over, or never began")]
    NoReplay(Uuid),
    /// Someone else is rebuilding it.
    #[error("{0} is being rebuilt already")]
    AlreadyRunning(String),
    /// One that was begun for other projections is not over.
    #[error("the replay of {projections} that was begun is not over: go on with that one, or cancel it")]
    Unfinished {
        /// Those.
        projections: String,
    },
    /// There is no replay that could be cancelled.
    #[error("no replay of {0} is under way")]
    NothingToCancel(String),
    /// There is nothing to go back to.
    #[error("there is no previous generation of {0}: it has not been rebuilt, or the generation was dropped")]
    NoPrevious(String),
    /// It ended before it could be cancelled.
    #[error("the replay was over before it could be cancelled: its read models have changed places")]
    TooLate,
    /// Somebody asked for its end.
    #[error("the replay was cancelled")]
    Cancelled,
    /// It was told to stop. It goes on when it is begun again.
    #[error("the replay was stopped; begin it again to go on")]
    Stopped,
    /// The rebuild stood still for so long that the live one's copies went on.
    #[error("{0} was taken back before its rebuild was done; begin it again to go on")]
    Overtaken(String),
    /// Somebody reads the live one for long.
    #[error("{0} is being read by somebody who does not end; try again later")]
    InUse(String),
    /// The events could not be projected.
    #[error("the events could not be projected")]
    Project(#[from] ProjectError),
    /// The log could not be read.
    #[error("the log could not be read")]
    Malformed(#[from] MalformedRow),
    /// The read model could not be written.
    #[error("the read model could not be written")]
    Store(#[from] StoreError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The part that folds ended before its time.
    #[error("the fold ended before its time")]
    FoldEnded,
}

impl From<FoldError> for ReplayError {
    fn from(error: FoldError) -> Self {
        Self::Project(error.into())
    }
}

impl From<DecodeError> for ReplayError {
    fn from(error: DecodeError) -> Self {
        Self::Project(error.into())
    }
}
