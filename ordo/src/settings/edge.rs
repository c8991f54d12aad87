//! The settings of the HTTP server towards the network: encryption, proxies in front, pages of other origins, rates.

use std::net::IpAddr;
use std::path::PathBuf;

use http::{HeaderValue, Uri};
use ipnet::IpNet;

use super::reader::SettingsReader;
use super::value_types::{SettingType, integer};
use crate::http::{ConnectionLimits, ForwardedHeader, RateLimits, TlsFiles, TrustedProxies};

/// How the HTTP server meets the network: encryption, proxies in front, pages of other origins, rates.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    pub tls: Option<TlsFiles>,
    pub trusted_proxies: TrustedProxies,
    /// The origins whose pages may ask and read answers.
    pub cors_origins: Vec<HeaderValue>,
    pub rates: RateLimits,
    /// How many requests one principal may have under way.
    pub requests_per_principal: usize,
}

pub(super) fn read(table: &mut SettingsReader) -> EdgeSettings {
    let certificate = table.optional(
        "ORDO_TLS_CERTIFICATE",
        &file(),
        "The certificate of the server, in PEM, and behind it those that lead to its issuer. With it the API and the operate listener are HTTPS alone, with HTTP/2; read again when it changes",
    );
    let key = table.optional("ORDO_TLS_KEY", &file(), "The key of the certificate, in PEM");
    match (&certificate, &key) {
        (Some(_), None) => table.needed("ORDO_TLS_KEY", &file(), "ORDO_TLS_CERTIFICATE is set"),
        (None, Some(_)) => table.needed("ORDO_TLS_CERTIFICATE", &file(), "ORDO_TLS_KEY is set"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    EdgeSettings {
        tls: certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key }),
        trusted_proxies: TrustedProxies {
            networks: table
                .optional(
                    "ORDO_TRUSTED_PROXIES",
                    &networks(),
                    "Proxies in front whose word about the addresses of their clients is taken",
                )
                .unwrap_or_default(),
            header: table.value(
                "ORDO_FORWARDED_HEADER",
                ForwardedHeader::default(),
                &forwarded_header(),
                "The header in which these proxies name the client, to which each appends",
            ),
        },
        cors_origins: table
            .optional("ORDO_CORS_ORIGINS", &origins(), "Origins whose pages may ask and read answers; without it none may")
            .unwrap_or_default(),
        rates: table.value(
            "ORDO_RATE_LIMITS",
            RateLimits::default(),
            &rates(),
            "Requests that a principal of each role may make, and an address without a credential; what is not named stays as it is",
        ),
        requests_per_principal: table.value(
            "ORDO_REQUESTS_PER_PRINCIPAL",
            ConnectionLimits::default().per_address,
            &integer(1..=ConnectionLimits::default().connections),
            "Requests that one principal may have under way at the same time, wherever they come from",
        ),
    }
}

fn file() -> SettingType<PathBuf> {
    let show = |path: &PathBuf| path.display().to_string();
    SettingType::new("the path of a file", show, |text| (!text.is_empty()).then(|| text.into()))
}

pub(super) fn networks() -> SettingType<Vec<IpNet>> {
    let show = |networks: &Vec<IpNet>| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    SettingType::new("a comma list of addresses and networks such as 10.0.0.0/8,192.0.2.7", show, |text| {
        let address = |text: &str| text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = |text: &str| text.parse().ok().or_else(|| address(text));
        list(text, network)
    })
}

fn forwarded_header() -> SettingType<ForwardedHeader> {
    let show = |header: &ForwardedHeader| match header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for".to_owned(),
        ForwardedHeader::Forwarded => "forwarded".to_owned(),
    };
    SettingType::new("x-forwarded-for or forwarded", show, |text| match text.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Some(ForwardedHeader::XForwardedFor),
        "forwarded" => Some(ForwardedHeader::Forwarded),
        _ => None,
    })
}

/// Origins as browsers write them. `*` is none: a page of any site could then read what this machine may.
fn origins() -> SettingType<Vec<HeaderValue>> {
    let show = |origins: &Vec<HeaderValue>| {
        origins.iter().filter_map(|origin| origin.to_str().ok()).collect::<Vec<_>>().join(",")
    };
    SettingType::new("a comma list of origins such as https://shop.example,http://localhost:5173", show, |text| {
        list(text, origin)
    })
}

fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    let plain = matches!(scheme, "http" | "https") && !authority.contains('@') && uri.query().is_none();
    // Browsers leave the usual port out.
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(usual).unwrap_or(authority);
    let origin = format!("{scheme}://{}", authority.to_ascii_lowercase());
    (plain && uri.path() == "/").then(|| HeaderValue::try_from(origin).ok())?
}

fn rates() -> SettingType<RateLimits> {
    SettingType::new(RateLimits::ALLOWED, RateLimits::to_string, RateLimits::parse)
}

/// An empty text is an empty list.
fn list<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    text.split(',').map(|entry| parse(entry.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (given, origin) in [
            ("https://Shop.example", Some("https://shop.example")),
            ("https://shop.example/", Some("https://shop.example")),
            ("https://shop.example:443", Some("https://shop.example")),
            ("http://localhost:5173", Some("http://localhost:5173")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("*", None),
            ("null", None),
            ("shop.example", None),
            ("https://shop.example/orders", None),
            ("https://user@shop.example", None),
            ("ftp://shop.example", None),
            ("https://*.shop.example/?", None),
        ] {
            let read = super::origin(given);
            assert_eq!(read.as_ref().and_then(|origin| origin.to_str().ok()), origin, "{given}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        let read = |text: &str| (networks().parse)(text).map(|read| (networks().show)(&read));
        assert_eq!(
            read("10.0.0.0/8, 192.0.2.7,2001:db8::1").as_deref(),
            Some("10.0.0.0/8,192.0.2.7/32,2001:db8::1/128")
        );
        assert_eq!(read("").as_deref(), Some(""));
        assert_eq!((read("proxy.example"), read("10.0.0.0/33")), (None, None));
    }
}
