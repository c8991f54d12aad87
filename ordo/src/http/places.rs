//! Who may have a connection: so many of all, so many of one address, and a few more that only ask how the process is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use problem::Peer;
use tokio::task::{AbortHandle, Id};

use super::Limits;
use super::turn::{Since, Turn};

/// A connection that was found to be serving a request is not looked at again for so long.
const BUSY: Duration = Duration::from_millis(10);

/// All connections of a server, known to its accept loop alone.
///
/// When there is no room, whoever has waited the longest without a request under way makes it. So silent clients keep nobody out,
/// however many they are; only requests that are being served do.
pub(super) struct Places {
    limits: Limits,
    clock: Instant,
    taken: HashMap<Id, Taken>,
    full: Queue,
    of_peer: HashMap<Peer, Queue>,
    reserved: Queue,
    /// Whether it was said that there is no room.
    said_full: bool,
}

/// Connections in the order in which they can be displaced. Nobody tells the accept loop when one begins to wait, so each stands
/// where it was last found. Whoever is first is looked at before it is displaced, and stands further back if it has waited for less.
type Queue = BTreeSet<(Since, Id)>;

struct Taken {
    peer: Peer,
    place: Place,
    turn: Arc<Turn>,
    /// Where it stands in its queues.
    since: Since,
    abort: AbortHandle,
}

/// What a connection is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Whatever is asked.
    Full,
    /// How the process is; everything else is told to come again.
    Reserved,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        let (taken, of_peer) = (HashMap::new(), HashMap::new());
        let (full, reserved) = (Queue::new(), Queue::new());
        Self { limits, clock: Instant::now(), taken, full, of_peer, reserved, said_full: false }
    }

    /// A place for a new connection, if there is one or somebody can make one.
    pub(super) fn find(&mut self, peer: Peer) -> Option<Place> {
        let crowded = self.of_peer.get(&peer).is_some_and(|those| those.len() >= self.limits.per_address);
        let full = self.full.len() >= self.limits.connections;
        if !full && !crowded {
            self.said_full = false;
            return Some(Place::Full);
        }
        let displaced = match crowded {
            true => self.displace(|places| places.of_peer.get(&peer)),
            false => self.displace(|places| Some(&places.full)),
        };
        if displaced {
            return Some(Place::Full);
        }
        if !std::mem::replace(&mut self.said_full, true) {
            let (connections, per_address) = (self.limits.connections, self.limits.per_address);
            tracing::warn!(%peer, crowded, connections, per_address, "no room for more connections");
        }
        let reserve = self.reserved.len() < self.limits.reserve || self.displace(|places| Some(&places.reserved));
        reserve.then_some(Place::Reserved)
    }

    /// What tells whether a connection that has found a place can lose it again.
    pub(super) fn turn(&self) -> Arc<Turn> {
        Turn::waiting(self.clock)
    }

    /// Seats a connection in the place that was found for it.
    pub(super) fn take(&mut self, place: Place, peer: Peer, turn: Arc<Turn>, abort: AbortHandle) {
        let since = turn.waiting_since().unwrap_or_else(|| Since::now(self.clock));
        let (id, taken) = (abort.id(), Taken { peer, place, turn, since, abort });
        self.line_up(id, &taken);
        self.taken.insert(id, taken);
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: Id) {
        // One that was displaced is known no more.
        if let Some(taken) = self.taken.remove(&connection) {
            self.step_out(connection, &taken);
        }
    }

    /// Ends the connection of a queue that has waited the longest.
    fn displace(&mut self, queue: impl Fn(&Self) -> Option<&Queue>) -> bool {
        let now = Since::now(self.clock);
        loop {
            let first = queue(self).and_then(|queue| queue.first().copied());
            let Some((since, longest)) = first.filter(|(since, _)| *since <= now) else { return false };
            let Some(mut taken) = self.taken.remove(&longest) else { return false };
            self.step_out(longest, &taken);
            let waiting = taken.turn.waiting_since();
            taken.since = match waiting {
                // Its request may have come this moment: then it stays, and another is looked for.
                Some(waiting) if waiting <= since => {
                    if taken.turn.displace(waiting) {
                        taken.abort.abort();
                        return true;
                    }
                    now.later(BUSY)
                }
                Some(waiting) => waiting,
                None => now.later(BUSY),
            };
            self.line_up(longest, &taken);
            self.taken.insert(longest, taken);
        }
    }

    fn line_up(&mut self, id: Id, taken: &Taken) {
        match taken.place {
            Place::Reserved => {
                self.reserved.insert((taken.since, id));
            }
            Place::Full => {
                self.full.insert((taken.since, id));
                self.of_peer.entry(taken.peer).or_default().insert((taken.since, id));
            }
        }
    }

    fn step_out(&mut self, id: Id, taken: &Taken) {
        let at = (taken.since, id);
        match taken.place {
            Place::Reserved => {
                self.reserved.remove(&at);
            }
            Place::Full => {
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
