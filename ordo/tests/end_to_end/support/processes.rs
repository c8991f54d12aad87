//! Processes other than the one that a test started itself.

use std::fs;
use std::time::{Duration, Instant};

/// The processes that this one started and that have not ended. Nothing where there is no `/proc`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent) && alive(*pid)).collect()
}

/// The children, their children and so on.
pub(crate) fn descendants(ancestor: u32) -> Vec<u32> {
    let mut found = children(ancestor);
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let further = children(*pid);
        found.extend(further);
        next += 1;
    }
    found
}

/// Whether the process runs: one that has ended and was not waited for does not.
pub(crate) fn alive(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok()
}

/// Waits until all of them have ended; false: some still run after `patience`.
pub(crate) fn all_end(pids: &[u32], patience: Duration) -> bool {
    let until = Instant::now() + patience;
    while pids.iter().any(|pid| alive(*pid)) {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}
