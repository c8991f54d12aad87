use event_store::EventDecodeError;
use event_store::bulk::CopyDecodeError;
use read_models::ReadModelStoreError;
use uuid::Uuid;

use crate::error::{FoldError, ProjectError};

/// Why read models were not rebuilt. The live ones are unchanged, except those that were promoted before the error.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("there is no projection {name}; there are: {known}")]
    UnknownProjection { name: String, known: String },
    #[error("no projection is named")]
    NoProjection,
    #[error("there is no replay {0}: it was cancelled, is long over, or never began")]
    NoReplay(Uuid),
    /// Another process is rebuilding this projection.
    #[error("{0} is being rebuilt already")]
    AlreadyRunning(String),
    /// An unfinished replay has this projection and others.
    #[error("the replay of {projections} that was begun is not over: go on with that one, or cancel it")]
    Unfinished { projections: String },
    #[error("no replay of {0} is under way")]
    NothingToCancel(String),
    #[error("there is no previous generation of {0}: it has not been rebuilt, or the generation was dropped")]
    NoPrevious(String),
    /// The replay ended before it could be cancelled.
    #[error("the replay was over before it could be cancelled: its read models have changed places")]
    TooLate,
    #[error("the replay was cancelled")]
    Cancelled,
    /// The process is shutting down. The replay goes on when it is opened again.
    #[error("the replay was stopped; begin it again to go on")]
    Stopped,
    /// The promotion stood still for so long that its lease expired and the projectors of the live generation went on.
    #[error("{0} was taken back before its rebuild was done; begin it again to go on")]
    LeaseLost(String),
    /// A long read of the live generation kept the promotion from its lock.
    #[error("{0} is being read by somebody who does not end; try again later")]
    InUse(String),
    #[error("the events could not be projected")]
    Project(#[from] ProjectError),
    #[error("the log could not be read")]
    Malformed(#[from] CopyDecodeError),
    #[error("the read model could not be written")]
    Store(#[from] ReadModelStoreError),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The task that folds, or the one that reads, panicked.
    #[error("the fold ended before its time")]
    FoldEnded,
}

impl From<FoldError> for ReplayError {
    fn from(error: FoldError) -> Self {
        Self::Project(error.into())
    }
}

impl From<EventDecodeError> for ReplayError {
    fn from(error: EventDecodeError) -> Self {
        Self::Project(error.into())
    }
}
