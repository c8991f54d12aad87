//! One attempt at a delivery: a signed POST.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use error_chain::error_chain;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::address_guard::{AddressRefused, AllowedNetworks, GuardedResolver, HostResolver};
use crate::envelope::ENVELOPE_CONTENT_TYPE;
use crate::outcome::AttemptOutcome;
use crate::secret::WebhookSecret;

/// How much of an answer's body is read and kept.
const ANSWER_BYTES: usize = 1024;
/// How long it may take once the status is known.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that nothing was sent over for this long is closed.
const IDLE: Duration = Duration::from_secs(20);
const IDLE_CONNECTIONS: usize = 4;

/// What endpoints that use TLS are known by.
#[derive(Debug, Clone, Default)]
pub enum TrustedRoots {
    /// The certificate authorities that this machine knows.
    #[default]
    Native,
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// Sends deliveries; clones share its connections. It follows no redirects.
#[derive(Clone)]
pub(crate) struct DeliverySender {
    client: Client<HttpsConnector<HttpConnector<GuardedResolver>>, Full<Bytes>>,
    allowed: AllowedNetworks,
    timeout: Duration,
}

/// A delivery to be sent.
pub(crate) struct OutgoingDelivery<'a> {
    pub(crate) url: &'a str,
    pub(crate) id: &'a str,
    pub(crate) body: String,
    pub(crate) secrets: &'a [WebhookSecret],
}

impl DeliverySender {
    /// `timeout`: how long an attempt may take until the status of its answer is known.
    pub(crate) fn new(
        allowed: AllowedNetworks,
        resolver: Arc<dyn HostResolver>,
        roots: &TrustedRoots,
        timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let mut http = HttpConnector::new_with_resolver(GuardedResolver::new(resolver, allowed.clone()));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        let https = match roots {
            TrustedRoots::Native => {
                let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider());
                match builder {
                    Ok(builder) => builder,
                    Err(error) => {
                        tracing::warn!(%error, "this machine knows no certificate authorities: no endpoint with https can be reached");
                        HttpsConnectorBuilder::new().with_tls_config(trusting(&[])?)
                    }
                }
            }
            TrustedRoots::Only(certificates) => HttpsConnectorBuilder::new().with_tls_config(trusting(certificates)?),
        };
        let https = https.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(https);
        Ok(Self { client, allowed, timeout })
    }

    /// Sends a delivery, and says what came of it.
    pub(crate) async fn send(&self, delivery: OutgoingDelivery<'_>) -> AttemptOutcome {
        let since = Instant::now();
        let outcome = match tokio::time::timeout(self.timeout, self.post(&delivery)).await {
            Ok(Ok(response)) => answered(response).await,
            Ok(Err(error)) => failed(error),
            Err(_) => failed(format!("no answer within {} s", self.timeout.as_secs_f64())),
        };
        AttemptOutcome { took: since.elapsed(), ..outcome }
    }

    async fn post(&self, delivery: &OutgoingDelivery<'_>) -> Result<Response<Incoming>, String> {
        let uri: Uri = delivery.url.parse().map_err(|_| "the URL can't be read".to_owned())?;
        // The connector does not resolve what is an address already.
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if let Some(address) = host.parse::<IpAddr>().ok().filter(|address| !self.allowed.allow(*address)) {
            return Err(AddressRefused { host, address }.to_string());
        }
        let timestamp = Utc::now().timestamp();
        let sign = |secret: &WebhookSecret| secret.sign(delivery.id, timestamp, &delivery.body);
        let signatures: Vec<String> = delivery.secrets.iter().map(sign).collect();
        let request = Request::post(uri)
            .header(CONTENT_TYPE, ENVELOPE_CONTENT_TYPE)
            .header(USER_AGENT, concat!("ordo/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", delivery.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(Full::new(Bytes::from(delivery.body.clone())))
            .map_err(|error| format!("the request can't be written: {error}"))?;
        self.client.request(request).await.map_err(|error| explained(&error))
    }
}

/// A client's TLS that trusts these authorities and no others.
fn trusting(certificates: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone())?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Why a request was not answered, without what the client's layers say around it.
fn explained(error: &(dyn Error + 'static)) -> String {
    let mut next = Some(error);
    while let Some(cause) = next {
        let refused = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(refused) = refused.and_then(|inner| inner.downcast_ref::<AddressRefused>()) {
            return refused.to_string();
        }
        next = cause.source();
    }
    error_chain(error)
}

fn failed(error: String) -> AttemptOutcome {
    AttemptOutcome { status: None, answer: None, error: Some(error), retry_after: None, took: Duration::ZERO }
}

/// What an answer means. Its status decides, whatever becomes of its body.
async fn answered(response: Response<Incoming>) -> AttemptOutcome {
    let status = response.status();
    let throttles = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let retry_after = response.headers().get(RETRY_AFTER).filter(|_| throttles);
    let retry_after = retry_after.and_then(|value| retry_after_of(value.to_str().ok()?));
    let error = match status {
        status if status.is_success() => None,
        status if status.is_redirection() => Some(format!("answered {}: redirects are not followed", status.as_u16())),
        status => Some(format!("answered {}", status.as_u16())),
    };
    let answer = Some(beginning(response).await);
    AttemptOutcome { status: Some(status.as_u16()), answer, error, retry_after, took: Duration::ZERO }
}

/// Seconds, or a date.
fn retry_after_of(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((at.to_utc() - Utc::now()).to_std().unwrap_or_default())
}

/// The first of an answer's body, as text that can be stored. A body that is longer or takes longer is left where it is.
async fn beginning(response: Response<Incoming>) -> String {
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    let reading = async {
        while bytes.len() < ANSWER_BYTES {
            let Some(Ok(frame)) = body.frame().await else { return };
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(&data[..data.len().min(ANSWER_BYTES - bytes.len())]);
            }
        }
    };
    let _ = tokio::time::timeout(ANSWER_TIMEOUT, reading).await;
    String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_says_in_seconds_or_by_a_date_when_to_call_again() {
        assert_eq!(retry_after_of("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after_of("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let soon = retry_after_of(&(Utc::now() + chrono::TimeDelta::seconds(90)).to_rfc2822()).unwrap();
        assert!((80..=90).contains(&soon.as_secs()), "{soon:?}");
        for malformed in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after_of(malformed), None, "{malformed}");
        }
    }
}
