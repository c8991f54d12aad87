//! `ordo serve`: roles against a database, queues and a mail service that are there already.

use crate::connections::Connections;
use crate::settings::Settings;
use crate::{http, migrate, roles, shutdown};

/// Runs the roles in the settings until a signal stops them.
pub async fn run(settings: Settings, unsafe_durability: bool) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    // First, because it is the mistake that costs least to find.
    let listener = http::bind(settings.listen, "--listen")?;
    let connections = Connections::open(&settings).await?;
    connections.check_durability(unsafe_durability).await?;
    migrate::check(&connections.database).await?;
    let running = roles::start(&settings, &connections, &settings.roles, listener, stop.clone()).await?;
    let stopped = shutdown::within_bound(&stop, running.join()).await;
    connections.database.close().await;
    stopped
}
