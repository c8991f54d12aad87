//! `ordo` as a process that never outlives its test.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Client, Setting, folder, processes};

/// A start takes a second or two; recovery after a crash, on a machine that is busy, some more.
const START: Duration = Duration::from_secs(60);
const ANY_PORT: &str = "127.0.0.1:0";

/// A running `ordo`. Dropping it kills it and waits until all that it started has gone.
pub(crate) struct Ordo {
    process: Child,
    /// Its working directory: empty but for its log.
    folder: TempDir,
    /// Where its API is.
    pub(crate) api: String,
    /// Where its operate listener is.
    pub(crate) ops: String,
    /// Where its console is, if it has one.
    pub(crate) console: String,
    /// Its inbox, queues and database, where it says so.
    pub(crate) inbox: String,
    pub(crate) sqs: String,
    pub(crate) database: String,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ordo {
    /// The whole platform with everything of its own, which it leaves nothing of.
    pub(crate) async fn up(settings: &[Setting<'_>]) -> Self {
        Self::announced(&["--ephemeral"], settings).await
    }

    /// The whole platform on a data directory.
    pub(crate) async fn up_on(data_dir: &Path, settings: &[Setting<'_>]) -> Self {
        Self::announced(&["--data-dir", data_dir.to_str().unwrap()], settings).await
    }

    async fn announced(arguments: &[&str], settings: &[Setting<'_>]) -> Self {
        let mut line = up_line().to_vec();
        line.extend(arguments);
        let mut ordo = Self::start(&line, settings, Stdio::piped());
        let addresses = ordo.announcement().await;
        // With the database's password, which it does not say aloud.
        let lasting = arguments.last().filter(|_| arguments.contains(&"--data-dir"));
        let file = lasting.map_or(".ordo/ephemeral.json".into(), |data_dir| Path::new(data_dir).join("platform.json"));
        let place = fs::read_to_string(ordo.folder.path().join(file)).unwrap();
        let place: Value = serde_json::from_str(&place).unwrap();
        let address = |name: &str| place[name].as_str().unwrap_or_default().to_owned();
        assert!(
            ["api", "ops", "console", "inbox", "sqs"].iter().all(|name| addresses[name] == place[name]),
            "{addresses} and {place}"
        );
        (ordo.api, ordo.ops, ordo.inbox) = (address("api"), address("ops"), address("inbox"));
        (ordo.console, ordo.sqs, ordo.database) = (address("console"), address("sqs"), address("database"));
        ordo
    }

    /// What it says once it is ready.
    async fn announcement(&mut self) -> Value {
        let out = self.process.stdout.take().unwrap();
        // Read elsewhere: the start may need this test's own runtime, which its mail service can live in.
        let mut announced = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line).map(|_| line)
        });
        let Ok(line) = tokio::time::timeout(START, &mut announced).await else { panic!("not ready within {START:?}") };
        let announcement: Value = serde_json::from_str(&line.unwrap().unwrap())
            .unwrap_or_else(|error| panic!("no announcement ({error}): {}", self.log()));
        assert_eq!(announcement["ready"], true);
        announcement
    }

    /// Some roles against the endpoints in the settings.
    pub(crate) async fn serve(roles: &str, settings: &[Setting<'_>]) -> Self {
        let line = ["serve", "--json", "--roles", roles, "--listen", ANY_PORT, "--allow-anonymous"];
        let mut ordo = Self::start(&line, settings, Stdio::piped());
        let announcement = ordo.announcement().await;
        let named: Vec<_> = announcement["roles"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(named.join(","), roles);
        let address = |name: &str| announcement[name].as_str().unwrap_or_default().to_owned();
        (ordo.api, ordo.ops, ordo.console) = (address("api"), address("ops"), address("console"));
        ordo
    }

    /// `ordo serve` with all roles that was only just started, ready or not.
    pub(crate) fn starting_to_serve(settings: &[Setting<'_>]) -> Self {
        Self::start(&["serve", "--listen", ANY_PORT, "--allow-anonymous"], settings, Stdio::null())
    }

    /// `ordo up` that was only just started, ready or not.
    pub(crate) fn starting_on(data_dir: &Path, settings: &[Setting<'_>]) -> Self {
        let mut line = up_line().to_vec();
        line.extend(["--data-dir", data_dir.to_str().unwrap()]);
        Self::start(&line, settings, Stdio::null())
    }

    /// A command that was only just started.
    pub(crate) fn starting(arguments: &[&str], settings: &[Setting<'_>]) -> Self {
        Self::start(arguments, settings, Stdio::null())
    }

    fn start(arguments: &[&str], settings: &[Setting<'_>], out: Stdio) -> Self {
        let folder = folder();
        let log = File::create(log_in(&folder)).unwrap();
        let process = command(arguments, settings, &folder).stdout(out).stderr(log).spawn().unwrap();
        let nowhere = String::new;
        let (api, ops, console, inbox) = (nowhere(), nowhere(), nowhere(), nowhere());
        Self { process, folder, api, ops, console, inbox, sqs: nowhere(), database: nowhere() }
    }

    /// A client for the API.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.api).operating(&self.ops)
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_in(&self.folder)).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Ends it as a power cut would, without a chance to do anything about it.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().unwrap();
        self.ended(Duration::from_secs(10)).await.unwrap();
    }

    /// How it ended, once it has; `None`: it still runs after `patience`.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            match self.process.try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() >= until => return None,
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }
}

impl Drop for Ordo {
    fn drop(&mut self) {
        let children = processes::children(self.process.id());
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Before the folders of this test go: a database that still writes would leave files behind.
        processes::all_end(&children, Duration::from_secs(20));
        if std::thread::panicking() {
            println!("--- log of {}\n{}", self.folder.path().display(), self.log());
        }
    }
}

/// Runs a command of `ordo` to its end.
pub(crate) async fn run(arguments: &[&str], settings: &[Setting<'_>]) -> Finished {
    let folder = folder();
    let mut command = tokio::process::Command::from(command(arguments, settings, &folder));
    let ended = tokio::time::timeout(START, command.kill_on_drop(true).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{arguments:?} did not end within {START:?}")).unwrap();
    Finished {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Whether a start said no more than which settings it found.
pub(crate) fn only_says_what_is_set(out: &str) -> bool {
    out.lines().all(|line| line.ends_with(" (environment)"))
}

/// With these settings and no others.
fn command(arguments: &[&str], settings: &[Setting<'_>], folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ordo"));
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"));
    // Whoever has another provider or key, or none, says so.
    command
        .env("ORDO_PAYMENT_PROVIDER", "sandbox")
        .env("ORDO_MESSAGE_KEYS", testkit::MESSAGE_KEYS)
        .envs(settings.iter().copied());
    command
}

fn up_line() -> [&'static str; 8] {
    ["up", "--json", "--listen", ANY_PORT, "--sqs-listen", ANY_PORT, "--ses-listen", ANY_PORT]
}

fn log_in(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}
