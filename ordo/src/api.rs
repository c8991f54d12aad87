//! How commands reach the HTTP interface of a running platform.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use error_chain::error_chain;
use ordo_client::{Client, Error};

/// The environment variable with the credential of commands.
pub(crate) const TOKEN_VARIABLE: &str = "ORDO_TOKEN";
/// The time-out of an answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ApiAccessArgs {
    /// An API key or token for the platform [environment: ORDO_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A PEM file with the only certificates that an https platform's may be signed by [default: this machine's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Send the token over http:// to another machine, too: everybody on the way can read it
    #[arg(long)]
    allow_token_over_http: bool,
}

impl ApiAccessArgs {
    /// A client that asks once: whoever sits at the terminal is told at once what is wrong.
    pub(crate) fn client(&self, url: &str) -> Result<Client, Error> {
        let mut builder = Client::builder(url).timeout(PATIENCE).retries(0, Duration::ZERO);
        let of_environment = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        if let Some(token) = self.token.clone().or(of_environment) {
            builder = builder.token(token.trim());
        }
        if self.allow_token_over_http {
            builder = builder.allow_token_over_http();
        }
        if let Some(file) = &self.ca {
            builder = builder.ca_file(file);
        }
        builder.build()
    }
}

/// Why no platform can be asked, with what to do about it; `None`: it is another error.
pub(crate) fn not_reached(error: &Error) -> Option<anyhow::Error> {
    if let Error::UntrustedCertificate { .. } = error {
        let hint = "--ca names a file with the certificate of whoever signed it";
        return Some(anyhow!("{}; {hint}", error_chain(error)));
    }
    let hint = "start one with `ordo up`, or name it with --api";
    matches!(error, Error::Unreachable { .. }).then(|| anyhow!("no platform: {}; {hint}", error_chain(error)))
}
