//! Ending on request: the first signal drains, the second does not wait.
//!
//! A stop takes 10 s at the most, whatever hangs: the bounds below leave half a second of that to everything else.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;

/// How long the roles have to end what they are doing.
pub const ROLES: Duration = Duration::from_millis(5500);
/// How long the database has to take leave of us; it notices a closed connection by itself.
pub const CONNECTIONS: Duration = Duration::from_millis(500);
/// How long what `ordo up` brought along has to end.
pub const BROUGHT: Duration = Duration::from_millis(3500);

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

/// Cancels the token when standard input ends: for a process that is not to outlive the one that holds the other end.
pub fn when_input_ends(stop: &CancellationToken) {
    let stop = stop.clone();
    // Not tokio's: a read that waits for ever would keep its runtime from ending.
    std::thread::spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.cancel();
    });
}

/// Waits for the roles' `work`; once `stop` is cancelled, for [`ROLES`] at most.
pub async fn within_bound(
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
pub async fn close(connections: &Connections) {
    let both = async { tokio::join!(connections.database.close(), connections.reads.close()) };
    if tokio::time::timeout(CONNECTIONS, both).await.is_err() {
        tracing::debug!("the database does not take leave");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_leave_slack_within_ten_seconds() {
        assert!(ROLES + CONNECTIONS + BROUGHT <= Duration::from_millis(9500));
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
