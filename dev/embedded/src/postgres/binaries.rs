//! Finds the Postgres binaries of this machine.

#[cfg(feature = "download")]
mod download;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    account::{self, Account},
    error::PostgresError,
};

/// The folders that the usual packages install into; `*` is a version.
const PLACES: [&str; 5] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
];

/// One installation.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    directory: PathBuf,
    /// Its major version: `15`.
    pub(super) major: String,
}

impl Binaries {
    /// The first installation that the account may run: on PATH, then in the usual places, newest first; then a download where the
    /// feature `download` is on. `wanted` restricts it to the version of an existing cluster.
    pub(super) fn find(
        data_dir: &Path,
        account: Option<&Account>,
        wanted: Option<&ClusterVersion>,
    ) -> Result<Self, PostgresError> {
        let mut others = Vec::new();
        for directory in candidates() {
            let Some(version) = version_of(&directory, account) else {
                tracing::debug!(directory = %directory.display(), "Postgres binaries that do not run");
                continue;
            };
            if wanted.is_none_or(|wanted| wanted.major == version) {
                return Ok(Self { directory, major: version });
            }
            others.push(version);
        }
        #[cfg(feature = "download")]
        if let Some(found) = download::find(data_dir, account, wanted)? {
            return Ok(found);
        }
        #[cfg(not(feature = "download"))]
        let _ = data_dir;
        match wanted {
            Some(wanted) if !others.is_empty() => Err(PostgresError::OtherVersion {
                path: wanted.path.clone(),
                cluster: wanted.major.clone(),
                installed: others.join(", "),
            }),
            _ => Err(PostgresError::NotInstalled),
        }
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }
}

/// The version of Postgres that made a cluster.
#[derive(Debug, Clone)]
pub(super) struct ClusterVersion {
    pub(super) path: PathBuf,
    /// `15`.
    pub(super) major: String,
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).flat_map(|folder| {
        // What is on PATH may be a link; the sibling binaries are beside its target.
        ["postgres", "initdb"].map(|name| folder.join(name).canonicalize().ok()?.parent().map(Path::to_owned))
    });
    let mut found: Vec<PathBuf> = Vec::new();
    for directory in on_path.flatten().chain(PLACES.iter().flat_map(|place| expand(place))) {
        let complete = directory.join("postgres").is_file() && directory.join("initdb").is_file();
        if complete && !found.contains(&directory) {
            found.push(directory);
        }
    }
    found
}

/// The folders that match a pattern with one `*`, the highest version first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    match pattern.split_once('*') {
        None => vec![PathBuf::from(pattern)],
        Some((before, after)) => {
            let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
            versions_in(Path::new(parent), prefix, after.trim_start_matches('/'))
        }
    }
}

/// `<parent>/<prefix><version>/<below>` for all versions there are, the highest first.
fn versions_in(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = leading_number(name.strip_prefix(prefix)?.trim_start_matches('@'));
            let number = version.and_then(|digits| digits.parse().ok()).unwrap_or(0);
            Some((number, entry.path().join(below)))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// The major version these binaries report, run as the account that is to use them.
fn version_of(directory: &Path, account: Option<&Account>) -> Option<String> {
    let mut command = Command::new(directory.join("postgres"));
    command.arg("--version").current_dir("/").stdin(Stdio::null());
    account::run_as(&mut command, account);
    let output = command.output().ok().filter(|output| output.status.success())?;
    // postgres (PostgreSQL) 15.12 (Debian 15.12-1)
    let text = String::from_utf8_lossy(&output.stdout);
    leading_number(text.split_once("(PostgreSQL)")?.1.trim())
}

fn leading_number(text: &str) -> Option<String> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17", "bin"] {
            fs::create_dir(folder.path().join(version)).unwrap();
        }
        let found = expand(&format!("{}/*/bin", folder.path().display()));
        let expected: Vec<PathBuf> =
            ["17", "15", "9.6", "bin"].iter().map(|v| folder.path().join(v).join("bin")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn prereleases_count_as_their_version() {
        assert_eq!(leading_number("18beta1"), Some("18".to_owned()));
        assert_eq!(leading_number("15.12 (Debian 15.12-1)"), Some("15".to_owned()));
        assert_eq!(leading_number("unknown"), None);
    }
}
