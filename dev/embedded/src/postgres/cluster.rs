//! Where the cluster lies, and how it comes to be.
//!
//! A cluster is made as `<data_dir>/postgres.new` and renamed to `<data_dir>/postgres` when it is complete and on disk: an
//! interrupted start leaves nothing that looks like a cluster. Where the server's account cannot reach the data directory (a
//! checkout under root's home), it lies under `/var/lib/ordo` and `<data_dir>/postgres` is a link to it.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{
    access::Access,
    account::{self, Account},
    binaries::{Binaries, ClusterVersion},
    disk,
    error::{self, PostgresError, on},
    flush::flush,
    settings::Durability,
    watchdog,
};

/// For clusters that the server's account could not reach in the data directory.
pub(super) const REACHABLE: &str = "/var/lib/ordo";

/// A temporary cluster goes into memory only where that leaves room for what tests store.
const PLENTY: u64 = 4 << 30;

/// How much of a log is looked at; why a server ended takes a few lines.
const LOG_READ: u64 = 64 << 10;

/// A complete cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Its folder, links resolved.
    pub(super) directory: PathBuf,
    /// The server's log.
    pub(super) log: PathBuf,
    /// Who runs it, if not we ourselves.
    pub(super) account: Option<Account>,
    /// The folder that goes when the server does.
    pub(super) ephemeral: Option<PathBuf>,
}

impl Cluster {
    /// The cluster in the data directory, if there is one.
    pub(super) fn existing(data_dir: &Path) -> Result<Option<Self>, PostgresError> {
        let entry = data_dir.join("postgres");
        if fs::symlink_metadata(&entry).is_err() {
            return Ok(None);
        }
        let directory = entry.canonicalize().map_err(|_| PostgresError::Missing {
            target: fs::read_link(&entry).unwrap_or_else(|_| entry.clone()),
            link: entry.clone(),
        })?;
        let account = account::owner_of(&directory)?;
        let log = data_dir.join("postgres.log");
        Ok(Some(Self { directory, log, account, ephemeral: None }))
    }

    /// Makes the cluster in the data directory.
    pub(super) fn create(
        data_dir: &Path,
        binaries: &Binaries,
        account: Option<Account>,
        access: &Access,
    ) -> Result<Self, PostgresError> {
        let draft = data_dir.join("postgres.new");
        discard(&draft)?;
        match account {
            Some(account) if !account.can_enter(data_dir) => {
                let elsewhere = reachable_folder()?;
                tracing::info!(
                    data_dir = %data_dir.display(),
                    cluster = %elsewhere.display(),
                    "the account that runs Postgres cannot reach the data directory: the cluster lies elsewhere, with a link to it"
                );
                symlink(&elsewhere, &draft).map_err(on("create", &draft))?;
            }
            _ => fs::create_dir(&draft).map_err(on("create", &draft))?,
        }
        let directory = draft.canonicalize().map_err(on("find", &draft))?;
        initialise(&directory, &directory, binaries, account, access, Durability::Synced)?;
        // First the password, then what it opens.
        access.keep_in(data_dir)?;
        let entry = data_dir.join("postgres");
        fs::rename(&draft, &entry).map_err(on("rename", &draft))?;
        File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(on("sync", data_dir))?;
        Ok(Self {
            directory: entry.canonicalize().map_err(on("find", &entry))?,
            log: data_dir.join("postgres.log"),
            account,
            ephemeral: None,
        })
    }

    /// Makes a cluster in a fresh folder that the server's watchdog removes.
    pub(super) fn create_ephemeral(
        binaries: &Binaries,
        account: Option<Account>,
        access: &Access,
    ) -> Result<Self, PostgresError> {
        Self::in_temporary_folder(account, Durability::Synced, |directory, folder| {
            initialise(directory, folder, binaries, account, access, Durability::Unsynced)
        })
    }

    /// Copies this cluster, whose server must not be running, to a fresh folder that the copy's watchdog removes.
    pub(super) fn copy_ephemeral(&self) -> Result<Self, PostgresError> {
        Self::in_temporary_folder(self.account, Durability::Unsynced, |directory, folder| {
            prepare_folder(directory, self.account)?;
            // Run as the owner: what it copies is its own again.
            let everything = self.directory.join(".");
            let arguments = [OsStr::new("-R"), everything.as_os_str(), directory.as_os_str()];
            watchdog::run(Path::new("cp"), &arguments, "", Some(folder), self.account.as_ref())?
                .map_err(|said| PostgresError::Copy { reason: error::telling_line(&said) })
        })
    }

    fn in_temporary_folder(
        account: Option<Account>,
        durability: Durability,
        fill: impl FnOnce(&Path, &Path) -> Result<(), PostgresError>,
    ) -> Result<Self, PostgresError> {
        let parent = temporary_parent(account, durability);
        let folder =
            tempfile::Builder::new().prefix("ordo-postgres-").tempdir_in(&parent).map_err(error::writing(&parent))?;
        if let Some(account) = account {
            account.take_over(folder.path())?;
        }
        let path = folder.path().canonicalize().map_err(on("find", folder.path()))?;
        let directory = path.join("postgres");
        fs::create_dir(&directory).map_err(on("create", &directory))?;
        fill(&directory, &path)?;
        // From here on the folder is the watchdog's to remove.
        let _ = folder.keep();
        Ok(Self { directory, log: path.join("postgres.log"), account, ephemeral: Some(path) })
    }

    /// The version of Postgres that made it.
    pub(super) fn version(&self) -> Result<ClusterVersion, PostgresError> {
        let path = self.directory.join("PG_VERSION");
        let version = fs::read_to_string(&path).map_err(on("read", path))?;
        Ok(ClusterVersion { path: self.directory.clone(), major: version.trim().to_owned() })
    }

    /// Begins an empty log and keeps the one before it, so that logs do not grow for ever.
    pub(super) fn start_new_log(&self) -> Result<(), PostgresError> {
        match fs::rename(&self.log, self.log.with_extension("log.1")) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(error::writing(&self.log)(source)),
            _ => Ok(()),
        }
    }

    pub(super) fn open_log(&self) -> Result<File, PostgresError> {
        OpenOptions::new().create(true).append(true).open(&self.log).map_err(error::writing(&self.log))
    }

    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |metadata| metadata.len())
    }

    /// The last that the server wrote.
    pub(super) fn end_of_log(&self) -> String {
        self.log_since(self.log_length().saturating_sub(LOG_READ))
    }

    /// What the server wrote since the log had that length, or the beginning of that where it is much.
    pub(super) fn log_since(&self, start: u64) -> String {
        let mut bytes = Vec::new();
        // A log that cannot be read must not hide that the server has ended.
        let _ = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(LOG_READ).read_to_end(&mut bytes)
        });
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Makes a cluster in an empty folder; `remove` goes if that fails.
fn initialise(
    directory: &Path,
    remove: &Path,
    binaries: &Binaries,
    account: Option<Account>,
    access: &Access,
    durability: Durability,
) -> Result<(), PostgresError> {
    disk::room_for_a_cluster(directory)?;
    prepare_folder(directory, account)?;
    let mut arguments = vec![OsStr::new("-D"), directory.as_os_str()];
    // initdb syncs one file after the other; we are quicker.
    let fixed = ["-U", "postgres", "-A", "reject", "--locale=C", "-E", "UTF8", "--no-sync"];
    arguments.extend(fixed.map(OsStr::new));
    watchdog::run(&binaries.initdb(), &arguments, "", Some(remove), account.as_ref())?
        .map_err(|said| disk::full(&said, directory).unwrap_or_else(|| error::initdb(&said)))?;
    access.enforce(directory, Some(remove), binaries, account.as_ref())?;
    match durability {
        Durability::Synced => flush(directory),
        Durability::Unsynced => Ok(()),
    }
}

/// Makes the folder one that Postgres accepts: its own, and closed to others.
fn prepare_folder(directory: &Path, account: Option<Account>) -> Result<(), PostgresError> {
    fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(on("change the mode of", directory))?;
    account.map_or(Ok(()), |account| account.take_over(directory))
}

/// Removes what an interrupted start left.
fn discard(draft: &Path) -> Result<(), PostgresError> {
    let Ok(metadata) = fs::symlink_metadata(draft) else {
        return Ok(());
    };
    if metadata.is_dir() {
        return fs::remove_dir_all(draft).map_err(on("remove", draft));
    }
    // Only what lies there, wherever the link says that it lies: root removes it.
    if let (Ok(target), Ok(parent)) = (draft.canonicalize(), Path::new(REACHABLE).canonicalize())
        && target.parent() == Some(&parent)
    {
        fs::remove_dir_all(&target).map_err(on("remove", &target))?;
    }
    fs::remove_file(draft).map_err(on("remove", draft))
}

fn reachable_folder() -> Result<PathBuf, PostgresError> {
    let parent = Path::new(REACHABLE);
    if !parent.is_dir() {
        fs::create_dir_all(parent).map_err(on("create", parent))?;
        // Whatever the umask: the server's account must pass through.
        fs::set_permissions(parent, Permissions::from_mode(0o755)).map_err(on("change the mode of", parent))?;
    }
    let folder = parent.join(format!("postgres-{}", uuid::Uuid::now_v7()));
    fs::create_dir(&folder).map_err(on("create", &folder))?;
    Ok(folder)
}

/// Where temporary clusters go: one that need not reach the disk into memory, where making its 1,600 files takes a tenth of the time,
/// if there is plenty of that; else the system's temporary folder, unless the server's account cannot work there.
fn temporary_parent(account: Option<Account>, durability: Durability) -> PathBuf {
    let usable = |folder: &Path| account.is_none_or(|account| account.can_enter(folder) && account.can_write(folder));
    let memory = Path::new("/dev/shm");
    let free = disk::space(memory).map_or(0, |(free, _)| free);
    if durability == Durability::Unsynced && free >= PLENTY && usable(memory) {
        return memory.to_owned();
    }
    let preferred = std::env::temp_dir();
    [preferred.clone(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")]
        .into_iter()
        .find(|folder| usable(folder))
        .unwrap_or(preferred)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("postgres.log");
        let cluster = Cluster { directory: folder.path().to_owned(), log, account: None, ephemeral: None };
        assert_eq!(cluster.end_of_log(), "");
        fs::write(&cluster.log, format!("FATAL: long ago\n{}\nPANIC: now\n", "x".repeat(100_000))).unwrap();
        let end = cluster.end_of_log();
        assert!(end.ends_with("PANIC: now\n") && !end.contains("long ago"));
    }
}
