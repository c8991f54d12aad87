//! Servers that a benchmark starts in processes of their own.
//!
//! Each ends when its standard input is closed, so none outlives the benchmark, however that ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{isolated, this_program};

/// A start takes a second or two; on a machine that is busy, some more.
const START: Duration = Duration::from_secs(60);
/// A platform has ended after 10 s at the most.
const STOP: Duration = Duration::from_secs(15);

/// A running server. Dropping it stops it, and waits until it has ended.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    stdin: Option<ChildStdin>,
    /// The JSON that it printed once it was ready.
    announcement: Value,
    pub(crate) address: SocketAddr,
    /// Its working directory: empty but for its log.
    folder: TempDir,
}

impl Server {
    /// Starts a server to compare the platform with.
    pub(crate) async fn baseline(stores: &str, database: &str) -> anyhow::Result<Self> {
        Self::start(&this_program()?, &["baseline", stores], &[("DATABASE_URL", database)]).await
    }

    /// Starts a server, and waits until it says that it is ready.
    pub(crate) async fn start(program: &Path, line: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let shown = format!("`{name} {}`", line.join(" "));
        let folder = tempfile::Builder::new().prefix("ordo-bench-").tempdir()?;
        let log = folder.path().join("log");
        let mut command = isolated(program, folder.path());
        command.args(line).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = command.spawn().with_context(|| format!("cannot start {shown}"))?;
        let stdin = process.stdin.take();
        let out = process.stdout.take();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on the process is stopped if this future is dropped.
        let mut server = Self { process, stdin, announcement: Value::Null, address, folder };
        let announced = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            out.map_or(Ok(0), |out| BufReader::new(out).read_line(&mut line)).map(|_| line)
        });
        let announced = tokio::time::timeout(START, announced).await;
        let text = announced.map_err(|_| anyhow!("{shown} was not ready after {START:?}"))???;
        let Ok(announcement) = serde_json::from_str(&text) else { bail!("{shown} did not start: {}", last_line(log)) };
        server.announcement = announcement;
        server.address = crate::address_of(&server.url("api"))?;
        Ok(server)
    }

    /// Reads where the database is from the file that `ordo up` writes: what it prints is without the database's password.
    pub(crate) fn read_database_url(&mut self) -> anyhow::Result<()> {
        let file = self.folder.path().join(".ordo/ephemeral.json");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        self.announcement = serde_json::from_str(&text)?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The URL of its `api`, `inbox` or `database`.
    pub(crate) fn url(&self, what: &str) -> String {
        self.announcement[what].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stdin = None;
        let until = Instant::now() + STOP;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Does nothing if the process has ended, as it should have.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn last_line(log: PathBuf) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let line = log.lines().last().unwrap_or("it said nothing");
    line.trim_start_matches("ordo: ").trim_start_matches("bench: ").to_owned()
}
