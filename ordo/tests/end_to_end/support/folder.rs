//! Temporary folders.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

/// A folder that goes with the test. Open to all, so that the account root hands a Postgres to can reach its data there.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().prefix("ordo-test-").permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}
