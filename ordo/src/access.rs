//! Who may call the listeners of a process: everyone on this machine, or who has a credential.

use std::net::SocketAddr;

use access_control::{AccessLayer, Authenticator, Principal, Role};
use anyhow::{Context, bail};
use sqlx::PgPool;

use crate::settings::Settings;

/// The subject of those who call without a credential.
const LOCAL: &str = "local";

/// What is said where everyone is let in.
pub(crate) const EVERYONE_IS_LET_IN: &str = "who calls from this machine without a credential may do everything, as operator:local; --require-auth asks for one";

/// Who calls where no credential comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anonymous {
    /// An operator, because only this machine can call.
    Operator,
    /// Nobody: it is refused.
    Refused,
}

impl Anonymous {
    /// For `ordo up`, which lets in everyone on this machine unless it is told not to. Elsewhere it has to be said who is let in.
    pub(crate) fn of_up(settings: &Settings) -> anyhow::Result<Self> {
        match only_this_machine_calls(settings) {
            true if !settings.access.require_auth => Ok(Self::Operator),
            true => Ok(Self::Refused),
            false => refuse_unless_configured(settings),
        }
    }

    /// For `ordo serve`, which asks everyone once it is said who is let in, and has to be told that unless only this machine can call.
    pub(crate) fn of_serve(settings: &Settings) -> anyhow::Result<Self> {
        match only_this_machine_calls(settings) && !is_configured(settings) {
            true => Ok(Self::Operator),
            false => refuse_unless_configured(settings),
        }
    }

    /// The layer that asks who calls.
    pub(crate) fn layer(self, settings: &Settings, database: &PgPool) -> anyhow::Result<AccessLayer> {
        let authenticator = Authenticator::start(&settings.authentication, Some(database.clone()));
        let authenticator = authenticator.context("credentials can't be checked")?;
        let anonymous = match self {
            Self::Operator => Some(Principal::new(Role::Operator, LOCAL, None)),
            Self::Refused => None,
        };
        Ok(AccessLayer::new(authenticator, anonymous))
    }
}

/// Whether the settings say who is let in.
fn is_configured(settings: &Settings) -> bool {
    settings.access.require_auth || settings.authentication.token_keys.is_some()
}

/// A process that names its hosts is asked under them, which is by way of a proxy.
fn only_this_machine_calls(settings: &Settings) -> bool {
    addresses(settings).iter().all(|address| address.ip().is_loopback()) && settings.allowed_hosts.is_none()
}

fn addresses(settings: &Settings) -> [SocketAddr; 2] {
    [settings.listen, settings.ops_address()]
}

fn refuse_unless_configured(settings: &Settings) -> anyhow::Result<Anonymous> {
    if is_configured(settings) {
        return Ok(Anonymous::Refused);
    }
    let remote = addresses(settings).into_iter().find(|address| !address.ip().is_loopback());
    let why = remote
        .map_or_else(|| "ORDO_ALLOWED_HOSTS names hosts".to_owned(), |address| format!("{address} is not loopback"));
    bail!(
        "{why}, so others than this machine could call, and nothing says who may: set ORDO_JWKS_URL, ORDO_JWKS_FILE or \
         ORDO_TOKEN_SECRET, or ORDO_REQUIRE_AUTH=true for API keys alone, or listen on loopback"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RawSettings;

    fn settings(given: &[(&str, &str)]) -> Settings {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load(RawSettings::default().environment(given)).unwrap().settings
    }

    const SECRET: (&str, &str) = ("ORDO_TOKEN_SECRET", "0123456789abcdef0123456789abcdef");

    #[test]
    fn on_loopback_up_lets_everyone_in_unless_it_is_told_not_to() {
        for given in [&[][..], &[SECRET], &[("ORDO_LISTEN", "[::1]:3000")]] {
            assert_eq!(Anonymous::of_up(&settings(given)).unwrap(), Anonymous::Operator, "{given:?}");
        }
        assert_eq!(Anonymous::of_up(&settings(&[("ORDO_REQUIRE_AUTH", "true")])).unwrap(), Anonymous::Refused);
    }

    #[test]
    fn serve_asks_everyone_once_it_knows_whom_it_may_let_in() {
        assert_eq!(Anonymous::of_serve(&settings(&[])).unwrap(), Anonymous::Operator);
        for given in [SECRET, ("ORDO_REQUIRE_AUTH", "true")] {
            assert_eq!(Anonymous::of_serve(&settings(&[given])).unwrap(), Anonymous::Refused, "{given:?}");
        }
    }

    #[test]
    fn where_others_can_call_it_has_to_be_said_who_may() {
        for open in [
            ("ORDO_LISTEN", "0.0.0.0:3000"),
            ("ORDO_OPS_LISTEN", "192.0.2.7:3001"),
            ("ORDO_LISTEN", "[::]:3000"),
            ("ORDO_ALLOWED_HOSTS", "api.shop.example"),
        ] {
            for decide in [Anonymous::of_up, Anonymous::of_serve] {
                let error = decide(&settings(&[open])).unwrap_err().to_string();
                assert!(error.contains("nothing says who may"), "{error}");
                assert_eq!(decide(&settings(&[open, SECRET])).unwrap(), Anonymous::Refused);
                assert_eq!(decide(&settings(&[open, ("ORDO_REQUIRE_AUTH", "true")])).unwrap(), Anonymous::Refused);
            }
        }
    }
}
