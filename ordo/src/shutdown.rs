//! Shutdown: the first signal drains, the second ends the process at once.
//!
//! A stop takes at most 10 s, whatever hangs. The limits below leave half a second for everything else.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::connections::SharedClients;

/// The time for the roles to finish their work.
pub(crate) const ROLES: Duration = Duration::from_millis(5500);
/// The time for closing the connections. The database notices a closed socket by itself.
pub(crate) const CONNECTIONS: Duration = Duration::from_millis(500);
/// The time for the embedded services of `ordo up` to stop.
#[cfg(feature = "embedded")]
pub(crate) const EMBEDDED_SERVICES: Duration = Duration::from_millis(3500);

/// Cancels the token at the first SIGINT or SIGTERM; a second one ends the process at once.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let name = tokio::select! { _ = interrupt.recv() => "SIGINT", _ = terminate.recv() => "SIGTERM" };
        tracing::info!(signal = name, "stopping; once more to stop at once");
        token.cancel();
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        tracing::warn!("stopped at once");
        std::process::exit(1);
    });
    Ok(stop)
}

/// Cancels the token when standard input is closed, so that a process does not outlive its parent.
pub fn on_stdin_close(stop: &CancellationToken) {
    let stop = stop.clone();
    // A thread of its own: a blocked read would keep tokio's runtime from ending.
    std::thread::spawn(move || {
        // An error ends it, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.cancel();
    });
}

/// Waits for the roles' `work`; once `stop` is cancelled, for [`ROLES`] at most.
pub(crate) async fn within_bound(
    stop: &CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(ROLES).await;
    };
    tokio::select! {
        done = work => done,
        () = overdue => anyhow::bail!("work was still under way {} s after the stop and is cut off; nothing acknowledged is lost", ROLES.as_secs_f64()),
    }
}

/// Closes the pools, for [`CONNECTIONS`] at most.
pub(crate) async fn close(connections: &SharedClients) {
    let both = async {
        tokio::join!(connections.database.close(), connections.reads.close());
        // A connection on its way back to its pool is not waited for by `close`. The database must not be stopped under it.
        while connections.database.size() + connections.reads.size() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(CONNECTIONS, both).await.is_err() {
        tracing::debug!("the database does not take leave");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_leave_slack_within_ten_seconds() {
        assert!(ROLES + CONNECTIONS + EMBEDDED_SERVICES <= Duration::from_millis(9500));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_waited_for_only_after_a_stop_and_not_for_long() {
        let stop = CancellationToken::new();
        let work = within_bound(&stop, std::future::pending());
        let since = tokio::time::Instant::now();
        let asking = async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(work, asking);
        assert!(ended.unwrap_err().to_string().contains("5.5 s after the stop"));
        assert_eq!(since.elapsed().as_secs(), 3605);
    }
}
