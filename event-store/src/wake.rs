//! Wakes those who follow the log when there may be something new: events, or partitions to take.

use std::io;
use std::time::Duration;

use error_chain::error_chain;
use sqlx::postgres::PgListener;
use sqlx::{Executor, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::EventStore;
use crate::subscription::progress::SubscriptionPositionCache;

/// The channel that the events table's trigger notifies.
const EVENTS: &str = "ordo_events";
/// The channel for changes of subscriptions: partitions that were given back, an operator's request.
pub(crate) const LEASES: &str = "ordo_subscriptions";
/// How long followers wait without a notification before they poll: a notification may be lost.
const POLL: Duration = Duration::from_secs(1);
/// How long nothing is heard until the connection is tried, and how long that may take. A database that is gone without a word, as when
/// its host loses power, leaves behind a connection on which nothing comes any more.
const SILENCE: Duration = Duration::from_secs(10);

/// Wakes those who follow the log in this process; clones share them.
#[derive(Clone)]
pub(crate) struct SubscriptionWakeUps {
    events: watch::Sender<()>,
    leases: watch::Sender<()>,
}

impl Default for SubscriptionWakeUps {
    fn default() -> Self {
        Self { events: watch::Sender::new(()), leases: watch::Sender::new(()) }
    }
}

/// A subscription's wake-ups. Create it before reading, so that nothing is missed that comes while reading.
pub(crate) struct WakeUpReceiver {
    events: watch::Receiver<()>,
    leases: watch::Receiver<()>,
}

/// The wake-ups of one who reads the log without a subscription. Create it before reading, so that nothing is missed
/// that comes while reading.
#[derive(Clone)]
pub struct LogWakeUpReceiver(watch::Receiver<()>);

impl LogWakeUpReceiver {
    /// Waits until there may be events since it was created or last waited for. `true`: there was a notification; `false`: a second has
    /// passed, and a notification may have been lost.
    pub async fn wait(&mut self) -> bool {
        // An error means that the store is gone: then there will be no change.
        matches!(tokio::time::timeout(POLL, self.0.changed()).await, Ok(Ok(())))
    }
}

impl EventStore {
    /// Changes of the log from now on, by whichever process.
    pub fn log_changes(&self) -> LogWakeUpReceiver {
        LogWakeUpReceiver(self.wake.events.subscribe())
    }
}

impl SubscriptionWakeUps {
    /// Wakes all followers: there are new events.
    pub(crate) fn wake(&self) {
        self.events.send_replace(());
    }

    pub(crate) fn receiver(&self) -> WakeUpReceiver {
        WakeUpReceiver { events: self.events.subscribe(), leases: self.leases.subscribe() }
    }

    /// Forwards the database's notifications to this process's followers, until told to stop. When the connection is lost, the database may
    /// have crashed, and what is known of positions is forgotten.
    pub(crate) async fn listen(self, pool: PgPool, known: SubscriptionPositionCache, stop: CancellationToken) {
        let forever = async {
            loop {
                let ended = self.forward_notifications(&pool, &known, SILENCE).await;
                known.forget_positions();
                if let Err(error) = ended {
                    tracing::warn!(error = %error_chain(&error), "listening for events failed; polling");
                    tokio::time::sleep(POLL).await;
                }
            }
        };
        let _ = stop.run_until_cancelled(forever).await;
    }

    /// Returns once the connection is lost.
    async fn forward_notifications(
        &self,
        pool: &PgPool,
        known: &SubscriptionPositionCache,
        silence: Duration,
    ) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        // A lost connection is told at once, not when there is another one.
        listener.eager_reconnect(false);
        listener.listen_all([EVENTS, LEASES]).await?;
        // Nobody noticed a crash or heard a notification before.
        known.forget_positions();
        self.wake();
        self.leases.send_replace(());
        loop {
            let Ok(notification) = tokio::time::timeout(silence, listener.try_recv()).await else {
                let answered = tokio::time::timeout(silence, listener.execute("select 1")).await;
                answered.map_err(|_| sqlx::Error::Io(io::ErrorKind::TimedOut.into()))??;
                continue;
            };
            let Some(notification) = notification? else { return Ok(()) };
            match notification.channel() {
                LEASES => {
                    self.leases.send_replace(());
                }
                _ => self.wake(),
            }
        }
    }
}

impl WakeUpReceiver {
    /// Marks all events so far as seen; call it before reading.
    pub(crate) fn mark_seen(&mut self) {
        self.events.mark_unchanged();
    }

    /// Whether subscriptions have changed since it was asked the last time.
    pub(crate) fn leases_changed(&mut self) -> bool {
        let changed = self.leases.has_changed().unwrap_or(false);
        self.leases.mark_unchanged();
        changed
    }

    /// Waits until there may be something new: for a notification, or for a second.
    pub(crate) async fn changed(&mut self) {
        // The clone leaves the change unseen for `leases_changed`.
        let mut leases = self.leases.clone();
        let either = async {
            // An error means that the store is gone, whose tasks are cancelled too.
            tokio::select! {
                _ = self.events.changed() => {}
                _ = leases.changed() => {}
            }
        };
        let _ = tokio::time::timeout(POLL, either).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::copy_bidirectional;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A database whose host is gone after that: nothing is said on its connections, and nobody closes them.
    async fn silent_after(pool: &PgPool, silent: CancellationToken) -> PgPool {
        let options = pool.connect_options();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut server, silent) = (TcpStream::connect(&server).await.unwrap(), silent.clone());
                tokio::spawn(async move {
                    let passed = copy_bidirectional(&mut client, &mut server);
                    if silent.run_until_cancelled(passed).await.is_none() {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        PgPool::connect_lazy_with(options.as_ref().clone().host("127.0.0.1").port(port))
    }

    #[tokio::test]
    async fn a_database_that_is_gone_without_a_word_is_noticed() {
        let (database, silent) = (testkit::database().await, CancellationToken::new());
        let pool = silent_after(database.pool(), silent.clone()).await;
        let (wake, known) = (SubscriptionWakeUps::default(), SubscriptionPositionCache::default());
        let mut changes = wake.events.subscribe();
        let mut listening =
            tokio::spawn(async move { wake.forward_notifications(&pool, &known, Duration::from_millis(100)).await });

        // Given: it hears, also after it has tried a quiet connection.
        let notified = async {
            while tokio::time::timeout(Duration::from_millis(500), changes.changed()).await.is_err() {
                sqlx::query("select pg_notify($1, '')").bind(EVENTS).execute(database.pool()).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), notified).await.unwrap();
        assert!(!listening.is_finished());

        // When
        silent.cancel();

        // Then
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut listening).await.unwrap().unwrap();
        assert!(matches!(ended, Err(sqlx::Error::Io(_))), "{ended:?}");
    }
}
