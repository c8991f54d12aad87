//! The lock of the platform that runs on a data directory, and what it writes there.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use access_control::TokenSecret;
use anyhow::Context;
use embedded::postgres::PostgresError;
use url::Url;

use super::{RunningPlatformFile, file_in, text_of, token_secret, token_secret_in};

/// The lock of the one platform that runs on a data directory. When it is dropped, the ports stay in the file for the next start, but
/// no password. An ephemeral platform leaves no file.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    file: File,
    path: PathBuf,
    ephemeral: bool,
    /// This platform, or the last one, without its database.
    last: RunningPlatformFile,
}

impl DataDirLock {
    /// Locks the data directory, and creates it if needed. An ephemeral platform and one that keeps its data have different locks.
    pub(crate) fn acquire(data_dir: &Path, ephemeral: bool) -> anyhow::Result<Self> {
        let not_writable = |source| PostgresError::NotWritable { path: data_dir.to_owned(), source };
        let path = file_in(data_dir, ephemeral);
        let mut attempts = 0..20;
        let (mut file, locked) = loop {
            fs::create_dir_all(data_dir).map_err(not_writable)?;
            let file = open(&path).map_err(not_writable)?;
            let locked = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            };
            // An ephemeral platform removes its file when it ends. A lock on a removed file keeps nobody out.
            let there = is_still_at(&file, &path);
            if (locked && there) || attempts.next().is_none() {
                break (file, locked && there);
            }
            // A command holds the lock for a moment, a platform as long as it runs.
            std::thread::sleep(Duration::from_millis(5));
        };
        let last: Option<RunningPlatformFile> = serde_json::from_str(&text_of(&mut file)?).ok();
        if !locked {
            let owner = last.map(|place| place.pid.to_string()).unwrap_or_default();
            return Err(PostgresError::InUse { path: data_dir.to_owned(), owner }.into());
        }
        let starting =
            RunningPlatformFile { ready: false, pid: std::process::id(), ..last.unwrap_or_default().without_secrets() };
        let mut taken = Self { file, path, ephemeral, last: RunningPlatformFile::default() };
        taken.write(&starting)?;
        Ok(taken)
    }

    /// The secret of this directory's development tokens. It is made by the first platform, and an ephemeral one has its own.
    pub(crate) fn token_secret(&self) -> anyhow::Result<TokenSecret> {
        let path = self.token_secret_path();
        match token_secret::read(&path)? {
            Some(secret) if !self.ephemeral => {
                let owner_alone = fs::set_permissions(&path, fs::Permissions::from_mode(0o600));
                owner_alone.with_context(|| format!("cannot keep others from reading {}", path.display()))?;
                Ok(secret)
            }
            _ => token_secret::create(&path),
        }
    }

    fn token_secret_path(&self) -> PathBuf {
        token_secret_in(self.path.parent().unwrap_or(Path::new(".")), self.ephemeral)
    }

    /// Writes where the platform is.
    pub(crate) fn write(&mut self, place: &RunningPlatformFile) -> anyhow::Result<()> {
        self.last = place.clone().without_secrets();
        let text = serde_json::to_string(place)?;
        let written =
            self.file.set_len(0).and_then(|()| self.file.rewind()).and_then(|()| writeln!(self.file, "{text}"));
        written.with_context(|| format!("cannot write to {}", self.path.display()))
    }

    /// The address to listen on. Port 0 becomes the port that was used last, if it is free.
    #[must_use]
    pub(crate) fn address(
        &self,
        asked: SocketAddr,
        used_last: impl Fn(&RunningPlatformFile) -> Option<&str>,
    ) -> SocketAddr {
        let port = || Url::parse(used_last(&self.last)?).ok()?.port();
        let free = |port: &u16| is_free(SocketAddr::new(asked.ip(), *port));
        match asked.port() {
            0 => SocketAddr::new(asked.ip(), port().filter(free).unwrap_or(0)),
            _ => asked,
        }
    }
}

impl Drop for DataDirLock {
    /// Cleans up as far as possible. The lock is released afterwards.
    fn drop(&mut self) {
        if self.ephemeral {
            let _ = fs::remove_file(self.token_secret_path());
            let _ = fs::remove_file(&self.path);
            // Only an empty folder can be removed.
            let _ = self.path.parent().map(fs::remove_dir);
        } else if let Err(error) = self.write(&self.last.clone()) {
            tracing::warn!("the database's password may still be in {}: {error:#}", self.path.display());
        }
    }
}

/// Whether nobody listens on the address.
#[must_use]
pub(crate) fn is_free(address: SocketAddr) -> bool {
    std::net::TcpListener::bind(address).is_ok()
}

/// Opens or creates a file that only its owner may read.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map(|()| file)
}

/// Whether the path still leads to this file.
fn is_still_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use crate::data_dir::DataDir;
    use crate::settings::{RawSettings, Settings};

    use super::*;

    const DATABASE: &str = "postgres://postgres:s3cret@127.0.0.1:5999/ordo";

    fn place(api: &str) -> RunningPlatformFile {
        RunningPlatformFile {
            ready: true,
            api: api.to_owned(),
            database: Some(DATABASE.to_owned()),
            ..RunningPlatformFile::default()
        }
    }

    #[test]
    fn a_platform_that_stopped_leaves_its_ports_and_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(folder.path(), false);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let mut taken = DataDirLock::acquire(folder.path(), false).unwrap();
        taken.write(&place("http://127.0.0.1:3999")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().contains("s3cret"), "for the commands beside it");
        drop(taken);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("3999") && !text.contains("s3cret"), "{text}");
        assert_eq!(DataDirLock::acquire(folder.path(), false).unwrap().last.api, "http://127.0.0.1:3999");
    }

    #[test]
    fn a_platform_that_was_killed_leaves_no_password_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(folder.path(), false);
        fs::write(&path, serde_json::to_string(&place("http://127.0.0.1:3999")).unwrap()).unwrap();
        let _taken = DataDirLock::acquire(folder.path(), false).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("s3cret"));
    }

    #[test]
    fn an_ephemeral_platform_leaves_the_lasting_one_of_its_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir { path: folder.path().join(".ordo"), named: false };
        let found = || dir.running().unwrap().map(|place| place.api);
        let mut lasting = DataDirLock::acquire(&dir.path, false).unwrap();
        lasting.write(&place("http://127.0.0.1:1")).unwrap();
        let mut ephemeral = DataDirLock::acquire(&dir.path, true).unwrap();
        ephemeral.write(&place("http://127.0.0.1:2")).unwrap();
        assert_eq!(found().unwrap(), "http://127.0.0.1:1");
        drop(lasting);
        assert_eq!(found().unwrap(), "http://127.0.0.1:2");
        drop(ephemeral);
        assert_eq!(found(), None);
        assert_eq!(DataDirLock::acquire(&dir.path, false).unwrap().last.api, "http://127.0.0.1:1");

        fs::remove_dir_all(&dir.path).unwrap();
        drop(DataDirLock::acquire(&dir.path, true).unwrap());
        assert!(!dir.path.exists(), "it leaves nothing");
    }

    #[test]
    fn the_secret_of_tokens_is_made_once_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir { path: folder.path().join(".ordo"), named: false };
        let lasting = DataDirLock::acquire(&dir.path, false).unwrap();
        let error = dir.token_secret().unwrap_err().to_string();
        assert!(error.contains("ORDO_TOKEN_SECRET"), "{error}");
        let first = lasting.token_secret().unwrap();
        assert_eq!(fs::metadata(dir.path.join("token-secret")).unwrap().mode() & 0o777, 0o600);
        let path = dir.path.join("token-secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(lasting.token_secret().unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let ephemeral = DataDirLock::acquire(&dir.path, true).unwrap();
        assert_ne!(ephemeral.token_secret().unwrap(), first);
        assert_eq!(dir.token_secret().unwrap(), first);
        drop(lasting);
        assert_ne!(dir.token_secret().unwrap(), first, "only the ephemeral one runs");
        drop(ephemeral);
        assert!(!dir.path.join("ephemeral-token-secret").exists());
        assert_eq!(DataDirLock::acquire(&dir.path, false).unwrap().token_secret().unwrap(), first);

        fs::write(dir.path.join("token-secret"), "short").unwrap();
        assert!(dir.token_secret().unwrap_err().to_string().contains("holds no secret"));
    }

    #[test]
    fn a_file_that_was_removed_or_replaced_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(folder.path(), true);
        let file = open(&path).unwrap();
        assert!(is_still_at(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_still_at(&file, &path));
        let other = open(&path).unwrap();
        assert!(!is_still_at(&file, &path) && is_still_at(&other, &path));
    }

    #[test]
    fn another_login_at_the_running_database_is_kept_and_an_old_password_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken = DataDirLock::acquire(folder.path(), false).unwrap();
        taken.write(&place("http://127.0.0.1:1")).unwrap();
        let reader = "postgres://reader:known@127.0.0.1:5999/ordo";
        for (set, used) in
            [(None, DATABASE), (Some("postgres://postgres:old@localhost:5999/ordo"), DATABASE), (Some(reader), reader)]
        {
            for named in [false, true] {
                let variables = set.map(|set| ("DATABASE_URL".to_owned(), set.to_owned()));
                let loaded = Settings::load(RawSettings::default().environment(variables)).unwrap();
                let settings = DataDir { path: folder.path().to_owned(), named }.complete(loaded).unwrap();
                assert_eq!(settings.database_url.unwrap().expose(), used);
            }
        }
    }
}
