//! What processes took of the machine, from `/proc`. Where there is none, nothing is known.

use std::fs;
use std::time::Duration;

/// The processor time of one process so far, its threads included.
pub(crate) fn processor(pid: u32) -> Option<Duration> {
    Some(ticks(Stat::of(pid)?.own))
}

/// The processor time of all processes that this one started, and that those started, so far; those that have ended included.
pub(crate) fn processor_of_descendants(ancestor: u32) -> Option<Duration> {
    let all: Vec<(u32, Stat)> = pids()?.filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
    let mut family = vec![ancestor];
    let mut sum = 0;
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        for (pid, stat) in all.iter().filter(|(_, stat)| stat.parent == parent) {
            // What a process took moves to its parent's account once it has ended.
            sum += stat.own + stat.ended_children;
            family.push(*pid);
        }
        next += 1;
    }
    (family.len() > 1).then(|| ticks(sum))
}

/// The server whose data is in this folder, by the file that it keeps there.
pub(crate) fn of_lock_file(data_directory: &str) -> Option<u32> {
    fs::read_to_string(format!("{data_directory}/postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

/// The most memory a process has had since [`forget_peak`], in bytes.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Starts the peak anew at what the process has now.
pub(crate) fn forget_peak(pid: u32) {
    // Where this is not allowed the peak is that of its whole life.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn pids() -> Option<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc").ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

fn ticks(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second)
}

/// A line of `/proc/PID/stat`; times in clock ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The name, in brackets, may hold anything. Behind it the fields begin with the third.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |nth: usize| fields.get(nth - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own: field(14)? + field(15)?,
            ended_children: field(16)? + field(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let line = "4711 (post) gres: x) S 4242 4711 4711 0 -1 4194560 100 0 0 0 12 34 5 6 20 0 1 0 99 1000 50";
        assert_eq!(Stat::parse(line), Some(Stat { parent: 4242, own: 46, ended_children: 11 }));
        assert_eq!(Stat::parse("4711 (short) S 4242"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_processor_time() {
        assert!(processor(std::process::id()).is_some());
        assert!(peak_memory(std::process::id()).is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(processor_of_descendants(u32::MAX), None);
    }
}
