//! `ordo inbox`: the mail inbox alone.

use std::net::SocketAddr;

use embedded::inbox::Inbox;

use crate::settings::Settings;
use crate::{http, shutdown, telemetry};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InboxServerArgs {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8005")]
    pub(crate) listen: SocketAddr,
}

/// Keeps the mails that it is sent, until a signal stops it.
pub(crate) async fn run(settings: &Settings, args: &InboxServerArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let started = Inbox::start_known_as(args.listen, settings.allowed_hosts.as_deref()).await;
    let inbox = started.map_err(|error| http::choose_another(&error, "--listen"))?;
    telemetry::listens("inbox", inbox.address(), settings)?;
    stop.cancelled().await;
    inbox.stop().await;
    Ok(())
}
