//! The server that a previous owner left behind, and the notes of one that is long gone.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::error::PostgresError;

/// Stops the server that still runs on this cluster, if one does. The caller holds the lock: nobody needs it.
pub(super) fn stop(directory: &Path) -> Result<(), PostgresError> {
    let Some(pid) = recorded_pid(directory).filter(|pid| serves(*pid, directory)) else {
        return Ok(());
    };
    tracing::info!(pid = pid.as_raw_nonzero().get(), "stopping the Postgres that a previous run left behind");
    for signal in [Signal::INT, Signal::QUIT] {
        // It may end by itself at any time: its watchdog is at work too.
        let _ = kill_process(pid, signal);
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if !serves(pid, directory) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Err(PostgresError::LeftoverStays { pid: pid.as_raw_nonzero().get().cast_unsigned() })
}

/// The process number in `postmaster.pid` if it belongs to a process that is not this cluster's server.
pub(super) fn foreign_pid(directory: &Path) -> Option<i32> {
    recorded_pid(directory)
        .filter(|pid| is_alive(*pid) && !serves(*pid, directory))
        .map(|pid| pid.as_raw_nonzero().get())
}

fn recorded_pid(directory: &Path) -> Option<Pid> {
    let notes = fs::read_to_string(directory.join("postmaster.pid")).ok()?;
    Pid::from_raw(notes.lines().next()?.trim().parse().ok()?)
}

fn is_alive(pid: Pid) -> bool {
    match test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

/// Whether the process is a Postgres on this very cluster. A number alone proves nothing: it may have been given out again.
fn serves(pid: Pid, directory: &Path) -> bool {
    let pid = pid.as_raw_nonzero();
    if cfg!(target_os = "linux") {
        // A server's working directory is its cluster. Of a process that has ended, or is not ours to look at, there is none.
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory);
    }
    let listing = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    listing.is_ok_and(|output| {
        let line = String::from_utf8_lossy(&output.stdout);
        line.contains("postgres") && line.contains(&*directory.to_string_lossy())
    })
}
