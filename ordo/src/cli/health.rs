//! `ordo health`.

use std::path::Path;

use anyhow::Context;
use ordo_client::Error;
use url::Url;

use crate::api::{ApiAccessArgs, not_reached};
use crate::data_dir::DataDir;
use crate::http;
use crate::settings::{RawSettings, SettingSource, Settings};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HealthArgs {
    /// What to ask [default: /health/ready of the platform in the data directory, or at ORDO_LISTEN]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    api: ApiAccessArgs,
}

/// Fails if the platform does not answer that it is ready.
pub(super) async fn run(settings_file: Option<&Path>, dir: &DataDir, args: HealthArgs) -> anyhow::Result<()> {
    let url = match args.url {
        Some(url) => url,
        None => {
            let loaded = Settings::load(RawSettings::of_process(settings_file))?;
            let scheme = if loaded.settings.edge.tls.is_some() { "https" } else { "http" };
            let listen = || format!("{scheme}://{}", http::reachable(loaded.settings.listen));
            let set = loaded.source_of("ORDO_LISTEN") != SettingSource::Default && !dir.named;
            let running = if set { None } else { dir.running()? };
            format!("{}/health/ready", running.map_or_else(listen, |running| running.api))
        }
    };
    let url = Url::parse(&url).with_context(|| format!("{url} is not an address"))?;
    let segments: Vec<&str> = url.path_segments().map_or_else(Vec::new, Iterator::collect);
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let parameters: Vec<(&str, &str)> =
        parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match args.api.client(origin.as_str())?.get(&segments, &parameters).await {
        // What it says does not matter.
        Ok(_) => Ok(()),
        Err(Error::UnexpectedAnswer { status, .. }) if status.is_success() => Ok(()),
        Err(error @ Error::UntrustedCertificate { .. }) => Err(not_reached(&error).unwrap_or_else(|| error.into())),
        Err(error) => Err(error.into()),
    }
}
