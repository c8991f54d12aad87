//! How much memory large bodies take at the same time: all of them, and those of one address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use problem::Peer;

/// Units of memory, shared by all requests of a process.
#[derive(Debug, Clone)]
pub(super) struct Units(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<Peer, usize>,
}

/// What one body has taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    units: Units,
    peer: Option<Peer>,
    taken: usize,
}

impl Units {
    pub(super) fn new(most: usize, per_address: usize) -> Self {
        Self(Arc::new(Shared { most, per_address, taken: Mutex::default() }))
    }

    /// No room yet, for a body that comes from `peer`, where that is known.
    pub(super) fn room_for(&self, peer: Option<Peer>) -> Room {
        Room { units: self.clone(), peer, taken: 0 }
    }

    #[cfg(test)]
    pub(super) fn taken_by_all(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Every change leaves it whole.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Has it come to so many units, and says whether there were as many. Otherwise it stays what it is. It never shrinks.
    pub(super) fn grow_to(&mut self, units: usize) -> bool {
        let more = units.saturating_sub(self.taken);
        if more == 0 {
            return true;
        }
        let mut taken = self.units.taken();
        let of_peer = self.peer.map(|peer| taken.of.get(&peer).copied().unwrap_or_default() + more);
        if taken.all + more > self.units.0.most || of_peer.is_some_and(|units| units > self.units.0.per_address) {
            return false;
        }
        taken.all += more;
        if let (Some(peer), Some(of_peer)) = (self.peer, of_peer) {
            taken.of.insert(peer, of_peer);
        }
        self.taken = units;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.taken == 0 {
            return;
        }
        let mut taken = self.units.taken();
        taken.all -= self.taken;
        let Some(peer) = self.peer else { return };
        if let Some(of_peer) = taken.of.get_mut(&peer) {
            *of_peer -= self.taken;
            if *of_peer == 0 {
                taken.of.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_its_share_and_leaves_the_rest_to_others() {
        let units = Units::new(10, 6);
        let peer = |last| Some(Peer::of(std::net::Ipv4Addr::new(192, 0, 2, last).into()));
        let (mut one, mut more_of_it, mut other) =
            (units.room_for(peer(1)), units.room_for(peer(1)), units.room_for(peer(2)));
        assert!(one.grow_to(4) && one.grow_to(3) && more_of_it.grow_to(2));
        assert!(!one.grow_to(5) && !more_of_it.grow_to(3), "it has its share");
        assert!(other.grow_to(4) && !other.grow_to(5), "all is taken");
        assert!(!units.room_for(None).grow_to(1));
        drop(one);
        assert!(more_of_it.grow_to(6) && !other.grow_to(5));
        drop((more_of_it, other));
        assert_eq!((units.taken_by_all(), units.taken().of.len()), (0, 0));
    }
}
