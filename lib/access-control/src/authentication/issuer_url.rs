//! Addresses of the issuer of tokens.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Uri;

/// An address of the issuer: `https`, or `http` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl {
    uri: Uri,
    authority: Option<PathBuf>,
}

impl IssuerUrl {
    /// `None`: another scheme, or a user name in it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_safe = match uri.scheme_str()? {
            "https" => true,
            "http" => is_local,
            _ => false,
        };
        (is_safe && !authority.as_str().contains('@')).then_some(Self { uri, authority: None })
    }

    /// Trusts the certificate authorities in a PEM file, instead of those that this machine knows.
    #[must_use]
    pub fn trusting(self, authority: PathBuf) -> Self {
        Self { authority: Some(authority), ..self }
    }

    /// Trusts the same certificate authorities as another address.
    #[must_use]
    pub fn trusting_like(self, other: &Self) -> Self {
        Self { authority: other.authority.clone(), ..self }
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// As it was given.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.uri.to_string()
    }

    /// Whether what comes from there comes over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_reached_by_tls_or_on_this_machine() {
        let accepted = ["https://id.example/keys", "http://localhost:8080/k", "http://127.0.0.1/", "http://[::1]:9/k"];
        for url in accepted {
            assert!(IssuerUrl::parse(url).is_some(), "{url}");
        }
        for url in [
            "",
            "id.example/keys",
            "http://id.example/keys",
            "http://localhost.evil.example/",
            "http://127.0.0.1.nip.io/keys",
            "http://127.0.0.1@evil.example/",
            "https://user:password@id.example/keys",
            "file:///etc/passwd",
            "ftp://localhost/keys",
        ] {
            assert!(IssuerUrl::parse(url).is_none(), "{url}");
        }
    }
}
