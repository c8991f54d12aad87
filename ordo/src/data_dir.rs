//! The data directory of a platform. `ordo up` writes to it where the platform is, and every other command finds it there.
//!
//! The file `platform.json` is locked as long as the platform runs, so the file of a platform that was killed is not mistaken for a
//! running one. The file stays behind, and the next start takes the same ports. It holds the database's password and the keys of
//! messages until the platform stops, and only its owner may read it. An ephemeral platform has a file of its own and removes it.

#[cfg(feature = "embedded")]
mod lock;
pub(crate) mod secret_file;
mod token_secret;

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use access_control::TokenSecret;
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::settings::{DatabaseUrl, Settings, SettingsWithSources};

#[cfg(feature = "embedded")]
pub(crate) use lock::{DataDirLock, is_free};

/// The content of `platform.json`: which platform runs on the data directory, and where it can be reached.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct RunningPlatformFile {
    /// `false` while it starts.
    pub(crate) ready: bool,
    pub(crate) pid: u32,
    pub(crate) api: String,
    /// The operate listener; `None`: an earlier build runs, which has none.
    #[serde(default)]
    pub(crate) ops: Option<String>,
    /// The console; `None`: the platform runs without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) console: Option<String>,
    /// Where mails can be read; `None` where they go to somebody else's mail service.
    pub(crate) inbox: Option<String>,
    /// `None`: AWS's own.
    pub(crate) sqs: Option<String>,
    /// The database, with its password.
    pub(crate) database: Option<String>,
    /// What its messages are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message_keys: Option<String>,
}

impl RunningPlatformFile {
    /// Without what lets somebody in.
    #[cfg(feature = "embedded")]
    pub(crate) fn without_secrets(self) -> Self {
        Self { database: None, message_keys: None, ..self }
    }
}

/// The data directory of a command.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    /// Whether the command line names it.
    pub(crate) named: bool,
}

impl DataDir {
    /// The directory on the command line, or `.ordo`.
    #[must_use]
    pub(crate) fn of(named: Option<PathBuf>) -> Self {
        Self { named: named.is_some(), path: named.unwrap_or_else(|| ".ordo".into()) }
    }

    /// The platform that runs on this directory, if any. One that keeps its data goes before an ephemeral one.
    pub(crate) fn running(&self) -> anyhow::Result<Option<RunningPlatformFile>> {
        let lasting = running_in(&file_in(&self.path, false))?;
        let Some(running) =
            lasting.map_or_else(|| running_in(&file_in(&self.path, true)), |running| Ok(Some(running)))?
        else {
            let path = self.path.display();
            ensure!(!self.named, "no platform runs in {path}: start one with `ordo up --data-dir {path}`");
            return Ok(None);
        };
        ensure!(running.ready, "the platform in {} is starting: try again in a moment", self.path.display());
        Ok(Some(running))
    }

    /// The secret of development tokens that the platform on this directory verifies them with.
    pub(crate) fn token_secret(&self) -> anyhow::Result<TokenSecret> {
        let is_ephemeral =
            running_in(&file_in(&self.path, false))?.is_none() && running_in(&file_in(&self.path, true))?.is_some();
        let path = self.path.display();
        token_secret::read(&token_secret_in(&self.path, is_ephemeral))?.with_context(|| {
            format!("there is no secret for tokens in {path}: start a platform with `ordo up --data-dir {path}`, or set ORDO_TOKEN_SECRET")
        })
    }

    /// The endpoints that a client asks: those that are named, then those of the running platform, then the defaults.
    pub(crate) fn endpoints(&self, api: Option<String>, inbox: Option<String>) -> anyhow::Result<ApiAndInboxUrls> {
        let running = if api.is_some() && !self.named { None } else { self.running()? };
        let (its_api, its_inbox) = running.map_or((None, None), |running| (Some(running.api), running.inbox));
        Ok(ApiAndInboxUrls {
            api: api.or(its_api).unwrap_or_else(|| "http://127.0.0.1:3000".to_owned()),
            inbox: inbox.or(its_inbox).unwrap_or_else(|| "http://127.0.0.1:8005".to_owned()),
        })
    }

    /// The settings, completed with the endpoints of the running platform.
    pub(crate) fn complete(&self, loaded: SettingsWithSources) -> anyhow::Result<Settings> {
        let source = loaded.source_of("DATABASE_URL");
        let mut settings = loaded.settings;
        let found = self.running();
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
                // The settings name another platform's database, so nothing of this platform is used.
                return Ok(settings);
            }
            // Another login is a choice. Another password of the same login is an old export.
            (Some(named), Some(running)) if !named.is_login_of(running) => {}
            _ => settings.database_url = running,
        }
        let keys = place.message_keys.and_then(|keys| keys.parse().ok());
        settings.message_keys = settings.message_keys.or(keys);
        settings.aws.sqs_endpoint = settings.aws.sqs_endpoint.or(place.sqs);
        settings.aws.ses_endpoint = settings.aws.ses_endpoint.or(place.inbox);
        // As `ordo up` does.
        settings.webhooks.allow_this_machine();
        Ok(settings)
    }
}

/// Where the API and the inbox of a platform are.
#[derive(Debug, Clone)]
pub(crate) struct ApiAndInboxUrls {
    pub(crate) api: String,
    pub(crate) inbox: String,
}

fn running_in(path: &Path) -> anyhow::Result<Option<RunningPlatformFile>> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = match File::open(path) {
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

fn text_of(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text).map(|_| text)
}

fn token_secret_in(data_dir: &Path, ephemeral: bool) -> PathBuf {
    data_dir.join(if ephemeral { "ephemeral-token-secret" } else { "token-secret" })
}

fn file_in(data_dir: &Path, ephemeral: bool) -> PathBuf {
    data_dir.join(if ephemeral { "ephemeral.json" } else { "platform.json" })
}
