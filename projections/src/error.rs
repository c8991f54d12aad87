use event_store::{EventDecodeError, SubscriberError};
use read_models::{Key, ReadModelStoreError};

/// Why events could not be folded. An unknown event stops the subscription; any other error parks the event's stream.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    #[error(transparent)]
    Decode(#[from] EventDecodeError),
    #[error("an item of the read model can't be read or written")]
    Item(#[from] serde_json::Error),
    /// An event changes an item that no earlier event created.
    #[error("event at position {position}: there is no {key:?}")]
    MissingItem { position: i64, key: Key },
    /// The fold changed some item of the stream but not its head.
    #[error("the projection did not change {0:?}, which tells how far the stream is folded")]
    HeadUnchanged(Key),
}

/// Why a batch could not be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error("the read model can't be read or written")]
    Store(#[from] ReadModelStoreError),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<EventDecodeError> for ProjectError {
    fn from(error: EventDecodeError) -> Self {
        Self::Fold(error.into())
    }
}

impl From<ProjectError> for SubscriberError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Fold(FoldError::Decode(error)) => error.into(),
            ProjectError::Fold(
                error @ (FoldError::Item(_) | FoldError::MissingItem { .. } | FoldError::HeadUnchanged(_)),
            ) => Self::poison(error),
            ProjectError::Store(ReadModelStoreError::Database(error)) | ProjectError::Database(error) => error.into(),
            ProjectError::Store(error @ ReadModelStoreError::Refused { .. }) => Self::poison(error),
            ProjectError::Store(
                error @ (ReadModelStoreError::Conflict(_)
                | ReadModelStoreError::NoGeneration { .. }
                | ReadModelStoreError::Remote(_)),
            ) => Self::unavailable(error),
        }
    }
}
