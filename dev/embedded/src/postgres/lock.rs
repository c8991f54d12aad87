//! One owner per data directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use super::error::{PostgresError, on, writing};

/// Takes the data directory for this process, making the folder if need be. The lock goes when the file is dropped or the process
/// ends: a lock file that is left over blocks nobody.
pub(super) fn take(data_dir: &Path) -> Result<File, PostgresError> {
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
    Ok(file)
}
