//! Whether events can be published.

use std::sync::{Arc, Mutex, PoisonError};

/// What came of the last attempt to publish. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PublicationHealth(Arc<Mutex<Option<String>>>);

impl PublicationHealth {
    /// Why the last attempt failed, in words for operators. `None`: it succeeded, or there was none yet.
    pub fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, problem: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}
