//! Whether it is the disk: Postgres ends when it can't write, and a full disk may keep it from saying so.

use std::path::Path;

use super::error::PostgresError;

/// Postgres needs room for one more segment of its log of changes.
const SEGMENT: u64 = 16 << 20;

/// What a new cluster takes, its first segment included: 40 MB as of Postgres 15, some more of later ones.
const CLUSTER: u64 = 64 << 20;

/// The words of the operating system.
const NO_SPACE: &str = "No space left on device";

/// The error that says so where a server ended because of it: by what its log says, or, where that is silent, by what is free.
pub(super) fn full(log: &str, directory: &Path) -> Option<PostgresError> {
    let (free, total) = space(directory)?;
    let silent = !["FATAL", "PANIC"].iter().any(|mark| log.contains(mark));
    let full = log.contains(NO_SPACE) || (silent && free < SEGMENT);
    full.then(|| PostgresError::DiskFull { path: directory.to_owned(), free, total })
}

/// Refuses to make a cluster where there is no room for one. What fails half-way for want of it has many names, and has given back
/// what it took by the time anyone looks.
pub(super) fn room_for_a_cluster(directory: &Path) -> Result<(), PostgresError> {
    match space(directory) {
        Some((free, total)) if free < CLUSTER => {
            Err(PostgresError::DiskFull { path: directory.to_owned(), free, total })
        }
        _ => Ok(()),
    }
}

/// The bytes that are free where the folder lies, and all there are.
pub(super) fn space(folder: &Path) -> Option<(u64, u64)> {
    // What is not there yet will lie where its parent does.
    let folder = folder.ancestors().find(|folder| folder.exists())?;
    let about = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
    Some((bytes(about.f_bavail), bytes(about.f_blocks)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_in_the_log() {
        let here = Path::new("/tmp");
        let log = "PANIC:  could not write to file \"pg_wal/xlogtemp.7\": No space left on device\n";
        let error = full(log, here).unwrap().to_string();
        assert!(error.contains("the disk is full") && error.contains(" MB, ") && error.contains("/tmp"), "{error}");
        assert!(full("FATAL:  unrecognized configuration parameter\n", here).is_none());
    }

    #[test]
    fn a_folder_that_is_not_there_yet_lies_where_its_parent_does() {
        assert_eq!(space(Path::new("/tmp/not/there")).unwrap().1, space(Path::new("/tmp")).unwrap().1);
    }
}
