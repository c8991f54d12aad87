//! `ordo replay` in a process of its own.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::processes;
use crate::program::Ordo;

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A replay that is over.
pub(crate) struct Replayed {
    pub(crate) events: u64,
    pub(crate) peak_bytes: Option<u64>,
    /// Its processor time.
    pub(crate) processor: Option<Duration>,
}

/// Rebuilds a projection, or all. Fails if it does not end with the read model in its place.
pub(crate) async fn replay(
    ordo: &Ordo,
    database: &str,
    projection: Option<&str>,
    compare: bool,
) -> anyhow::Result<Replayed> {
    let mut command = ordo.command(&["replay", "--json"], database)?;
    match projection {
        Some(name) => command.args(["--projection", name]),
        None => command.arg("--all"),
    };
    if compare {
        command.arg("--compare");
    }
    let child = command.spawn().context("cannot start `ordo replay`")?;
    let pid = child.id().unwrap_or_default();
    let ended = child.wait_with_output();
    tokio::pin!(ended);
    let (mut peak_bytes, mut processor) = (None, None);
    let output = loop {
        tokio::select! {
            biased;
            output = &mut ended => break output?,
            () = tokio::time::sleep(LOOK) => {
                peak_bytes = processes::peak_memory(pid).or(peak_bytes);
                processor = processes::processor(pid).or(processor);
            }
        }
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "`ordo replay` ended with {}: {out}{err}", output.status);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap_or_default())?;
    let events = last["events"].as_u64().context("`ordo replay` said nothing of events")?;
    Ok(Replayed { events, peak_bytes, processor })
}
