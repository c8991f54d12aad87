//! Who caused something, as logs and events name it.

use std::fmt;
use std::sync::Arc;

/// Whose request was refused, as `role:subject`. An extension of the answer, so that its log line names the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCaller(Arc<str>);

impl From<String> for RefusedCaller {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for RefusedCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
