//! One owner per data directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use super::error::{PostgresError, on, writing};

/// The data directory is this process's until this is dropped or the process ends: a lock file that is left over blocks nobody.
#[derive(Debug)]
pub(super) struct DataDirectoryLock(File);

impl Drop for DataDirectoryLock {
    /// Closing the file would not do: a process that is just being started has it, too, until it runs its own program.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Takes the data directory for this process, making the folder if need be.
pub(super) fn take(data_dir: &Path) -> Result<DataDirectoryLock, PostgresError> {
    fs::create_dir_all(data_dir).map_err(writing(data_dir))?;
    let path = data_dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(writing(data_dir))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // The holder may not have written its number yet; the message then does without.
            let _ = file.read_to_string(&mut owner);
            return Err(PostgresError::InUse { path: data_dir.to_owned(), owner: owner.trim().to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(on("lock", path)(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(writing(data_dir))?;
    Ok(DataDirectoryLock(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_just_being_started_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take(folder.path()).unwrap();
        let inherited = lock.0.try_clone().unwrap();
        assert!(matches!(take(folder.path()), Err(PostgresError::InUse { .. })));
        drop(lock);
        drop(take(folder.path()).unwrap());
        drop(inherited);
    }
}
