//! Tells whoever follows the log that there may be something new: events, or partitions to take.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgNotification};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::EventStore;

/// The channel that the events table's trigger notifies.
const EVENTS: &str = "ordo_events";
/// The channel for what concerns subscriptions alone: partitions that were given back, an operator's request.
pub(crate) const LEASES: &str = "ordo_subscriptions";
/// How long followers wait without a sign before they look anyway: a notification is a hint that may be lost.
const POLL: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Wake {
    events: watch::Sender<()>,
    leases: watch::Sender<()>,
}

impl Default for Wake {
    fn default() -> Self {
        Self { events: watch::Sender::new(()), leases: watch::Sender::new(()) }
    }
}

/// A follower's ear. Create it before looking, so that what comes while looking is not missed.
pub(crate) struct Ear {
    events: watch::Receiver<()>,
    leases: watch::Receiver<()>,
}

/// Tells whoever reads the log by itself that it may have grown. Create it before reading, so that what comes while reading is
/// not missed.
#[derive(Clone)]
pub struct News(watch::Receiver<()>);

impl News {
    /// Until events may have come since it was created or last waited for. True: there was a sign of some; false: a second has
    /// passed, and a sign may have been lost.
    pub async fn wait(&mut self) -> bool {
        // An error means that the store is gone: then there will be none.
        matches!(tokio::time::timeout(POLL, self.0.changed()).await, Ok(Ok(())))
    }
}

impl EventStore {
    /// News of the log from now on, from whichever process.
    pub fn news(&self) -> News {
        News(self.wake.events.subscribe())
    }
}

impl Wake {
    pub(crate) fn wake(&self) {
        self.events.send_replace(());
    }

    pub(crate) fn ear(&self) -> Ear {
        Ear { events: self.events.subscribe(), leases: self.leases.subscribe() }
    }

    /// Passes on what other processes append, until told to stop.
    pub(crate) async fn listen(self, pool: PgPool, stop: CancellationToken) {
        let forever = async {
            loop {
                if let Err(error) = self.pass_on(&pool).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "listening for events failed; polling");
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let _ = stop.run_until_cancelled(forever).await;
    }

    async fn pass_on(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen_all([EVENTS, LEASES]).await?;
        loop {
            let heard = listener.try_recv().await?;
            let channel = heard.as_ref().map(PgNotification::channel);
            // None: the connection was lost and made anew; something may have been missed.
            if channel != Some(LEASES) {
                self.wake();
            }
            if channel != Some(EVENTS) {
                self.leases.send_replace(());
            }
        }
    }
}

impl Ear {
    /// Marks every event so far as heard; call before looking.
    pub(crate) fn clear(&mut self) {
        self.events.mark_unchanged();
    }

    /// Whether there is news of the subscriptions since it was asked the last time.
    pub(crate) fn leases_changed(&mut self) -> bool {
        let changed = self.leases.has_changed().unwrap_or(false);
        self.leases.mark_unchanged();
        changed
    }

    /// Until there may be something new: after a sign, or after a second.
    pub(crate) async fn hear(&mut self) {
        // Leaves the news to whoever asks for it next.
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
