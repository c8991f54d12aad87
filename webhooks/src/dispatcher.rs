//! Delivers what is due: so many deliveries at the same time to one endpoint, and so many in all.
//!
//! Nothing is kept in memory but the deliveries that are in work. The endpoints with the fewest of them come first (`places`), so busy
//! ones hold up no others. One that keeps failing is called with one delivery at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bounds::Budget;
use error_chain::error_chain;
use event_store::read::read_filtered;
use event_store::{EventFilter, EventStore, StoredEvent};
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::claims::{self, ClaimedDelivery, DueEndpoint};
use crate::envelope::event_envelope;
use crate::metrics::WebhookMetrics;
use crate::outcome;
use crate::places::{PlacesOfEndpoint, share};
use crate::sender::{DeliverySender, OutgoingDelivery};

/// How often the queues are looked at while nothing is due.
const POLL: Duration = Duration::from_millis(200);
/// How long nothing is claimed after the database failed.
const BACKOFF: Duration = Duration::from_secs(1);
/// The time beside that of an attempt for which a delivery is claimed: to read the event and to record what came of it.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);
/// After so many failures one delivery at a time shows whether an endpoint is back.
const FAILING: i32 = 5;
/// How long deliveries that are in work may take once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(3);

/// How many deliveries read their event or record their outcome at the same time: others need the database as well.
pub(crate) const CONNECTIONS: u32 = 2;

/// How many deliveries are in work at the same time, and how long they may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DispatcherLimits {
    pub(crate) per_endpoint: usize,
    pub(crate) in_all: usize,
    pub(crate) timeout: Duration,
    pub(crate) disable_after: Duration,
}

pub(crate) struct Dispatcher {
    pub(crate) store: EventStore,
    pub(crate) sender: DeliverySender,
    pub(crate) limits: DispatcherLimits,
    pub(crate) metrics: WebhookMetrics,
    pub(crate) database: DatabaseShare,
}

/// The connections that deliveries may use; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseShare(Arc<Semaphore>);

impl Default for DatabaseShare {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(usize::try_from(CONNECTIONS).unwrap_or(1))))
    }
}

impl DatabaseShare {
    async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        // It is never closed.
        let _permit = self.0.acquire().await;
        work.await
    }
}

/// The deliveries that this process has in work.
#[derive(Default)]
struct InWork {
    tasks: JoinSet<()>,
    claims: HashMap<Id, (Uuid, Uuid)>,
    /// The endpoint that was served last: the others are before it.
    served_last: Option<Uuid>,
}

impl InWork {
    fn of_endpoint(&self, endpoint: Uuid) -> usize {
        self.claims.values().filter(|(of, _)| *of == endpoint).count()
    }

    fn ended(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(%error, "a delivery to a webhook endpoint ended by itself; it is tried again");
                error.id()
            }
        };
        self.claims.remove(&id);
    }
}

impl Dispatcher {
    /// Delivers until told to stop. Then what is in work has a moment to end, and others may take the rest at once.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut work = InWork::default();
        while !stop.is_cancelled() {
            while let Some(ended) = work.tasks.try_join_next_with_id() {
                work.ended(&ended);
            }
            let pause = match self.claim_due(&mut work).await {
                Ok(false) => POLL,
                Ok(true) => continue,
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "webhook deliveries can't be claimed");
                    BACKOFF
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = work.tasks.join_next_with_id() => work.ended(&ended),
                () = tokio::time::sleep(pause) => {}
            }
        }
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(ended) = work.tasks.join_next_with_id().await {
                work.ended(&ended);
            }
        });
        if drained.await.is_err() {
            work.tasks.shutdown().await;
        }
        let claims: Vec<Uuid> = work.claims.values().map(|(_, claim)| *claim).collect();
        let released = tokio::time::timeout(DRAIN, claims::release(self.store.pool(), &claims)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::warn!("webhook deliveries were not given back; their claims run out");
        }
    }

    /// Begins with what is due and has room. Returns whether there was any, also such as has to wait for a replay.
    async fn claim_due(&self, work: &mut InWork) -> Result<bool, sqlx::Error> {
        let pool = self.store.pool();
        if work.tasks.len() >= self.limits.in_all {
            return Ok(false);
        }
        let mut due = claims::due_endpoints(pool).await?;
        // Round and round.
        due.sort_by_key(|endpoint| (Some(endpoint.id) <= work.served_last, endpoint.id));
        let places = |endpoint: &DueEndpoint| PlacesOfEndpoint {
            taken: work.of_endpoint(endpoint.id),
            most: if endpoint.failures >= FAILING { 1 } else { self.limits.per_endpoint },
        };
        let places: Vec<_> = due.iter().map(places).collect();
        let shares = share(&places, self.limits.in_all.saturating_sub(work.tasks.len()));
        let mut any_due = false;
        for (endpoint, room) in due.into_iter().zip(shares).filter(|(_, room)| *room > 0) {
            work.served_last = Some(endpoint.id);
            let lasts = self.limits.timeout + CLAIM_MARGIN;
            let claimed = claims::claim(pool, endpoint.id, room, lasts).await?;
            any_due |= claimed.any_due;
            for delivery in claimed.deliveries {
                let claimed = (endpoint.id, delivery.claim);
                let task = work.tasks.spawn(self.attempt(endpoint.clone(), delivery));
                work.claims.insert(task.id(), claimed);
            }
        }
        Ok(any_due)
    }

    /// Makes an attempt at a delivery, and records what came of it.
    fn attempt(&self, endpoint: DueEndpoint, delivery: ClaimedDelivery) -> impl Future<Output = ()> + Send + 'static {
        let (store, sender) = (self.store.clone(), self.sender.clone());
        let (metrics, database, disable_after) =
            (self.metrics.clone(), self.database.clone(), self.limits.disable_after);
        async move {
            let pool = store.pool();
            let event = match database.run(read_event(&store, delivery.position)).await {
                Ok(Some(event)) => event,
                Ok(None) => {
                    tracing::error!(position = delivery.position, "the log has no such event to deliver");
                    return;
                }
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "an event can't be read to be delivered");
                    return;
                }
            };
            // A build that knows more may have made the endpoint, or recorded the event. The claim runs out, and somebody tries again.
            let Ok(role) = endpoint.role.parse() else {
                tracing::error!(endpoint = %endpoint.id, role = endpoint.role, "this build knows no such role");
                return;
            };
            let body = match event_envelope(&event, role) {
                Ok(body) => body,
                Err(error) => {
                    tracing::error!(
                        position = delivery.position,
                        error = error_chain(&error),
                        "an event can't be delivered"
                    );
                    return;
                }
            };
            let id = event.event_id.to_string();
            let outgoing = OutgoingDelivery { url: &endpoint.url, id: &id, body, secrets: &endpoint.secrets };
            let outcome = sender.send(outgoing).await;
            let recorded = async {
                let state = outcome::record(pool, &delivery, &outcome).await?;
                outcome::disable_if_hopeless(pool, &delivery, &outcome, disable_after).await?;
                Ok::<_, sqlx::Error>(state)
            };
            match database.run(recorded).await {
                Ok(Some(state)) => metrics.attempted(state, outcome.took),
                Ok(None) => {
                    tracing::info!(endpoint = %endpoint.id, delivery = delivery.id, "a webhook delivery was claimed by another");
                }
                // It is tried again when the claim runs out.
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "what came of a webhook delivery can't be recorded");
                }
            }
            if let (Some(error), true) = (&outcome.error, delivery.attempts == 0) {
                tracing::info!(endpoint = %endpoint.id, delivery = delivery.id, error, "a webhook delivery failed");
            }
        }
    }
}

async fn read_event(store: &EventStore, position: i64) -> Result<Option<StoredEvent>, sqlx::Error> {
    let filter = EventFilter { up_to: Some(position), ..EventFilter::after(position - 1) };
    let mut connection = store.pool().acquire().await?;
    Ok(read_filtered(&mut connection, &filter, Budget::of(1)).await?.events.pop())
}
