//! Nothing outlives its owner: the server, and what prepares it, run under a small shell script that ends them when we are gone.
//!
//! The script reads from a pipe whose only writer is this process. The kernel closes it however this process ends, `kill -9`
//! included. An orderly stop closes it too: there is one way down, and it is used every time.

use std::{
    ffi::OsStr,
    io::{Read, Seek},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

use super::{
    account::{self, Account},
    binaries::Binaries,
    cluster::Cluster,
    error::{PostgresError, on},
    leftover,
    settings::{self, Durability},
};

const SCRIPT: &str = include_str!("watchdog.sh");

/// A guarded command. Dropping it ends the command, without waiting for the end.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// The guard; it ends when the command has ended.
    process: Child,
    leash: Option<ChildStdin>,
}

impl Watchdog {
    /// Asks for the end of the command.
    pub(super) fn let_go(&mut self) {
        self.leash = None;
    }

    /// Whether the command, or the clearing up after it, is still under way.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn wait(&mut self) -> std::io::Result<ExitStatus> {
        // Not Child::wait: it would close the pipe first, and end the command.
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Starts the server on the cluster.
pub(super) fn guard_server(
    binaries: &Binaries,
    cluster: &Cluster,
    port: u16,
    durability: Durability,
) -> Result<Watchdog, PostgresError> {
    // INT: disconnect everyone, flush, end. QUIT: end at once, recover at the next start.
    let (signals, remove) = match &cluster.ephemeral {
        Some(folder) => ("QUIT KILL", Some(folder.as_path())),
        None => ("INT QUIT KILL", None),
    };
    let mut command = script(signals, remove, "always", cluster.account.as_ref());
    command.arg(binaries.postgres()).arg("-D").arg(&cluster.directory);
    for setting in settings::server(port, durability) {
        command.arg("-c").arg(setting);
    }
    if let Some(pid) = leftover::foreign_pid(&cluster.directory) {
        // The number in a stale postmaster.pid now belongs to some other process. Postgres takes that for a running server,
        // unless it is told that the number is in its own line of parents; its check of the shared memory stays in force.
        command.env("PG_GRANDPARENT_PID", pid.to_string());
    }
    let log = cluster.open_log()?;
    let errors = log.try_clone().map_err(on("open", &cluster.log))?;
    spawn(command.stdout(log).stderr(errors))
}

/// Runs a program that reads `input` to its end; the inner error is what it said. `remove` goes if it fails or we die.
pub(super) fn run(
    program: &Path,
    arguments: &[&OsStr],
    input: &str,
    remove: Option<&Path>,
    account: Option<&Account>,
) -> Result<Result<(), String>, PostgresError> {
    let mut said = tempfile::tempfile().map_err(on("create a file in", std::env::temp_dir()))?;
    let errors = said.try_clone().map_err(on("open the output of", program))?;
    let mut command = script("TERM KILL", remove, "unless-done", account);
    command.env("ORDO_INPUT", input.trim_end()).arg(program).args(arguments).stdout(Stdio::null()).stderr(errors);
    let status = spawn(&mut command)?.wait().map_err(on("wait for", program))?;
    if status.success() {
        return Ok(Ok(()));
    }
    let mut text = String::new();
    said.rewind().and_then(|()| said.read_to_string(&mut text)).map_err(on("read the output of", program))?;
    Ok(Err(text))
}

fn script(signals: &str, remove: Option<&Path>, when: &str, account: Option<&Account>) -> Command {
    // Its comments are for readers of this crate, not for those of `ps`.
    let lines: Vec<&str> = SCRIPT.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", lines.join("\n").trim(), "ordo-watchdog", signals]);
    command.arg(remove.unwrap_or(Path::new(""))).arg(when);
    // An unknown locale in our environment is no reason to fail.
    command.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA").env_remove("ORDO_INPUT");
    // A group of its own: Ctrl-C in the terminal is for the platform, which needs its database until it has drained.
    command.process_group(0);
    account::run_as(&mut command, account);
    command
}

fn spawn(command: &mut Command) -> Result<Watchdog, PostgresError> {
    // The standard library marks its end of the pipe close-on-exec: no other child of ours can keep it open.
    let mut process = command.stdin(Stdio::piped()).spawn().map_err(on("run", "/bin/sh"))?;
    let leash = process.stdin.take();
    Ok(Watchdog { process, leash })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_command_that_does_not_listen_to_signals_yet_is_ended_without_delay() {
        let mut command = script("INT QUIT KILL", None, "always", None);
        let mut watchdog = spawn(command.args(["sleep", "600"])).unwrap();
        watchdog.let_go();
        let until = Instant::now() + Duration::from_secs(8);
        while watchdog.is_running() {
            assert!(Instant::now() < until, "the first signal did not reach it");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
