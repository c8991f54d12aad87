//! The settings of access control: where operators call, who is asked for a credential, and what a role may spend.

use std::net::{Ipv4Addr, SocketAddr};

use command_api::SupportRefundLimits;

use super::reader::SettingsReader;
use super::value_types::{SettingType, socket_address, truth};
use super::{PlatformRole, Settings};

/// The port of the operate listener.
const OPS_PORT: u16 = 3001;
/// The port of the console.
const CONSOLE_PORT: u16 = 8001;

/// Who is let in without a credential, where the operate listener is, and how much support may refund.
#[derive(Debug, Clone)]
pub struct AccessPolicySettings {
    /// Where the operate listener is, if that is said.
    pub ops_listen: Option<SocketAddr>,
    /// Where the console is, if that is said.
    pub console_listen: Option<SocketAddr>,
    /// Whether everyone is asked for a credential, also where only this machine can call.
    pub require_auth: bool,
    /// Whether `ordo serve` lets in everyone on this machine, where only this machine can call.
    pub allow_anonymous: bool,
    /// How much support may refund of an order.
    pub support_refunds: SupportRefundLimits,
}

impl Settings {
    /// Where the operate listener is. Where the API takes any free port, so does it.
    #[must_use]
    pub(crate) fn ops_address(&self) -> SocketAddr {
        self.access.ops_listen.unwrap_or_else(|| self.on_loopback(OPS_PORT))
    }

    /// Where the console is, likewise. `None`: this process has none.
    #[must_use]
    pub(crate) fn console_address(&self) -> Option<SocketAddr> {
        let named = self.access.console_listen.unwrap_or_else(|| self.on_loopback(CONSOLE_PORT));
        self.roles.contains(&PlatformRole::Console).then_some(named)
    }

    fn on_loopback(&self, port: u16) -> SocketAddr {
        let port = if self.listen.port() == 0 { 0 } else { port };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }
}

pub(super) fn read(table: &mut SettingsReader) -> AccessPolicySettings {
    AccessPolicySettings {
        ops_listen: table.optional(
            "ORDO_OPS_LISTEN",
            &socket_address(),
            "Where the operate listener is: metrics, replays, sagas. Without it 127.0.0.1:3001, or any free port where ORDO_LISTEN has port 0",
        ),
        console_listen: table.optional(
            "ORDO_CONSOLE_LISTEN",
            &socket_address(),
            "Where the console is, with the role console. Without it 127.0.0.1:8001, or any free port where ORDO_LISTEN has port 0",
        ),
        require_auth: table.value(
            "ORDO_REQUIRE_AUTH",
            false,
            &truth(),
            "Whether everyone is asked for a credential. It is so in any case where others than this machine can call",
        ),
        allow_anonymous: table.value(
            "ORDO_ALLOW_ANONYMOUS",
            false,
            &truth(),
            "Whether `serve` lets in those on this machine who send no credential, as operators. `up` does so in any case",
        ),
        support_refunds: table.value(
            "ORDO_SUPPORT_REFUNDS",
            SupportRefundLimits::parse("USD=100,EUR=100,GBP=100").unwrap_or_default(),
            &refund_limits(),
            "How much the role support may refund of one order, in each currency; nothing in others",
        ),
    }
}

fn refund_limits() -> SettingType<SupportRefundLimits> {
    let allowed = "a comma list of currencies with amounts such as USD=100,JPY=15000, or none";
    SettingType::new(allowed, SupportRefundLimits::to_string, SupportRefundLimits::parse)
}
