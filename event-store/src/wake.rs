//! Tells whoever follows the log that there may be something new.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The channel that the events table's trigger notifies.
const CHANNEL: &str = "ordo_events";
/// How long followers wait without a sign before they look anyway: a notification is a hint that may be lost.
const POLL: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Wake(watch::Sender<()>);

impl Default for Wake {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

/// A follower's ear. Create it before looking, so that what comes while looking is not missed.
pub(crate) struct Ear(watch::Receiver<()>);

impl Wake {
    pub(crate) fn wake(&self) {
        self.0.send_replace(());
    }

    pub(crate) fn ear(&self) -> Ear {
        Ear(self.0.subscribe())
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
        listener.listen(CHANNEL).await?;
        loop {
            // None: the connection was lost and made anew; something may have been missed.
            let _: Option<_> = listener.try_recv().await?;
            self.wake();
        }
    }
}

impl Ear {
    /// Marks everything so far as heard; call before looking.
    pub(crate) fn clear(&mut self) {
        self.0.mark_unchanged();
    }

    /// Until there may be something new: after a sign since [`Ear::clear`], or after a second.
    pub(crate) async fn hear(&mut self) {
        // An error means that the store is gone, whose tasks are cancelled too.
        let _ = tokio::time::timeout(POLL, self.0.changed()).await;
    }
}
