//! Servers that a benchmark starts: `ordo` in a process of its own.
//!
//! They are on a leash: each ends when its standard input does, and so with the bench, however that ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::running::DataDir;

/// A start takes a second or two; on a machine that is busy, some more.
const START: Duration = Duration::from_secs(60);
/// A platform has ended after 10 s at the most.
const STOP: Duration = Duration::from_secs(15);

/// What a benchmark's own platform is not to take over from its surroundings: it must not write into anybody's database.
const NOT_OURS: [&str; 10] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SESV2",
    "ORDO_CONFIG",
    "ORDO_ROLES",
    "ORDO_LISTEN",
    "ORDO_QUEUE_PREFIX",
    "ORDO_LOG",
];

/// A running server. Dropping it stops it, and waits until it has ended.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    leash: Option<ChildStdin>,
    /// What it said once it was ready.
    announcement: Value,
    pub(super) address: SocketAddr,
    /// Its working directory: empty but for its log.
    folder: TempDir,
}

impl Server {
    /// The platform with these roles and everything of its own, which it leaves nothing of.
    pub(super) async fn platform(roles: &str) -> anyhow::Result<Self> {
        let any = "127.0.0.1:0";
        let line =
            ["up", "--ephemeral", "--leashed", "--json", "--listen", any, "--sqs-listen", any, "--ses-listen", any];
        let mut server = Self::start(&line, &[("ORDO_ROLES", roles)]).await?;
        // What it says aloud is without the database's password.
        let place = DataDir::of(Some(server.folder.path().join(".ordo"))).place()?;
        server.announcement = serde_json::to_value(place)?;
        Ok(server)
    }

    /// These roles on a database that is there already.
    pub(super) async fn roles(roles: &str, database: &str) -> anyhow::Result<Self> {
        let line = ["serve", "--leashed", "--json", "--roles", roles, "--listen", "127.0.0.1:0"];
        Self::start(&line, &[("DATABASE_URL", database), ("ORDO_PAYMENT_PROVIDER", "sandbox")]).await
    }

    /// Something to compare the platform with.
    pub(super) async fn baseline(stores: &str, database: &str) -> anyhow::Result<Self> {
        Self::start(&["bench", "baseline", stores], &[("DATABASE_URL", database)]).await
    }

    async fn start(line: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ordo-bench-").tempdir()?;
        let log = folder.path().join("log");
        let mut command = Command::new(std::env::current_exe().context("this program does not know where it is")?);
        command.args(line).current_dir(folder.path());
        for name in NOT_OURS {
            command.env_remove(name);
        }
        command.env("ORDO_LOG", "warn").envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = command.spawn().with_context(|| format!("cannot start `ordo {}`", line.join(" ")))?;
        let leash = process.stdin.take();
        let out = process.stdout.take();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on it is stopped when this is given up.
        let mut server = Self { process, leash, announcement: Value::Null, address, folder };
        let announced = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            out.map_or(Ok(0), |out| BufReader::new(out).read_line(&mut line)).map(|_| line)
        });
        let announced = tokio::time::timeout(START, announced).await;
        let text = announced.map_err(|_| anyhow!("`ordo {}` was not ready after {START:?}", line.join(" ")))???;
        let Ok(announcement) = serde_json::from_str(&text) else {
            bail!("`ordo {}` did not start: {}", line.join(" "), last_line(log))
        };
        server.announcement = announcement;
        server.address = super::address_of(&server.url("api"))?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it says something is: `api`, `inbox`, `database`.
    pub(super) fn url(&self, what: &str) -> String {
        self.announcement[what].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leash = None;
        let until = Instant::now() + STOP;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Does nothing where it has ended, as it should have.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn last_line(log: PathBuf) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    log.lines().last().unwrap_or("it said nothing").trim_start_matches("ordo: ").to_owned()
}
