//! Where an issuer's keys are read: at a URL, or from a file.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::ACCEPT;
use tokio::io::AsyncReadExt;

use super::issuer_http::{IssuerHttpClient, LONGEST_ANSWER};
use super::issuer_url::IssuerUrl;
use super::key_set::KeySet;
use super::refreshed::{LoadError, RefreshSource, RefreshTiming};
use super::token::TokenClaimSettings;

pub(super) const TIMING: RefreshTiming = RefreshTiming {
    refresh: Duration::from_secs(300),
    retry: Duration::from_secs(10),
    // A token with a `kid` that nobody has costs its sender nothing.
    pause: Duration::from_secs(60),
    timeout: Duration::from_secs(5),
};

/// Where an issuer's keys are loaded from: an address or a file.
#[derive(Debug)]
pub(super) struct JwksSource {
    place: Place,
    rules: TokenClaimSettings,
}

#[derive(Debug)]
enum Place {
    Url(IssuerUrl, Box<IssuerHttpClient>),
    File(PathBuf),
}

impl JwksSource {
    /// An error: the certificates of the authorities that are trusted can't be read.
    pub(super) fn at_url(url: IssuerUrl, rules: TokenClaimSettings) -> Result<Self, io::Error> {
        let client = IssuerHttpClient::new(url.authority())?;
        Ok(Self { place: Place::Url(url, Box::new(client)), rules })
    }

    pub(super) fn in_file(path: PathBuf, rules: TokenClaimSettings) -> Self {
        Self { place: Place::File(path), rules }
    }
}

impl RefreshSource for JwksSource {
    type Value = KeySet;

    fn name(&self) -> String {
        match &self.place {
            Place::Url(url, _) => format!("the issuer's keys at {}", url.to_text()),
            Place::File(path) => format!("the issuer's keys in {}", path.display()),
        }
    }

    async fn load(&self) -> Result<KeySet, LoadError> {
        let json = match &self.place {
            Place::Url(url, client) => {
                let request =
                    Request::get(url.uri().clone()).header(ACCEPT, "application/jwk-set+json, application/json");
                let response = client.send(request.body(Bytes::new())?).await?;
                if !response.status().is_success() {
                    return Err(format!("the answer is {}", response.status()).into());
                }
                response.into_body()
            }
            Place::File(path) => {
                let mut json = Vec::new();
                let most = LONGEST_ANSWER as u64 + 1;
                tokio::fs::File::open(path).await?.take(most).read_to_end(&mut json).await?;
                json.into()
            }
        };
        if json.len() > LONGEST_ANSWER {
            return Err(format!("it is longer than {LONGEST_ANSWER} bytes").into());
        }
        Ok(KeySet::parse(&json, &self.rules)?)
    }
}
