//! The client at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The client at the other end of a connection, as limits per client see it: an address of IPv4, or a /64 network of IPv6, which is
/// given to one client as a whole. An extension of each request that came over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) if address.is_loopback() => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_one_address_of_ipv4_or_a_network_of_ipv6() {
        for (address, peer) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1:2:3:4", "2001:db8::"),
            ("2001:db8:0:1:ffff::", "2001:db8:0:1::"),
            ("::1", "::1"),
        ] {
            assert_eq!(ClientNetwork::of(address.parse().unwrap()).to_string(), peer, "{address}");
        }
    }
}
