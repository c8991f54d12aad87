//! Webhooks: other programs are told of the events of orders by signed POSTs, as [Standard Webhooks](https://www.standardwebhooks.com)
//! describes them.
//!
//! - `recorder` follows the log and makes a delivery for each endpoint and event.
//! - `dispatcher` makes them: it shares its places among the endpoints (`places`), claims what is due (`claims`), sends it (`sender`),
//!   and records what came of it (`outcome`).
//! - `address_guard` keeps it from calling what is not on the Internet.
//! - `replay` makes deliveries of the past.
//! - [`routes()`] and the functions of [`WebhookEndpoint`], [`WebhookDelivery`] and [`WebhookReplay`] are for operators.
//!
//! The events of an order reach an endpoint in their order: the next one waits until the one before was delivered or given up. Nothing
//! else waits for it. Each is delivered at least once, whatever process dies.

mod address_guard;
mod claims;
mod cleanup;
mod deliveries;
mod dispatcher;
mod endpoint;
mod endpoint_url;
mod envelope;
mod metrics;
mod outcome;
mod places;
mod recorder;
mod replay;
mod retry_schedule;
mod routes;
mod secret;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use event_store::EventStore;
use tokio_util::sync::CancellationToken;

pub use address_guard::{AllowedNetworks, HostResolver, ResolvedAddresses};
pub use deliveries::{DeliveryError, WebhookDelivery};
pub use endpoint::{ENDPOINT_ROLES, EndpointError, EndpointMistake, NewEndpoint, WebhookEndpoint, disabled_endpoints};
pub use endpoint_url::{EndpointUrl, EndpointUrlError};
pub use envelope::{ENVELOPE_CONTENT_TYPE, EnvelopeError, envelope_by_reference, event_envelope};
pub use metrics::WebhookMetrics;
pub use replay::{WebhookReplay, WebhookReplayError};
pub use retry_schedule::RETRY_PAUSES;
pub use routes::{description, routes};
pub use secret::WebhookSecret;
pub use sender::TrustedRoots;

use self::address_guard::SystemResolver;
use self::dispatcher::{DatabaseShare, Dispatcher, DispatcherLimits};
use self::sender::DeliverySender;

/// The connections to the database that [`run`] uses at the same time: for a batch, the renewal of a lease, claims, a replay or the
/// clean-up, and deliveries.
pub const CONNECTIONS: u32 = 4 + dispatcher::CONNECTIONS;

/// How deliveries are made.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Networks that endpoints may be in although they are not the Internet.
    pub allowed_networks: AllowedNetworks,
    /// How long an endpoint may take to answer.
    pub timeout: Duration,
    /// Deliveries to one endpoint at the same time.
    pub per_endpoint: usize,
    /// Deliveries to all endpoints at the same time.
    pub in_all: usize,
    /// An endpoint that has failed for so long is disabled.
    pub disable_after: Duration,
    /// How long deliveries are kept that were made.
    pub retention: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            allowed_networks: AllowedNetworks::default(),
            timeout: Duration::from_secs(15),
            per_endpoint: 8,
            in_all: 64,
            disable_after: day * 5,
            retention: day * 30,
        }
    }
}

/// What deliveries need of their surroundings.
#[derive(Clone)]
pub struct WebhookNetwork {
    pub resolver: Arc<dyn HostResolver>,
    pub roots: TrustedRoots,
}

impl Default for WebhookNetwork {
    fn default() -> Self {
        Self { resolver: Arc::new(SystemResolver), roots: TrustedRoots::default() }
    }
}

/// Records and makes deliveries until told to stop. Any number of copies share the work. An error: a certificate authority of `network`
/// is none.
pub async fn run(
    store: EventStore,
    settings: WebhookSettings,
    network: WebhookNetwork,
    metrics: WebhookMetrics,
    stop: CancellationToken,
) -> Result<(), rustls::Error> {
    let sender = DeliverySender::new(settings.allowed_networks, network.resolver, &network.roots, settings.timeout)?;
    let limits = DispatcherLimits {
        per_endpoint: settings.per_endpoint,
        in_all: settings.in_all,
        timeout: settings.timeout,
        disable_after: settings.disable_after,
    };
    let database = DatabaseShare::default();
    let dispatcher = Dispatcher { store: store.clone(), sender, limits, metrics, database };
    tokio::join!(
        store.subscribe(recorder::DeliveryRecorder, stop.clone()),
        dispatcher.run(stop.clone()),
        replay::carry_on(store.pool().clone(), stop.clone()),
        cleanup::clean_up_regularly(store.pool().clone(), settings.retention, stop),
    );
    Ok(())
}
