//! Where a platform of this machine is: `ordo up` writes it to its data directory, and every other command finds it there.
//!
//! The file `platform.json` is locked for as long as that platform runs, so that what a killed one left is not taken for one that
//! runs. It stays behind: the next start takes the same ports. It holds the database's password, and only its owner may read it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use embedded::postgres::PostgresError;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::settings::{DatabaseUrl, Loaded, Settings};

/// Where everything of a platform is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Place {
    /// Whether all of it is there; else it is only just starting.
    pub ready: bool,
    /// The process.
    pub pid: u32,
    /// The API's address.
    pub api: String,
    /// Where mails can be read; `None` where they go to somebody else's mail service.
    pub inbox: Option<String>,
    /// `None`: AWS's own.
    pub sqs: Option<String>,
    /// The database, with its password.
    pub database: Option<String>,
}

/// The data directory that a command is about.
#[derive(Debug, Clone)]
pub struct DataDir {
    /// Where it is.
    pub path: PathBuf,
    /// Whether the command line names it.
    pub named: bool,
}

impl DataDir {
    /// The one on the command line, or `.ordo`.
    #[must_use]
    pub fn of(named: Option<PathBuf>) -> Self {
        Self { named: named.is_some(), path: named.unwrap_or_else(|| ".ordo".into()) }
    }

    /// Where the platform is that runs on it, if one does.
    pub fn place(&self) -> anyhow::Result<Option<Place>> {
        let Some(place) = running_in(&self.path)? else {
            let path = self.path.display();
            ensure!(!self.named, "no platform runs in {path}: start one with `ordo up --data-dir {path}`");
            return Ok(None);
        };
        ensure!(place.ready, "the platform in {} is starting: try again in a moment", self.path.display());
        Ok(Some(place))
    }

    /// The settings, with what they leave open as the running platform has it.
    pub fn complete(&self, loaded: Loaded) -> anyhow::Result<Settings> {
        let source = loaded.source_of("DATABASE_URL");
        let mut settings = loaded.settings;
        let found = self.place();
        if found.is_err() && settings.database_url.is_some() && !self.named {
            return Ok(settings);
        }
        let Some(place) = found? else { return Ok(settings) };
        let running = place.database.as_deref().and_then(DatabaseUrl::parse);
        match (&settings.database_url, &running) {
            (Some(named), Some(running)) if !named.is_at(running) => {
                if self.named {
                    bail!(
                        "DATABASE_URL ({source}) names another database than the platform in {} has: unset it, or leave --data-dir out",
                        self.path.display()
                    );
                }
                // Another platform's: nothing of this one goes with it.
                return Ok(settings);
            }
            _ => settings.database_url = running,
        }
        settings.aws.sqs_endpoint = settings.aws.sqs_endpoint.or(place.sqs);
        settings.aws.ses_endpoint = settings.aws.ses_endpoint.or(place.inbox);
        Ok(settings)
    }
}

/// A data directory that this process has for itself.
#[derive(Debug)]
pub struct Taken {
    file: File,
    path: PathBuf,
    /// Where the last platform in it was.
    pub last: Option<Place>,
}

impl Taken {
    /// Takes it, making the folder if need be.
    pub fn of(data_dir: &Path) -> anyhow::Result<Self> {
        let not_writable = |source| PostgresError::NotWritable { path: data_dir.to_owned(), source };
        fs::create_dir_all(data_dir).map_err(not_writable)?;
        let path = file_in(data_dir);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(not_writable)?;
        let locked = lock(&file).with_context(|| format!("cannot lock {}", path.display()))?;
        let last: Option<Place> = serde_json::from_str(&text_of(&mut file)?).ok();
        if !locked {
            let owner = last.map(|place| place.pid.to_string()).unwrap_or_default();
            return Err(PostgresError::InUse { path: data_dir.to_owned(), owner }.into());
        }
        let mut taken = Self { file, path, last };
        let starting = Place { ready: false, pid: std::process::id(), ..taken.last.clone().unwrap_or_default() };
        taken.write(&starting)?;
        Ok(taken)
    }

    /// Says where the platform is.
    pub fn write(&mut self, place: &Place) -> anyhow::Result<()> {
        let text = serde_json::to_string(place)?;
        let written =
            self.file.set_len(0).and_then(|()| self.file.rewind()).and_then(|()| writeln!(self.file, "{text}"));
        written.with_context(|| format!("cannot write to {}", self.path.display()))
    }

    /// Leaves nothing of it, as far as that can be done.
    pub fn forget(self) {
        let _ = fs::remove_file(&self.path);
        // Only one that is empty can be removed.
        let _ = self.path.parent().map(fs::remove_dir);
    }

    /// Where something is to listen: for any free port, the one that it had last, if that is free.
    #[must_use]
    pub fn address(&self, asked: SocketAddr, last: impl Fn(&Place) -> Option<&str>) -> SocketAddr {
        let port = || Url::parse(last(self.last.as_ref()?)?).ok()?.port();
        let free = |port: &u16| is_free(SocketAddr::new(asked.ip(), *port));
        match asked.port() {
            0 => SocketAddr::new(asked.ip(), port().filter(free).unwrap_or(0)),
            _ => asked,
        }
    }
}

/// Whether nobody listens there, on this machine.
#[must_use]
pub fn is_free(address: SocketAddr) -> bool {
    std::net::TcpListener::bind(address).is_ok()
}

fn running_in(data_dir: &Path) -> anyhow::Result<Option<Place>> {
    let path = file_in(data_dir);
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(unreadable),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            Ok(Some(serde_json::from_str(&text_of(&mut file).with_context(unreadable)?).unwrap_or_default()))
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(unreadable),
    }
}

/// Locks it for this process. A command that is just looking has it for a moment, a platform for as long as it runs.
fn lock(file: &File) -> io::Result<bool> {
    for _ in 0..20 {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn text_of(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text).map(|_| text)
}

fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("platform.json")
}
