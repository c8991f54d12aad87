//! Proxies in front, and the clients' addresses that they pass on.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use problem::ClientNetwork;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word about their clients' addresses is taken. From everybody else the headers mean nothing: anyone can send them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    pub networks: Vec<IpNet>,
    pub header: ForwardedHeader,
}

/// The header in which they name the client. Only one is read: a proxy that writes one of them passes a forged other one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl TrustedProxies {
    /// The client of a request that came from `address`: that address, unless a trusted proxy names another.
    ///
    /// Each proxy adds the address that it was asked from to the end. So the client is the last address that is no trusted proxy's.
    pub(super) fn client(&self, address: IpAddr, headers: &HeaderMap) -> ClientNetwork {
        let mut client = address.to_canonical();
        if !self.trusts(client) {
            return ClientNetwork::of(client);
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => FORWARDED,
        };
        let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        let hops = values.into_iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops {
            // What a trusted proxy could not name is not looked behind.
            let Some(before) = self.address(hop.trim_ascii()) else { break };
            client = before;
            if !self.trusts(client) {
                break;
            }
        }
        ClientNetwork::of(client)
    }

    /// Whether it is a trusted proxy's.
    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn address(&self, hop: &[u8]) -> Option<IpAddr> {
        let hop = str::from_utf8(hop).ok()?;
        let node = match self.header {
            ForwardedHeader::XForwardedFor => hop,
            ForwardedHeader::Forwarded => hop.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
            })?,
        };
        let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
        let with_port = || node.parse::<SocketAddr>().map(|address| address.ip());
        bare.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ForwardedHeader, from: &str, lines: &[(&'static str, &'static str)]) -> String {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap()).to_vec();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        TrustedProxies { networks, header }.client(from.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let line = |value| [("x-forwarded-for", value)];
        for (from, value, expected) in [
            ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
            ("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
            ("192.0.2.1", "192.0.2.7", "192.0.2.1"),
            ("10.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),
            ("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("10.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
            ("2001:db8::1", "[2a00::1:2:3:4]:4711", "2a00::"),
            ("2001:db8::1", "2a00::1:2:3:4", "2a00::"),
            ("10.0.0.1", "192.0.2.7, unknown", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedHeader::XForwardedFor, from, &line(value)), expected, "{from} {value}");
        }
        assert_eq!(client(ForwardedHeader::XForwardedFor, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn lines_of_the_same_header_are_one_list() {
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.7, 10.0.0.2")];
        assert_eq!(client(ForwardedHeader::XForwardedFor, "10.0.0.1", &lines), "192.0.2.7");
    }

    #[test]
    fn forwarded_names_its_client_by_for() {
        for (value, expected) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("proto=https;For=\"192.0.2.7:4711\";by=10.0.0.1", "192.0.2.7"),
            ("for=203.0.113.9, for=\"[2a00::1:2:3:4]\"", "2a00::"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedHeader::Forwarded, "10.0.0.1", &[("forwarded", value)]), expected, "{value}");
        }
    }

    #[test]
    fn the_other_header_means_nothing() {
        let forged = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(client(ForwardedHeader::XForwardedFor, "10.0.0.1", &forged), "192.0.2.7");
        assert_eq!(client(ForwardedHeader::Forwarded, "10.0.0.1", &forged), "203.0.113.9");
    }
}
