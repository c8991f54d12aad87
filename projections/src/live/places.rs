//! Who may follow: so many clients of a process, and so many of them from one address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use problem::Peer;

/// Shared by all clients of a process.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Shared>);

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

/// A client's place, for as long as it follows.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    peer: Option<Peer>,
}

/// How many follow already.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoPlace {
    OfAll(usize),
    OfAddress(usize),
}

impl Places {
    pub(super) fn new(most: usize, per_address: usize) -> Self {
        Self(Arc::new(Shared { most, per_address, taken: Mutex::default() }))
    }

    /// A place for a client; `peer` is who it is, where that is known.
    pub(super) fn take(&self, peer: Option<Peer>) -> Result<Place, NoPlace> {
        let mut taken = self.taken();
        if taken.all >= self.0.most {
            return Err(NoPlace::OfAll(self.0.most));
        }
        if let Some(peer) = peer {
            let of_peer = taken.of.entry(peer).or_default();
            if *of_peer >= self.0.per_address {
                return Err(NoPlace::OfAddress(self.0.per_address));
            }
            *of_peer += 1;
        }
        taken.all += 1;
        Ok(Place { places: self.clone(), peer })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let Some(peer) = self.peer else { return };
        if let Some(of_peer) = taken.of.get_mut(&peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.of.remove(&peer);
            }
        }
    }
}
