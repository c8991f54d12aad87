//! Who may have a connection: so many of all, so many of one address, and a few more that only ask how the process is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

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
    of_address: HashMap<IpAddr, usize>,
    reserved: usize,
    /// Whether it was said that there is no room.
    said_full: bool,
}

struct Taken {
    address: IpAddr,
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
        let (taken, of_address) = (HashMap::new(), HashMap::new());
        Self { limits, clock: Instant::now(), taken, of_address, reserved: 0, said_full: false }
    }

    /// A place for a new connection, if there is one or somebody can make one.
    pub(super) fn find(&mut self, peer: IpAddr) -> Option<Place> {
        let address = host(peer);
        let crowded = self.of_address.get(&address).is_some_and(|count| *count >= self.limits.per_address);
        let full = self.taken.len() - self.reserved >= self.limits.connections;
        if !full && !crowded {
            self.said_full = false;
            return Some(Place::Full);
        }
        if self.displace(|taken| taken.place == Place::Full && (!crowded || taken.address == address)) {
            return Some(Place::Full);
        }
        if !std::mem::replace(&mut self.said_full, true) {
            let (connections, per_address) = (self.limits.connections, self.limits.per_address);
            tracing::warn!(%address, crowded, connections, per_address, "no room for more connections");
        }
        let reserve = self.reserved < self.limits.reserve || self.displace(|taken| taken.place == Place::Reserved);
        reserve.then_some(Place::Reserved)
    }

    /// What tells whether a connection that has found a place can lose it again.
    pub(super) fn turn(&self) -> Arc<Turn> {
        Turn::waiting(self.clock)
    }

    /// Seats a connection in the place that was found for it.
    pub(super) fn take(&mut self, place: Place, peer: IpAddr, turn: Arc<Turn>, abort: AbortHandle) {
        let address = host(peer);
        match place {
            Place::Full => *self.of_address.entry(address).or_default() += 1,
            Place::Reserved => self.reserved += 1,
        }
        self.taken.insert(abort.id(), Taken { address, place, turn, abort });
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: Id) {
        // One that was displaced is known no more.
        let Some(taken) = self.taken.remove(&connection) else { return };
        match taken.place {
            Place::Reserved => self.reserved -= 1,
            Place::Full => {
                if let Some(count) = self.of_address.get_mut(&taken.address) {
                    *count -= 1;
                    if *count == 0 {
                        self.of_address.remove(&taken.address);
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

/// Whoever has an address of IPv6 has all 2⁶⁴ of that network.
fn host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) if address.is_loopback() => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_address_of_ipv4_or_a_network_of_ipv6() {
        for (peer, known_as) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1:2:3:4", "2001:db8::"),
            ("2001:db8:0:1:ffff::", "2001:db8:0:1::"),
            ("::1", "::1"),
        ] {
            assert_eq!(host(peer.parse().unwrap()), known_as.parse::<IpAddr>().unwrap(), "{peer}");
        }
    }
}
