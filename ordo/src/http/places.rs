//! Who may have a connection: so many of all, so many of one address, and a few more that only ask how the process is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use problem::Peer;
use tokio::task::{AbortHandle, Id};

use super::Limits;
use super::turn::Turn;

/// All connections of a server, known to its accept loop alone.
///
/// When there is no room, whoever has waited the longest without a request under way makes it. So silent clients keep nobody out,
/// however many they are; only requests that are being served do.
pub(super) struct Places {
    limits: Limits,
    clock: Instant,
    taken: HashMap<Id, Taken>,
    of_peer: HashMap<Peer, usize>,
    reserved: usize,
    /// Whether it was said that there is no room.
    said_full: bool,
}

struct Taken {
    peer: Peer,
    place: Place,
    turn: Arc<Turn>,
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
        Self { limits, clock: Instant::now(), taken, of_peer, reserved: 0, said_full: false }
    }

    /// A place for a new connection, if there is one or somebody can make one.
    pub(super) fn find(&mut self, peer: Peer) -> Option<Place> {
        let crowded = self.of_peer.get(&peer).is_some_and(|count| *count >= self.limits.per_address);
        let full = self.taken.len() - self.reserved >= self.limits.connections;
        if !full && !crowded {
            self.said_full = false;
            return Some(Place::Full);
        }
        if self.displace(|taken| taken.place == Place::Full && (!crowded || taken.peer == peer)) {
            return Some(Place::Full);
        }
        if !std::mem::replace(&mut self.said_full, true) {
            let (connections, per_address) = (self.limits.connections, self.limits.per_address);
            tracing::warn!(%peer, crowded, connections, per_address, "no room for more connections");
        }
        let reserve = self.reserved < self.limits.reserve || self.displace(|taken| taken.place == Place::Reserved);
        reserve.then_some(Place::Reserved)
    }

    /// What tells whether a connection that has found a place can lose it again.
    pub(super) fn turn(&self) -> Arc<Turn> {
        Turn::waiting(self.clock)
    }

    /// Seats a connection in the place that was found for it.
    pub(super) fn take(&mut self, place: Place, peer: Peer, turn: Arc<Turn>, abort: AbortHandle) {
        match place {
            Place::Full => *self.of_peer.entry(peer).or_default() += 1,
            Place::Reserved => self.reserved += 1,
        }
        self.taken.insert(abort.id(), Taken { peer, place, turn, abort });
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: Id) {
        // One that was displaced is known no more.
        let Some(taken) = self.taken.remove(&connection) else { return };
        match taken.place {
            Place::Reserved => self.reserved -= 1,
            Place::Full => {
                if let Some(count) = self.of_peer.get_mut(&taken.peer) {
                    *count -= 1;
                    if *count == 0 {
                        self.of_peer.remove(&taken.peer);
                    }
                }
            }
        }
    }

    /// Ends the connection that has waited the longest of some.
    fn displace(&mut self, of: impl Fn(&Taken) -> bool) -> bool {
        loop {
            let those = self.taken.iter().filter(|(_, taken)| of(taken));
            let waiting = those.filter_map(|(id, taken)| Some((taken.turn.waiting_since()?, *id)));
            let Some((since, longest)) = waiting.min() else { return false };
            let taken = &self.taken[&longest];
            // Its request may have come this moment: then it stays, and another is looked for.
            if taken.turn.displace(since) {
                taken.abort.abort();
                self.leave(longest);
                return true;
            }
        }
    }
}
