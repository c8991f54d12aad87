//! Which addresses an endpoint may have: those of the public Internet, and networks that the settings name.
//!
//! Whoever makes an endpoint must not reach through this process what is not on the Internet: other services of its network, the
//! metadata service of a cloud, this machine. The addresses of a host are checked when it is resolved for a connection, and that
//! connection goes to a checked address. So a name that leads elsewhere a moment later gains nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use ipnet::IpNet;
use tower::Service;

/// What is not the Internet, by IANA's registries of special-purpose addresses.
const SPECIAL_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Metadata services of clouds are here.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, and what is reserved.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The only addresses of IPv6 that are given out, and which of them are not the Internet. Those that carry an address of IPv4 through a
/// tunnel are among these.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const SPECIAL_V6: [(Ipv6Addr, u8); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
/// NAT64: the last four bytes are an address of IPv4.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Networks that endpoints may be in although they are not the Internet.
#[derive(Debug, Clone, Default)]
pub struct AllowedNetworks(Arc<[IpNet]>);

impl AllowedNetworks {
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Whether deliveries may go to an address.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = as_routed(address);
        self.0.iter().any(|network| network.contains(&address)) || is_public(address)
    }
}

/// The address that packets go to: one of IPv4 can be written as one of IPv6.
fn as_routed(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [rest @ .., high, low] = v6.segments();
    let embedded = || {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.to_ipv4_mapped() {
        Some(mapped) => IpAddr::V4(mapped),
        None if rest == NAT64 => embedded(),
        None => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    let has =
        |(network, length): (IpAddr, u8)| IpNet::new(network, length).is_ok_and(|network| network.contains(&address));
    match address {
        IpAddr::V4(_) => !SPECIAL_V4.iter().any(|(network, length)| has((IpAddr::V4(*network), *length))),
        IpAddr::V6(_) => {
            has((IpAddr::V6(GLOBAL_V6.0), GLOBAL_V6.1))
                && !SPECIAL_V6.iter().any(|(network, length)| has((IpAddr::V6(*network), *length)))
        }
    }
}

/// Looks up the addresses of hosts.
pub trait HostResolver: Send + Sync + 'static {
    fn addresses(&self, host: String) -> ResolvedAddresses;
}

/// The addresses of a host, once they are known.
pub type ResolvedAddresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemResolver;

impl HostResolver for SystemResolver {
    fn addresses(&self, host: String) -> ResolvedAddresses {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// An address to which nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} has the address {address}, which is not of the Internet and not in ORDO_WEBHOOK_ALLOWED_NETWORKS")]
pub(crate) struct AddressRefused {
    pub(crate) host: String,
    pub(crate) address: IpAddr,
}

/// Resolves hosts for connections, and refuses those of which any address is not allowed.
#[derive(Clone)]
pub(crate) struct GuardedResolver {
    resolver: Arc<dyn HostResolver>,
    allowed: AllowedNetworks,
}

impl GuardedResolver {
    pub(crate) fn new(resolver: Arc<dyn HostResolver>, allowed: AllowedNetworks) -> Self {
        Self { resolver, allowed }
    }
}

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedResolver").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (host, allowed) = (name.as_str().to_owned(), self.allowed.clone());
        let resolving = self.resolver.addresses(host.clone());
        Box::pin(async move {
            let addresses = resolving.await?;
            if let Some(address) = addresses.iter().find(|address| !allowed.allow(**address)) {
                return Err(io::Error::other(AddressRefused { host, address: *address }));
            }
            // The connector puts the port in.
            let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(networks: &[&str], address: &str) -> bool {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        AllowedNetworks::new(networks).allow(address.parse().unwrap())
    }

    #[test]
    fn only_addresses_of_the_internet_are_allowed() {
        for public in [
            "1.1.1.1",
            "93.184.215.14",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
        ] {
            assert!(allows(&[], public), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allows(&[], private), "{private}");
        }
    }

    #[test]
    fn a_network_can_be_allowed() {
        for (address, allowed) in [("10.0.0.7", true), ("::ffff:10.0.0.7", true), ("10.1.0.7", false), ("::1", true)] {
            assert_eq!(allows(&["10.0.0.0/16", "::1/128"], address), allowed, "{address}");
        }
    }
}
