//! Why the embedded Postgres did not start, each with the way out.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::disk;

/// Why the embedded Postgres did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// There are no server binaries on this machine.
    #[error(
        "no Postgres found on this machine: install it (Debian, Ubuntu: `apt install postgresql`; Fedora: `dnf install \
         postgresql-server`; macOS: `brew install postgresql`) or set DATABASE_URL to a server that runs elsewhere"
    )]
    NotInstalled,
    /// The data directory holds a cluster of a version that is not installed.
    #[error(
        "{} was made by Postgres {cluster}, this machine has {installed}: install Postgres {cluster}, or move the folder away to \
         start empty", path.display()
    )]
    OtherVersion {
        path: PathBuf,
        /// The major version that made it.
        cluster: String,
        /// The major versions found.
        installed: String,
    },
    /// Another process runs on this data directory.
    #[error("{} is in use by process {owner}: stop that one first, or choose another data directory", path.display())]
    InUse {
        path: PathBuf,
        /// The process id of the holder, as it wrote it down.
        owner: String,
    },
    /// The data directory cannot be written to.
    #[error("cannot write to {}: choose another data directory, or change its owner", path.display())]
    NotWritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The disk has no room for what the server has to write.
    #[error(
        "the disk is full: of its {} MB, {} are free now; make room where {} lies, or choose another data directory",
        total / 1_000_000, free / 1_000_000, path.display()
    )]
    DiskFull {
        /// The folder on that disk.
        path: PathBuf,
        /// The bytes that can still be written.
        free: u64,
        /// All the bytes there are.
        total: u64,
    },
    /// The server ended after it had been ready.
    #[error("the database ended by itself; {}", log.as_ref().map_or_else(
        || "its log went with it, as all of --ephemeral does".to_owned(), |log| format!("its log is {}", log.display())
    ))]
    EndedByItself {
        /// The log file, where it is kept.
        log: Option<PathBuf>,
    },
    /// The file with the server's password can't be read as one.
    #[error("{} does not hold the database's address: delete it, and the next start makes a new one", path.display())]
    NoAddress { path: PathBuf },
    /// The server has another password than the file.
    #[error("the database does not take the password in {}: delete that file, and the next start sets a new one", path.display())]
    OtherPassword { path: PathBuf },
    /// The link to the cluster points to nothing.
    #[error(
        "{} points to {}, which is not there: bring it back, or delete the link to start empty", link.display(), target.display()
    )]
    Missing {
        /// The link in the data directory.
        link: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// Running as root, and there is no account to run the server as.
    #[error("Postgres refuses to run as root, and there is no user `postgres` or `nobody`: start as another user")]
    NoAccount,
    /// The cluster could not be created.
    #[error("initdb failed: {reason}")]
    Initdb { reason: String },
    /// The cluster could not be copied.
    #[error("copying the cluster failed: {reason}")]
    Copy { reason: String },
    /// The server ended before it was ready.
    #[error("Postgres ended at once: {reason} (log: {})", log.display())]
    Exited {
        /// The line of its log that tells most.
        reason: String,
        log: PathBuf,
    },
    /// The server did not get ready in time.
    #[error("Postgres was not ready after {seconds} s")]
    NotReady {
        /// How long it was given.
        seconds: u64,
        /// What the last attempt to connect said.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The previous server on this data directory could not be stopped.
    #[error("the Postgres left over from a previous run (process {pid}) does not stop: stop it by hand")]
    LeftoverStays { pid: u32 },
    /// The database could not be created.
    #[error("the database `ordo` could not be created")]
    CreateDatabase(#[source] sqlx::Error),
    /// No loopback port is free.
    #[error("no free port on 127.0.0.1")]
    NoPort {
        #[source]
        source: io::Error,
    },
    /// A download of the binaries failed.
    #[error("Postgres could not be downloaded: {reason}")]
    Download { reason: String },
    /// A file or process could not be handled.
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The start was abandoned half way.
    #[error("the start of Postgres was interrupted")]
    Interrupted {
        #[source]
        source: tokio::task::JoinError,
    },
}

/// Adds the path to an IO error: `.map_err(on("read", path))`.
pub(super) fn on(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> PostgresError {
    let path = path.into();
    move |source| full(&path, &source).unwrap_or(PostgresError::Io { what, path, source })
}

/// The error of a file or folder that can't be made or written: `.map_err(writing(path))`.
pub(super) fn writing(path: &Path) -> impl Fn(io::Error) -> PostgresError + use<> {
    let path = path.to_owned();
    move |source| full(&path, &source).unwrap_or_else(|| PostgresError::NotWritable { path: path.clone(), source })
}

fn full(path: &Path, error: &io::Error) -> Option<PostgresError> {
    let (free, total) = disk::space(path)?;
    (error.kind() == io::ErrorKind::StorageFull).then(|| PostgresError::DiskFull { path: path.to_owned(), free, total })
}

/// The error of a cluster that can't be made, from what the program printed.
pub(super) fn initdb(said: &str) -> PostgresError {
    PostgresError::Initdb { reason: telling_line(said) }
}

/// The last line that names a failure; the last line of all where none does.
pub(super) fn telling_line(output: &str) -> String {
    let mut lines = output.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let failure = |line: &&str| ["FATAL", "PANIC", "error:", "ERROR"].iter().any(|mark| line.contains(mark));
    let last = lines.clone().next();
    lines.find(failure).or(last).unwrap_or("it wrote nothing to its log").to_owned()
}
