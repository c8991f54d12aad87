//! TLS with a certificate and a key from files, which are read again when they change.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// The name of HTTP/2 in the handshake.
const HTTP_2: &[u8] = b"h2";
/// How much of an answer is encrypted ahead.
const ENCRYPTED_AHEAD: usize = 32 * 1024;

/// Where the certificate and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and then those that lead to its issuer.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a server needs for TLS. Clones share the certificate: a new one is used for all new connections.
#[derive(Debug, Clone)]
pub struct ServerTls {
    files: TlsFiles,
    current: Arc<RwLock<Loaded>>,
}

struct Loaded {
    pem: PemPair,
    config: Arc<ServerConfig>,
}

/// What the files hold. Without `Debug`: the key is not for logs.
#[derive(Clone, PartialEq, Eq)]
struct PemPair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Fails if a file can't be read, or the key is not that of the certificate.
    pub async fn load(files: TlsFiles) -> anyhow::Result<Self> {
        let pem = files.read().await?;
        let config = pem.config().with_context(|| files.to_string())?;
        Ok(Self { files, current: Arc::new(RwLock::new(Loaded { pem, config })) })
    }

    /// Looks at the files again and again, and uses what they hold once it has changed. A certificate and a key that do not belong
    /// together change nothing, and are logged once: they are replaced one after the other.
    pub async fn reload(self, every: Duration, stop: CancellationToken) {
        let mut refused = None;
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let read = self.files.read().await;
            let loaded = match &read {
                Ok(pem) if *pem == self.pem() => {
                    refused = None;
                    continue;
                }
                Ok(pem) => pem.config(),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            match (loaded, read) {
                (Ok(config), Ok(pem)) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Loaded { pem, config };
                    refused = None;
                    tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is used");
                }
                (Err(error), _) | (_, Err(error)) => {
                    let why = format!("{error:#}");
                    if refused.as_ref() != Some(&why) {
                        tracing::error!(error = why, "the new certificate can't be used; the one before is kept");
                        refused = Some(why);
                    }
                }
            }
        }
    }

    /// The handshake with a client.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> std::io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config);
        let bounded = |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(ENCRYPTED_AHEAD));
        TlsAcceptor::from(config).accept_with(stream, bounded).await
    }

    fn pem(&self) -> PemPair {
        self.current.read().unwrap_or_else(PoisonError::into_inner).pem.clone()
    }
}

/// Whether the client has chosen HTTP/2.
pub(super) fn speaks_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
}

impl TlsFiles {
    async fn read(&self) -> anyhow::Result<PemPair> {
        let read = async |path: &PathBuf| {
            tokio::fs::read(path).await.with_context(|| format!("{} can't be read", path.display()))
        };
        Ok(PemPair { certificate: read(&self.certificate).await?, key: read(&self.key).await? })
    }
}

impl std::fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the certificate {} with the key {} can't be used", self.certificate.display(), self.key.display())
    }
}

impl PemPair {
    fn config(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .context("the certificate is not PEM")?;
        ensure!(!chain.is_empty(), "there is no certificate");
        let key = PrivateKeyDer::from_pem_slice(&self.key).context("the key is not PEM")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
