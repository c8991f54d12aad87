//! `ordo queues`: an SQS endpoint alone.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use embedded::sqs::{Sqs, SqsOptions, SqsStartError};
use url::Url;

use crate::data_dir::DataDir;
use crate::settings::Settings;
use crate::{http, shutdown, telemetry};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct QueuesServerArgs {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    pub(crate) listen: SocketAddr,
    /// Where clients reach it, for the URLs of its queues [default: where it listens]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<Url>,
}

/// Keeps queues until a signal stops it: in the data directory, if the command line names one, else in memory.
pub(crate) async fn run(settings: &Settings, args: &QueuesServerArgs, dir: &DataDir) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let options = SqsOptions {
        hosts: settings.allowed_hosts.as_deref(),
        public: args.public_url.as_ref().map(host_and_port).transpose()?,
        folder: dir.named.then(|| dir.path.clone()),
    };
    let is_kept = options.folder.is_some();
    let started = stop.run_until_cancelled(Sqs::start_alone(args.listen, options)).await;
    let Some(started) = started else { return Ok(()) };
    let sqs = started.map_err(|error| match error {
        SqsStartError::Listen(error) => http::choose_another(&error, "--listen"),
        kept @ SqsStartError::Journal(_) => kept.into(),
    })?;
    telemetry::listens("queues", sqs.address(), settings)?;
    if !is_kept {
        tracing::warn!("queues and messages end with this process: --data-dir names a folder to keep them in");
    }
    let failed = tokio::select! {
        () = stop.cancelled() => None,
        failed = sqs.failed() => Some(failed),
    };
    sqs.stop().await;
    failed.map_or(Ok(()), |failed| Err(anyhow::Error::msg(failed)))
}

fn host_and_port(url: &Url) -> anyhow::Result<(String, u16)> {
    let is_plain = url.scheme() == "http" && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    ensure!(is_plain && url.username().is_empty(), "--public-url is http://HOST:PORT: {url}");
    let host = url.host_str().with_context(|| format!("--public-url has no host: {url}"))?;
    // The brackets of an address of IPv6 are put there by whoever makes the URL.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), url.port_or_known_default().unwrap_or(80)))
}
