//! The addresses of endpoints.

use std::net::IpAddr;

use url::{Host, Url};

use crate::address_guard::AllowedNetworks;

const LONGEST: usize = 2048;

/// The address of an endpoint, in the form that browsers give it: whatever a host was written as, an IP address shows as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

/// Why a text is no address of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    #[error("must have at most {LONGEST} bytes")]
    TooLong,
    #[error("must be a URL such as https://shop.example/webhooks")]
    Malformed,
    #[error(
        "must begin with https://; http:// is for this machine alone, where ORDO_WEBHOOK_ALLOWED_NETWORKS has its addresses"
    )]
    NotEncrypted,
    #[error("must have no user name and no password: deliveries are signed instead")]
    Credentials,
    #[error("must have no fragment")]
    Fragment,
    #[error("has an address that is not of the Internet and not in ORDO_WEBHOOK_ALLOWED_NETWORKS")]
    AddressRefused,
}

impl EndpointUrl {
    /// Checks what can be known without asking for the host's addresses. These are checked with each connection.
    pub fn parse(text: &str, allowed: &AllowedNetworks) -> Result<Self, EndpointUrlError> {
        if text.len() > LONGEST {
            return Err(EndpointUrlError::TooLong);
        }
        let url = Url::parse(text).map_err(|_| EndpointUrlError::Malformed)?;
        let this_machine = match url.host() {
            // Whatever it resolves to.
            Some(Host::Domain("localhost")) => Some(IpAddr::from([127, 0, 0, 1])),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            None => return Err(EndpointUrlError::Malformed),
        };
        let is_local = this_machine.is_some_and(|address| address.is_loopback() && allowed.allow(address));
        match url.scheme() {
            "https" => {}
            "http" if is_local => {}
            "http" => return Err(EndpointUrlError::NotEncrypted),
            _ => return Err(EndpointUrlError::Malformed),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointUrlError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(EndpointUrlError::Fragment);
        }
        if url.as_str().len() > LONGEST {
            return Err(EndpointUrlError::TooLong);
        }
        match this_machine {
            Some(address) if !allowed.allow(address) => Err(EndpointUrlError::AddressRefused),
            _ => Ok(Self(url)),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, networks: &[&str]) -> Result<String, EndpointUrlError> {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        EndpointUrl::parse(text, &AllowedNetworks::new(networks)).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn an_endpoint_is_on_the_internet_and_encrypted() {
        assert_eq!(parse("https://Shop.example/hooks?a=b", &[]).unwrap(), "https://shop.example/hooks?a=b");
        assert_eq!(parse("https://shop.example:8443", &[]).unwrap(), "https://shop.example:8443/");
        for (text, error) in [
            ("", EndpointUrlError::Malformed),
            ("shop.example", EndpointUrlError::Malformed),
            ("ftp://shop.example/", EndpointUrlError::Malformed),
            ("https://", EndpointUrlError::Malformed),
            ("http://shop.example/", EndpointUrlError::NotEncrypted),
            ("http://localhost:3000/", EndpointUrlError::NotEncrypted),
            ("http://127.0.0.1.nip.io/", EndpointUrlError::NotEncrypted),
            ("https://user:secret@shop.example/", EndpointUrlError::Credentials),
            ("https://user@shop.example/", EndpointUrlError::Credentials),
            ("https://shop.example/#a", EndpointUrlError::Fragment),
            ("https://10.0.0.1/", EndpointUrlError::AddressRefused),
            ("https://localhost/", EndpointUrlError::AddressRefused),
            // Other ways to write 127.0.0.1.
            ("https://2130706433/", EndpointUrlError::AddressRefused),
            ("https://0x7f.1/", EndpointUrlError::AddressRefused),
            ("https://[::ffff:127.0.0.1]/", EndpointUrlError::AddressRefused),
            ("https://[::1]/", EndpointUrlError::AddressRefused),
            ("https://169.254.169.254/latest/meta-data", EndpointUrlError::AddressRefused),
        ] {
            assert_eq!(parse(text, &[]), Err(error), "{text}");
        }
        let long = format!("https://shop.example/{}", "a".repeat(LONGEST));
        assert_eq!(parse(&long, &[]), Err(EndpointUrlError::TooLong));
    }

    #[test]
    fn this_machine_is_allowed_where_the_settings_say_so() {
        for text in ["http://localhost:3000/", "http://127.0.0.1:3000/", "https://127.0.0.1/"] {
            assert!(parse(text, &["127.0.0.0/8"]).is_ok(), "{text}");
        }
        // Another machine has to prove who it is.
        assert_eq!(parse("http://10.0.0.1/", &["10.0.0.0/8"]), Err(EndpointUrlError::NotEncrypted));
        assert!(parse("https://10.0.0.1/", &["10.0.0.0/8"]).is_ok());
    }
}
