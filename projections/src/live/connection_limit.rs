//! Limits the live streams of a process, in total and per client address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use problem::Peer;

#[derive(Debug, Clone)]
pub(super) struct ConnectionLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    per_address: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: usize,
    by_peer: HashMap<Peer, usize>,
}

/// One open live stream. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    limit: ConnectionLimit,
    peer: Option<Peer>,
}

/// Which limit is reached, and how many streams it allows.
#[derive(Debug, Clone, Copy)]
pub(super) enum LimitReached {
    Total(usize),
    PerAddress(usize),
}

impl ConnectionLimit {
    pub(super) fn new(total: usize, per_address: usize) -> Self {
        Self(Arc::new(Shared { total, per_address, open: Mutex::default() }))
    }

    /// `peer`: the client's address, if it is known.
    pub(super) fn acquire(&self, peer: Option<Peer>) -> Result<ConnectionSlot, LimitReached> {
        let mut open = self.open();
        if open.total >= self.0.total {
            return Err(LimitReached::Total(self.0.total));
        }
        if let Some(peer) = peer {
            let from_peer = open.by_peer.entry(peer).or_default();
            if *from_peer >= self.0.per_address {
                return Err(LimitReached::PerAddress(self.0.per_address));
            }
            *from_peer += 1;
        }
        open.total += 1;
        Ok(ConnectionSlot { limit: self.clone(), peer })
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.limit.open();
        open.total -= 1;
        let Some(peer) = self.peer else { return };
        if let Some(from_peer) = open.by_peer.get_mut(&peer) {
            *from_peer -= 1;
            if *from_peer == 0 {
                open.by_peer.remove(&peer);
            }
        }
    }
}
