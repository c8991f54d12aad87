//! The slots for connections: a limit for all, a limit for each address, and a few reserved ones for health and metrics.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use problem::ClientNetwork;
use tokio::task::{AbortHandle, Id};

use super::ConnectionLimits;
use super::activity::{ConnectionState, IdleSince};

/// A connection that was busy when it was checked is not checked again within this time.
const BUSY: Duration = Duration::from_millis(10);

/// All connections of a server. Only the accept loop uses them.
///
/// When all slots are taken, the connection that has waited the longest without a running request loses its slot. So silent clients
/// keep nobody out, however many they are; only running requests do.
pub(super) struct ConnectionSlots {
    limits: ConnectionLimits,
    clock: Instant,
    taken: HashMap<Id, Taken>,
    full: Queue,
    of_peer: HashMap<ClientNetwork, Queue>,
    reserved: Queue,
    /// Whether it was logged that there is no room.
    said_full: bool,
}

/// Connections in the order in which they lose their slots. The accept loop is not told when a connection begins to wait, so each is
/// queued by the time at which it was last checked. The first one is checked again before it loses its slot, and is queued anew if it
/// has not waited as long.
type Queue = BTreeSet<(IdleSince, Id)>;

struct Taken {
    peer: ClientNetwork,
    slot: AllowedRequests,
    activity: Arc<ConnectionState>,
    /// Its key in the queues.
    since: IdleSince,
    abort: AbortHandle,
}

/// Which requests a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AllowedRequests {
    /// All requests.
    Full,
    /// Health and metrics. Everything else is answered 503.
    Reserved,
}

impl ConnectionSlots {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        let (taken, of_peer) = (HashMap::new(), HashMap::new());
        let (full, reserved) = (Queue::new(), Queue::new());
        Self { limits, clock: Instant::now(), taken, full, of_peer, reserved, said_full: false }
    }

    /// A slot for a new connection, if one is free or can be taken from a waiting connection.
    pub(super) fn find(&mut self, peer: ClientNetwork) -> Option<AllowedRequests> {
        let crowded = self.of_peer.get(&peer).is_some_and(|those| those.len() >= self.limits.per_address);
        let full = self.full.len() >= self.limits.connections;
        if !full && !crowded {
            self.said_full = false;
            return Some(AllowedRequests::Full);
        }
        let displaced = match crowded {
            true => self.displace(|slots| slots.of_peer.get(&peer)),
            false => self.displace(|slots| Some(&slots.full)),
        };
        if displaced {
            return Some(AllowedRequests::Full);
        }
        if !std::mem::replace(&mut self.said_full, true) {
            let (connections, per_address) = (self.limits.connections, self.limits.per_address);
            tracing::warn!(%peer, crowded, connections, per_address, "no room for more connections");
        }
        let reserve = self.reserved.len() < self.limits.reserve || self.displace(|slots| Some(&slots.reserved));
        reserve.then_some(AllowedRequests::Reserved)
    }

    /// The activity of a new connection.
    pub(super) fn activity(&self) -> Arc<ConnectionState> {
        ConnectionState::waiting(self.clock)
    }

    /// Notes that a connection has a slot.
    pub(super) fn take(
        &mut self,
        slot: AllowedRequests,
        peer: ClientNetwork,
        activity: Arc<ConnectionState>,
        abort: AbortHandle,
    ) {
        let since = activity.waiting_since().unwrap_or_else(|| IdleSince::now(self.clock));
        let (id, taken) = (abort.id(), Taken { peer, slot, activity, since, abort });
        self.enqueue(id, &taken);
        self.taken.insert(id, taken);
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: Id) {
        // A connection that lost its slot was removed already.
        if let Some(taken) = self.taken.remove(&connection) {
            self.dequeue(connection, &taken);
        }
    }

    /// Closes the connection of a queue that has waited the longest.
    fn displace(&mut self, queue: impl Fn(&Self) -> Option<&Queue>) -> bool {
        let now = IdleSince::now(self.clock);
        loop {
            let first = queue(self).and_then(|queue| queue.first().copied());
            let Some((since, longest)) = first.filter(|(since, _)| *since <= now) else { return false };
            let Some(mut taken) = self.taken.remove(&longest) else { return false };
            self.dequeue(longest, &taken);
            let waiting = taken.activity.waiting_since();
            taken.since = match waiting {
                // A request may have arrived just now. Then the connection stays, and another is chosen.
                Some(waiting) if waiting <= since => {
                    if taken.activity.displace(waiting) {
                        taken.abort.abort();
                        return true;
                    }
                    now.later(BUSY)
                }
                Some(waiting) => waiting,
                None => now.later(BUSY),
            };
            self.enqueue(longest, &taken);
            self.taken.insert(longest, taken);
        }
    }

    fn enqueue(&mut self, id: Id, taken: &Taken) {
        match taken.slot {
            AllowedRequests::Reserved => {
                self.reserved.insert((taken.since, id));
            }
            AllowedRequests::Full => {
                self.full.insert((taken.since, id));
                self.of_peer.entry(taken.peer).or_default().insert((taken.since, id));
            }
        }
    }

    fn dequeue(&mut self, id: Id, taken: &Taken) {
        let at = (taken.since, id);
        match taken.slot {
            AllowedRequests::Reserved => {
                self.reserved.remove(&at);
            }
            AllowedRequests::Full => {
                self.full.remove(&at);
                if let Some(those) = self.of_peer.get_mut(&taken.peer) {
                    those.remove(&at);
                    if those.is_empty() {
                        self.of_peer.remove(&taken.peer);
                    }
                }
            }
        }
    }
}
