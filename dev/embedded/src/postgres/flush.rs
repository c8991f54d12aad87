//! Puts a new cluster on disk before anything relies on it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::error::{PostgresError, on};

/// How many threads flush. The file system commits for all who wait at once: sixteen that wait need a sixteenth of the commits. On a
/// busy disk this is the difference between three seconds and a tenth of one.
const AT_ONCE: usize = 16;

/// Returns when every file and folder below `directory`, and the folder itself, is on disk.
pub(super) fn flush(directory: &Path) -> Result<(), PostgresError> {
    let mut paths = vec![directory.to_owned()];
    list(directory, &mut paths).map_err(on("read", directory))?;
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            File::open(path).and_then(|file| file.sync_all()).map_err(on("sync", path))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(on("sync", directory)(io::Error::other("a thread panicked"))))
        })
    })
}

fn list(directory: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), paths)?;
        }
        if kind.is_dir() || kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}
