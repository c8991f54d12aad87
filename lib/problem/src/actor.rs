//! Who caused something, as logs and events name it.

use std::fmt;
use std::sync::Arc;

/// Who caused a request, as `role:subject`. An extension of refused answers, so that their log lines name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Arc<str>);

impl From<String> for Actor {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
