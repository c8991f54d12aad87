//! `ordo health`.

use std::path::Path;
use std::time::Duration;

use crate::client::ApiClient;
use crate::data_dir::DataDir;
use crate::http;
use crate::settings::{RawSettings, SettingSource, Settings};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HealthArgs {
    /// What to ask [default: /health/ready of the platform in the data directory, or at ORDO_LISTEN]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Fails if the platform does not answer that it is ready.
pub(super) async fn run(settings_file: Option<&Path>, dir: &DataDir, args: HealthArgs) -> anyhow::Result<()> {
    let url = match args.url {
        Some(url) => url,
        None => {
            let loaded = Settings::load(RawSettings::of_process(settings_file))?;
            let listen = || format!("http://{}", http::reachable(loaded.settings.listen));
            let set = loaded.source_of("ORDO_LISTEN") != SettingSource::Default && !dir.named;
            let running = if set { None } else { dir.running()? };
            format!("{}/health/ready", running.map_or_else(listen, |running| running.api))
        }
    };
    let (status, body) = ApiClient::new(Duration::from_secs(3)).get(&url).await?;
    anyhow::ensure!(status.is_success(), "{url} answers {status}: {body}");
    Ok(())
}
