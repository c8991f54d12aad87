//! The benchmark, and a platform for it, as processes that do not outlive their test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A start takes a second or two; on a machine that is busy, some more.
pub(crate) const START: Duration = Duration::from_secs(60);

/// A running `ordo up`. It stops when it is dropped, because its standard input is closed.
pub(crate) struct Platform {
    process: Child,
    _folder: TempDir,
    pub(crate) api: String,
    pub(crate) inbox: String,
    pub(crate) database: String,
}

impl Platform {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0";
        let mut command = isolated(ordo(), &folder);
        command.args(["up", "--ephemeral", "--leashed", "--json"]);
        command.args(["--listen", any, "--sqs-listen", any, "--ses-listen", any]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = process.stdout.take().unwrap();
        let ready = tokio::task::spawn_blocking(move || BufReader::new(out).lines().next());
        tokio::time::timeout(START, ready).await.unwrap().unwrap().unwrap().unwrap();
        let file = fs::read_to_string(folder.path().join(".ordo/ephemeral.json")).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        let url = |what: &str| file[what].as_str().unwrap().to_owned();
        Self { process, _folder: folder, api: url("api"), inbox: url("inbox"), database: url("database") }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a benchmark to its end.
pub(crate) async fn bench(line: &[&str]) -> Ended {
    ordo();
    let folder = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::from(isolated(env!("CARGO_BIN_EXE_bench").into(), &folder));
    let output = tokio::time::timeout(START, command.args(line).kill_on_drop(true).output());
    let output = output.await.unwrap_or_else(|_| panic!("{line:?} did not end within {START:?}")).unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The program `ordo`, which Cargo builds with the whole workspace, but not with this package alone.
fn ordo() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_bench")).with_file_name("ordo");
    assert!(program.is_file(), "there is no {}: build it with `cargo build --package ordo`", program.display());
    program
}

fn isolated(program: PathBuf, folder: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder.path()).stdin(Stdio::null());
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"));
    command.env("ORDO_PAYMENT_PROVIDER", "sandbox");
    command
}
