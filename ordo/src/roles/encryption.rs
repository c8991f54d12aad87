//! How the listeners are served: encrypted or not.

use std::time::Duration;

use super::RoleTasks;
use crate::http::{self, HttpSettings, ServerTls};
use crate::settings::Settings;

/// How often the files of the certificate are looked at.
const LOOK_AT_CERTIFICATE: Duration = Duration::from_secs(10);

/// How the API is served, and but for its limits the operate listener. The certificate is read again when it changes.
pub(super) async fn http_settings(settings: &Settings, running: &mut RoleTasks) -> anyhow::Result<HttpSettings> {
    let limits =
        http::ConnectionLimits { per_address: settings.connections_per_address, ..http::ConnectionLimits::default() };
    let tls = match &settings.edge.tls {
        Some(files) => Some(ServerTls::load(files.clone()).await?),
        None => None,
    };
    if let Some(tls) = tls.clone() {
        running.spawn("tls", tls.reload(LOOK_AT_CERTIFICATE, running.stop.clone()));
    }
    let trusted_proxies = settings.edge.trusted_proxies.clone();
    Ok(HttpSettings { limits: limits.within_open_files(), tls, trusted_proxies })
}
