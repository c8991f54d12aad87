//! A Postgres of our own, run from the binaries on this machine.
//!
//! The promise: what is committed is on disk (fsync is on), one owner at a time (a lock file), and nothing is left running when
//! the owner ends, however it ends: the server is the child of a small watchdog that outlives us just long enough to stop it.
//!
//! The server accepts connections on one loopback port, from whoever has its password: that is in `postgres.url` in the data
//! directory, which only the owner of that file can read. Password and port stay the same from one start to the next, unless
//! somebody else has taken the port meanwhile. A cluster of a build that knew no password gets one at its next start.

mod access;
mod account;
mod binaries;
mod cluster;
mod disk;
mod error;
mod flush;
mod leftover;
mod lock;
mod readiness;
mod settings;
mod watchdog;

pub use error::PostgresError;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use access::Access;
use binaries::Binaries;
use cluster::Cluster;
use lock::DataDirectoryLock;
use readiness::Readiness;
use settings::Durability;
use watchdog::Watchdog;

/// Where the server keeps its data, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for everything that outlives the process: the cluster, its log, the lock file. Made if missing.
    pub data_dir: PathBuf,
    /// Keep nothing: the cluster lives in a fresh temporary folder that goes when the server does. `data_dir` stays untouched.
    pub ephemeral: bool,
}

/// A running Postgres server with a database named `ordo`. Stops when dropped; [`Postgres::stop`] also waits for it.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    access: Access,
    cluster: Cluster,
    watchdog: Watchdog,
    /// Held until the server has stopped; the kernel lets go of it when this process dies.
    _lock: Option<DataDirectoryLock>,
}

impl Postgres {
    /// Starts the server, creating the cluster and the database `ordo` where there is none. Returns when it answers queries.
    ///
    /// # Errors
    /// Each [`PostgresError`] says what to do about it.
    pub async fn start(options: Options) -> Result<Self, PostgresError> {
        run(Durability::Synced, move || prepare(&options)).await
    }

    /// Starts an ephemeral server without fsync on a copy of the cluster in `data_dir`, which nobody may be running. Much quicker
    /// than making a cluster.
    ///
    /// # Errors
    /// As [`Postgres::start`]; also where `data_dir` has no cluster.
    pub async fn start_copy_of(data_dir: PathBuf) -> Result<Self, PostgresError> {
        run(Durability::Unsynced, move || {
            let Some(original) = Cluster::existing(&data_dir)? else {
                let reason = format!("there is none in {}", data_dir.display());
                return Err(PostgresError::Copy { reason });
            };
            let Some(access) = Access::kept_in(&data_dir)? else {
                let reason = format!("nobody knows the password of the one in {}", data_dir.display());
                return Err(PostgresError::Copy { reason });
            };
            let binaries = Binaries::find(&data_dir, original.account.as_ref(), Some(&original.version()?))?;
            // The original's port is the original's.
            let access = access.at(None);
            Ok(Prepared { binaries, access, cluster: original.copy_ephemeral()?, data_dir: None, lock: None })
        })
        .await
    }

    /// Where the database `ordo` answers: `postgres://postgres:PASSWORD@127.0.0.1:PORT/ordo`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("ordo")
    }

    /// Where another database of this server answers.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        self.access.url(self.port, database)
    }

    /// Where the server of a data directory last answered; `None` where there was none yet.
    #[must_use]
    pub fn url_kept_in(data_dir: &Path) -> Option<String> {
        let access = Access::kept_in(data_dir).ok()??;
        Some(access.url(access.port?, "ordo"))
    }

    /// The loopback port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder the cluster really lies in, links resolved.
    #[must_use]
    pub fn data_directory(&self) -> &Path {
        &self.cluster.directory
    }

    /// The server's log; `None` for an ephemeral one, whose log goes when it ends.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.cluster.ephemeral.is_none().then_some(self.cluster.log.as_path())
    }

    /// Waits until the server has ended by itself, as one that crashed or was killed has.
    pub async fn ended(&mut self) {
        while self.watchdog.is_running() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Why the server ended, once it has, by itself.
    #[must_use]
    pub fn why_it_ended(&self) -> PostgresError {
        let full = disk::full(&self.cluster.end_of_log(), &self.cluster.directory);
        full.unwrap_or_else(|| PostgresError::EndedByItself { log: self.log().map(Path::to_owned) })
    }

    /// Stops the server: connections end at once, what is committed is flushed. After 10 s without success it is stopped without
    /// flushing (the next start recovers from the log of changes), so this returns within half a minute.
    pub async fn stop(mut self) {
        let began = std::time::Instant::now();
        self.watchdog.let_go();
        while self.watchdog.is_running() && began.elapsed() < Duration::from_secs(35) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tracing::debug!(duration_ms = began.elapsed().as_millis(), "Postgres stopped");
    }
}

/// What a server needs before it can be started.
struct Prepared {
    binaries: Binaries,
    access: Access,
    cluster: Cluster,
    /// Where the access is kept, if it outlives the server.
    data_dir: Option<PathBuf>,
    lock: Option<DataDirectoryLock>,
}

async fn run(
    durability: Durability,
    prepare: impl FnOnce() -> Result<Prepared, PostgresError> + Send + 'static,
) -> Result<Postgres, PostgresError> {
    let began = std::time::Instant::now();
    // Files, locks and initdb block for up to half a second; the runtime may have one thread.
    let prepared =
        tokio::task::spawn_blocking(prepare).await.map_err(|source| PostgresError::Interrupted { source })??;
    let (port, watchdog) = launch(&prepared, durability).await?;
    let Prepared { binaries, access, cluster, data_dir, lock } = prepared;
    if let Some(data_dir) = data_dir
        && access.port != Some(port)
    {
        access.at(Some(port)).keep_in(&data_dir)?;
    }
    tracing::info!(
        port,
        data_directory = %cluster.directory.display(),
        version = binaries.major,
        duration_ms = began.elapsed().as_millis(),
        "Postgres is ready"
    );
    Ok(Postgres { port, access, cluster, watchdog, _lock: lock })
}

/// Who runs it, which binaries, a complete cluster, nobody else on it.
fn prepare(options: &Options) -> Result<Prepared, PostgresError> {
    let Options { data_dir, ephemeral } = options;
    if *ephemeral {
        let account = account::unprivileged()?;
        let binaries = Binaries::find(data_dir, account.as_ref(), None)?;
        let access = Access::fresh();
        let cluster = Cluster::create_ephemeral(&binaries, account, &access)?;
        return Ok(Prepared { binaries, access, cluster, data_dir: None, lock: None });
    }
    let lock = lock::take(data_dir)?;
    let (binaries, access, cluster) = match Cluster::existing(data_dir)? {
        Some(cluster) => {
            let binaries = Binaries::find(data_dir, cluster.account.as_ref(), Some(&cluster.version()?))?;
            leftover::stop(&cluster.directory)?;
            let access = match Access::kept_in(data_dir)? {
                Some(access) => access,
                None => {
                    let access = Access::fresh();
                    access.enforce(&cluster.directory, None, &binaries, cluster.account.as_ref())?;
                    access.keep_in(data_dir)?;
                    access
                }
            };
            (binaries, access, cluster)
        }
        None => {
            let account = account::unprivileged()?;
            let binaries = Binaries::find(data_dir, account.as_ref(), None)?;
            let access = Access::fresh();
            let cluster = Cluster::create(data_dir, &binaries, account, &access)?;
            (binaries, access, cluster)
        }
    };
    cluster.start_new_log()?;
    Ok(Prepared { binaries, access, cluster, data_dir: Some(data_dir.clone()), lock: Some(lock) })
}

/// Starts the server on the port that it had, or a free one, and waits for it. Tries again where the cause passes by itself: another process took the
/// port in the meantime, or processes of the previous server still hold its shared memory.
async fn launch(prepared: &Prepared, durability: Durability) -> Result<(u16, Watchdog), PostgresError> {
    const ATTEMPTS: u32 = 20;
    let Prepared { binaries, access, cluster, .. } = prepared;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let port = access.port.filter(|port| port_like(*port).is_ok()).map_or_else(|| port_like(0), Ok)?;
        let log_start = cluster.log_length();
        let mut watchdog = watchdog::guard_server(binaries, cluster, port, durability)?;
        match readiness::wait(&mut watchdog, access, port, &cluster.directory).await? {
            Readiness::Ready => return Ok((port, watchdog)),
            Readiness::Refused => {
                let path = access::file_in(prepared.data_dir.as_deref().unwrap_or(&cluster.directory));
                return Err(PostgresError::OtherPassword { path });
            }
            Readiness::Exited => {
                let log = cluster.log_since(log_start);
                if let Some(full) = disk::full(&log, &cluster.directory) {
                    return Err(full);
                }
                if attempt == ATTEMPTS || !passes_by_itself(&log) {
                    return Err(PostgresError::Exited { reason: error::telling_line(&log), log: cluster.log.clone() });
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn passes_by_itself(log: &str) -> bool {
    ["could not create any TCP/IP sockets", "could not bind", "pre-existing shared memory block"]
        .iter()
        .any(|cause| log.contains(cause))
}

/// The port if nobody has it; 0: any such one.
fn port_like(port: u16) -> Result<u16, PostgresError> {
    std::net::TcpListener::bind(("127.0.0.1", port))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| PostgresError::NoPort { source })
}
