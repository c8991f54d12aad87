//! `ordo inbox`: the mail inbox alone.

use embedded::inbox::Inbox;

use crate::settings::Settings;
use crate::{cli, http, output, shutdown};

/// Keeps the mails that it is sent, until a signal stops it.
pub async fn run(settings: &Settings, args: &cli::Inbox) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let started = Inbox::start_known_as(args.listen, settings.allowed_hosts.as_deref()).await;
    let inbox = started.map_err(|error| http::choose_another(&error, "--listen"))?;
    output::line(&format!("inbox  {}", inbox.url()))?;
    stop.cancelled().await;
    inbox.stop().await;
    Ok(())
}
