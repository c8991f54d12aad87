//! The settings of webhooks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use webhooks::{AllowedNetworks, WebhookSettings};

use super::edge::networks;
use super::reader::SettingsReader;
use super::value_types::{integer, seconds};

/// How webhooks are delivered.
#[derive(Debug, Clone)]
pub struct WebhookDeliverySettings {
    /// Networks that endpoints may be in although they are not the Internet; `None`: none, or with `ordo up` this machine.
    pub(crate) allowed_networks: Option<Vec<IpNet>>,
    timeout: Duration,
    per_endpoint: usize,
    disable_after: Duration,
    retention: Duration,
}

impl WebhookDeliverySettings {
    /// Allows this machine, unless the settings say what is allowed.
    pub(crate) fn allow_this_machine(&mut self) {
        self.allowed_networks.get_or_insert_with(|| {
            let all_of_ipv4 = IpNet::new(Ipv4Addr::LOCALHOST.into(), 8).ok();
            all_of_ipv4.into_iter().chain([IpAddr::from(Ipv6Addr::LOCALHOST).into()]).collect()
        });
    }

    pub(crate) fn allowed_networks(&self) -> AllowedNetworks {
        AllowedNetworks::new(self.allowed_networks.clone().unwrap_or_default())
    }

    pub(crate) fn settings(&self) -> WebhookSettings {
        WebhookSettings {
            allowed_networks: self.allowed_networks(),
            timeout: self.timeout,
            per_endpoint: self.per_endpoint,
            disable_after: self.disable_after,
            retention: self.retention,
            ..WebhookSettings::default()
        }
    }
}

pub(super) fn read(table: &mut SettingsReader) -> WebhookDeliverySettings {
    let usual = WebhookSettings::default();
    WebhookDeliverySettings {
        allowed_networks: table.optional(
            "ORDO_WEBHOOK_ALLOWED_NETWORKS",
            &networks(),
            "Networks that webhook endpoints may be in although they are not the Internet. `up` allows this machine without it",
        ),
        timeout: table.value(
            "ORDO_WEBHOOK_TIMEOUT",
            usual.timeout,
            &seconds(1..=60),
            "How long an endpoint may take to answer",
        ),
        per_endpoint: table.value(
            "ORDO_WEBHOOK_CONCURRENCY",
            usual.per_endpoint,
            &integer(1..=64),
            "Deliveries to one endpoint at the same time, from one process; 64 to all of them",
        ),
        disable_after: table.value(
            "ORDO_WEBHOOK_DISABLE_AFTER",
            usual.disable_after,
            &seconds(60..=31_536_000),
            "How long an endpoint may fail until it is disabled",
        ),
        retention: table.value(
            "ORDO_WEBHOOK_RETENTION",
            usual.retention,
            &seconds(60..=315_360_000),
            "How long deliveries that were made can be looked at; those that were not stay",
        ),
    }
}
