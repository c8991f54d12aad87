//! The routes that will go away.

use problem::Deprecation;

/// There are none yet. `/v1` is marked here once there is a `/v2`.
pub(crate) static DEPRECATIONS: &[Deprecation] = &[];
