//! Who may log in: whoever can read the data directory's `postgres.url`, which only its owner can.
//!
//! A superuser of Postgres can run programs as the server's account, so a port that lets everyone in would hand that account to
//! every user of the machine. The file has the password and the port; both stay as they are from one start to the next.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use rand::Rng;
use sha2::{Digest, Sha256};

use super::{
    account::Account,
    binaries::Binaries,
    disk,
    error::{self, PostgresError, on},
    watchdog,
};

/// Whom the server lets in, and how they prove it.
const RULES: &str = "# Written by `ordo up`.\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// How often a login hashes the password. More of it is for passwords that can be guessed, which 192 random bits can't be; clients on
/// the JVM insist on 4,096. A debug build takes a tenth of a second for those, for every connection.
const ITERATIONS: u32 = if cfg!(debug_assertions) { 2 } else { 4096 };

/// The password of the server's one user, and the port it had.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Access {
    password: String,
    /// Where the server last listened.
    pub(super) port: Option<u16>,
}

impl Access {
    /// A new password.
    pub(super) fn fresh() -> Self {
        let bytes: [u8; 24] = rand::rng().random();
        Self { password: bytes.iter().map(|byte| format!("{byte:02x}")).collect(), port: None }
    }

    /// The same for another port.
    pub(super) fn at(&self, port: Option<u16>) -> Self {
        Self { password: self.password.clone(), port }
    }

    /// What is kept in the data directory; `None` where its cluster knows no password yet.
    pub(super) fn kept_in(data_dir: &Path) -> Result<Option<Self>, PostgresError> {
        let path = file_in(data_dir);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(text.trim()).map(Some).ok_or(PostgresError::NoAddress { path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(on("read", path)(source)),
        }
    }

    /// Keeps it in the data directory, all of it or nothing.
    pub(super) fn keep_in(&self, data_dir: &Path) -> Result<(), PostgresError> {
        let (path, draft) = (file_in(data_dir), data_dir.join("postgres.url.new"));
        // One that an interrupted start left could have any mode.
        let _ = fs::remove_file(&draft);
        let mut file =
            File::options().write(true).create_new(true).mode(0o600).open(&draft).map_err(error::writing(&draft))?;
        writeln!(file, "{}", self.url(self.port.unwrap_or(0), "ordo"))
            .and_then(|()| file.sync_all())
            .map_err(error::writing(&draft))?;
        fs::rename(&draft, &path).map_err(error::writing(&path))
    }

    /// Where a database of the server is, for whoever may log in.
    pub(super) fn url(&self, port: u16, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{port}/{database}", self.password)
    }

    /// Has the cluster, whose server must not be running, let in those with the password and nobody else.
    pub(super) fn enforce(
        &self,
        directory: &Path,
        remove: Option<&Path>,
        binaries: &Binaries,
        account: Option<&Account>,
    ) -> Result<(), PostgresError> {
        let failed = |said: String| disk::full(&said, directory).unwrap_or_else(|| error::initdb(&said));
        // As the account whose folder it is: it may have put a link there.
        let rules = directory.join("pg_hba.conf");
        watchdog::run(Path::new("tee"), &[rules.as_os_str()], RULES, remove, account)?.map_err(failed)?;
        // It goes on after a statement that failed, and ends as if none had, unless it is told not to.
        let single = ["--single", "-c", "exit_on_error=on", "-D"].map(std::ffi::OsStr::new);
        let arguments = [&single[..], &[directory.as_os_str(), "postgres".as_ref()]].concat();
        let statement = format!("alter role postgres password '{}';\n", self.verifier());
        watchdog::run(&binaries.postgres(), &arguments, &statement, remove, account)?.map_err(failed)
    }

    /// What the server keeps of the password (RFC 5803).
    fn verifier(&self) -> String {
        let salt: [u8; 16] = rand::rng().random();
        let mut block = keyed(self.password.as_bytes(), &[&salt, &1_u32.to_be_bytes()]);
        let mut salted = block;
        for _ in 1..ITERATIONS {
            block = keyed(self.password.as_bytes(), &[&block]);
            salted.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
        }
        let stored = Sha256::digest(keyed(&salted, &[b"Client Key"]));
        let server = keyed(&salted, &[b"Server Key"]);
        let [salt, stored, server] = [&salt[..], &stored, &server].map(|bytes| BASE64_STANDARD.encode(bytes));
        format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}")
    }

    fn parse(url: &str) -> Option<Self> {
        let (password, place) = url.strip_prefix("postgres://postgres:")?.split_once('@')?;
        let port = place.strip_prefix("127.0.0.1:")?.strip_suffix("/ordo")?.parse().ok()?;
        let plain = !password.is_empty() && password.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| Self { password: password.to_owned(), port: (port != 0).then_some(port) })
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Where a data directory keeps it.
pub(super) fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres.url")
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let begun = Hmac::<Sha256>::new_from_slice(key);
    let ended = begun.map(|mac| parts.iter().fold(mac, Mac::chain_update).finalize().into_bytes());
    // It takes keys of any length.
    ended.map(Into::into).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Access::kept_in(folder.path()).unwrap(), None);
        let access = Access::fresh().at(Some(41365));
        access.keep_in(folder.path()).unwrap();
        assert_eq!(Access::kept_in(folder.path()).unwrap(), Some(access.clone()));
        let text = fs::read_to_string(file_in(folder.path())).unwrap();
        assert_eq!(text.trim(), access.url(41365, "ordo"));
        assert_ne!(access.password, Access::fresh().password);
        assert!(!format!("{access:?}").contains(&access.password));
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "postgres://postgres@127.0.0.1:1/ordo", "postgres://postgres:a'b@127.0.0.1:1/ordo"] {
            fs::write(file_in(folder.path()), text).unwrap();
            let error = Access::kept_in(folder.path()).unwrap_err();
            assert!(error.to_string().contains("postgres.url"), "{error}");
        }
    }
}
