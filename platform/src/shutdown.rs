//! Ending on request: the first signal drains, the second does not wait.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the roles have to end what they are doing. With what is stopped after them, the whole takes at most 10 s.
pub const BOUND: Duration = Duration::from_secs(6);

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

/// Waits for `work`; once `stop` is cancelled, for [`BOUND`] at most.
pub async fn within_bound(
    stop: &CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(BOUND).await;
    };
    tokio::select! {
        done = work => done,
        () = overdue => anyhow::bail!("work was still under way {} s after the stop and is cut off; nothing acknowledged is lost", BOUND.as_secs()),
    }
}
