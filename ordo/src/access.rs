//! Who may call the listeners of a process: everyone on this machine, or who has a credential.

use std::net::IpAddr;

use access_control::{AccessLayer, Authenticator, Principal, Role, TokenKeys};
use anyhow::{Context, bail};
use http::{HeaderValue, Uri};
use sqlx::PgPool;

use crate::settings::Settings;

/// The subject of those who call without a credential.
const LOCAL: &str = "local";

/// What is said where everyone is let in.
pub(crate) const EVERYONE_IS_LET_IN: &str = "who calls from this machine without a credential may do everything, as operator:local; --require-auth asks for one";

/// What may be done about a start that is refused.
const SAY_WHO: &str = "ask everyone for a credential with --require-auth (ORDO_REQUIRE_AUTH=true), or set ORDO_JWKS_URL, ORDO_JWKS_FILE or \
                       ORDO_TOKEN_SECRET";

/// Whom a request without a credential counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnonymousAccess {
    /// An operator, because only this machine can call.
    Operator,
    /// Nobody: it is refused.
    Refused,
}

impl AnonymousAccess {
    /// For `ordo up`, which lets in everyone on this machine unless it is told not to.
    #[cfg(feature = "embedded")]
    pub(crate) fn of_up(settings: &Settings) -> anyhow::Result<Self> {
        match others_call_because(settings) {
            None if settings.access.require_auth => Ok(Self::Refused),
            None => Ok(Self::Operator),
            Some(exposure) => Self::refused(settings, &exposure),
        }
    }

    /// For `ordo serve`, which lets in nobody without a credential unless it is told to.
    pub(crate) fn of_serve(settings: &Settings) -> anyhow::Result<Self> {
        match (settings.access.allow_anonymous, others_call_because(settings)) {
            (true, Some(Exposure { why, .. })) => {
                bail!("{why}, so others than this machine could call, and ORDO_ALLOW_ANONYMOUS would let them in")
            }
            (true, None) if settings.access.require_auth => {
                bail!("ORDO_ALLOW_ANONYMOUS and ORDO_REQUIRE_AUTH contradict each other: set one of them")
            }
            (true, None) => Ok(Self::Operator),
            (false, Some(exposure)) => Self::refused(settings, &exposure),
            (false, None) if is_configured(settings) => Ok(Self::Refused),
            (false, None) => bail!(
                "nothing says who may call: {SAY_WHO}; or let in everyone on this machine with --allow-anonymous, if no proxy \
                 passes on to it"
            ),
        }
    }

    /// Nobody is let in without a credential, since others could call. An error: there is no credential either.
    fn refused(settings: &Settings, exposure: &Exposure) -> anyhow::Result<Self> {
        let Exposure { why, otherwise } = exposure;
        anyhow::ensure!(
            is_configured(settings),
            "{why}, so others than this machine could call, and nothing says who may: {SAY_WHO}; or {otherwise}"
        );
        Ok(Self::Refused)
    }

    /// The layer that asks who calls.
    pub(crate) fn layer(self, authenticator: Authenticator) -> AccessLayer {
        let anonymous = match self {
            Self::Operator => Some(Principal::new(Role::Operator, LOCAL, None)),
            Self::Refused => None,
        };
        AccessLayer::new(authenticator, anonymous)
    }
}

/// What checks credentials, with the API keys of the database.
pub(crate) fn authenticator(settings: &Settings, database: &PgPool) -> anyhow::Result<Authenticator> {
    let authenticator = Authenticator::start(&settings.authentication, Some(database.clone()));
    authenticator.context("credentials can't be checked")
}

/// Why tokens that are verified by a shared secret are a risk to this process. `None`: they are not, as only this machine can call.
pub(crate) fn shared_secret_risk(settings: &Settings) -> Option<String> {
    let by_secret = matches!(settings.authentication.token_keys, Some(TokenKeys::Secret(_)));
    let Exposure { why, .. } = others_call_because(settings).filter(|_| by_secret)?;
    Some(format!(
        "{why}, and tokens are verified by ORDO_TOKEN_SECRET: whoever has it, as this process does, can sign tokens of any role; \
         verify them by the keys of an identity provider (ORDO_JWKS_URL), or use API keys"
    ))
}

/// Whether the settings say who is let in.
fn is_configured(settings: &Settings) -> bool {
    settings.access.require_auth || settings.authentication.token_keys.is_some()
}

/// What lets others than this machine call.
struct Exposure {
    /// Begins a sentence.
    why: String,
    /// What to do so that only this machine can call.
    otherwise: String,
}

/// Why others than this machine can call. `None`: as far as the settings tell, they can't.
///
/// What is set for a proxy or for the outside says that they can, also on loopback.
fn others_call_because(settings: &Settings) -> Option<Exposure> {
    let edge = &settings.edge;
    let listeners = [Some(settings.listen), Some(settings.ops_address()), settings.console_address()];
    let remote = listeners.into_iter().flatten().find(|address| !address.ip().is_loopback());
    if let Some(address) = remote {
        return Some(Exposure {
            why: format!("{address} is not loopback"),
            otherwise: "listen on loopback".to_owned(),
        });
    }
    let names_others = [
        (settings.allowed_hosts.is_some(), "ORDO_ALLOWED_HOSTS", "names hosts"),
        (!edge.trusted_proxies.networks.is_empty(), "ORDO_TRUSTED_PROXIES", "names proxies"),
        (edge.tls.is_some(), "ORDO_TLS_CERTIFICATE", "is set"),
        (!edge.cors_origins.iter().all(is_of_this_machine), "ORDO_CORS_ORIGINS", "names other sites"),
    ];
    names_others.into_iter().find_map(|(is_so, setting, says)| {
        is_so.then(|| Exposure { why: format!("{setting} {says}"), otherwise: format!("unset {setting}") })
    })
}

/// Whether the pages of an origin come from this machine, such as those of a front end in development.
fn is_of_this_machine(origin: &HeaderValue) -> bool {
    let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    uri.as_ref().and_then(Uri::host).is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
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
    const ASK_EVERYONE: (&str, &str) = ("ORDO_REQUIRE_AUTH", "true");
    const ALLOW: (&str, &str) = ("ORDO_ALLOW_ANONYMOUS", "true");

    #[test]
    fn on_loopback_up_lets_everyone_in_unless_it_is_told_not_to() {
        for given in [&[][..], &[SECRET], &[("ORDO_LISTEN", "[::1]:3000")]] {
            assert_eq!(AnonymousAccess::of_up(&settings(given)).unwrap(), AnonymousAccess::Operator, "{given:?}");
        }
        assert_eq!(AnonymousAccess::of_up(&settings(&[ASK_EVERYONE])).unwrap(), AnonymousAccess::Refused);
    }

    #[test]
    fn serve_lets_nobody_in_unless_it_is_told_to() {
        let error = AnonymousAccess::of_serve(&settings(&[])).unwrap_err().to_string();
        assert!(error.starts_with("nothing says who may call") && error.contains("--allow-anonymous"), "{error}");
        for given in [SECRET, ASK_EVERYONE] {
            assert_eq!(AnonymousAccess::of_serve(&settings(&[given])).unwrap(), AnonymousAccess::Refused, "{given:?}");
        }
        for given in [&[ALLOW][..], &[ALLOW, SECRET], &[ALLOW, ("ORDO_CORS_ORIGINS", "http://localhost:5173")]] {
            assert_eq!(AnonymousAccess::of_serve(&settings(given)).unwrap(), AnonymousAccess::Operator, "{given:?}");
        }
        let error = AnonymousAccess::of_serve(&settings(&[ALLOW, ASK_EVERYONE])).unwrap_err().to_string();
        assert!(error.contains("contradict"), "{error}");
    }

    #[test]
    fn a_shared_secret_is_a_risk_where_others_can_call() {
        const OPEN: (&str, &str) = ("ORDO_LISTEN", "0.0.0.0:3000");
        let risk = |given: &[(&str, &str)]| shared_secret_risk(&settings(given));
        let told = risk(&[SECRET, OPEN]).unwrap();
        assert!(told.starts_with("0.0.0.0:3000 is not loopback") && told.contains("ORDO_JWKS_URL"), "{told}");
        assert!(risk(&[SECRET, ("ORDO_ALLOWED_HOSTS", "api.shop.example")]).is_some());
        let issuer = ("ORDO_TOKEN_ISSUER", "https://id.shop.example/");
        for given in [&[SECRET][..], &[ASK_EVERYONE, OPEN], &[("ORDO_JWKS_FILE", "jwks.json"), issuer, OPEN]] {
            assert_eq!(risk(given), None, "{given:?}");
        }
    }

    #[test]
    fn where_others_can_call_it_has_to_be_said_who_may() {
        for open in [
            &[("ORDO_LISTEN", "0.0.0.0:3000")][..],
            &[("ORDO_OPS_LISTEN", "192.0.2.7:3001")],
            &[("ORDO_CONSOLE_LISTEN", "192.0.2.7:8001")],
            &[("ORDO_LISTEN", "[::]:3000")],
            &[("ORDO_ALLOWED_HOSTS", "api.shop.example")],
            &[("ORDO_TRUSTED_PROXIES", "127.0.0.1")],
            &[("ORDO_CORS_ORIGINS", "http://localhost:5173,https://shop.example")],
            &[("ORDO_CORS_ORIGINS", "http://localhost.shop.example")],
            &[("ORDO_TLS_CERTIFICATE", "cert.pem"), ("ORDO_TLS_KEY", "key.pem")],
        ] {
            for decide in [AnonymousAccess::of_up, AnonymousAccess::of_serve] {
                let with = |more: &[(&str, &str)]| decide(&settings(&[open, more].concat()));
                let error = with(&[]).unwrap_err().to_string();
                assert!(
                    error.contains("nothing says who may") && error.contains("--require-auth"),
                    "{open:?}: {error}"
                );
                // What is said to do would have helped.
                let (setting, _) = open[0];
                let is_address = setting.ends_with("LISTEN");
                let otherwise =
                    if is_address { "or listen on loopback".to_owned() } else { format!("or unset {setting}") };
                assert!(error.ends_with(&otherwise), "{open:?}: {error}");
                assert_eq!(with(&[SECRET]).unwrap(), AnonymousAccess::Refused, "{open:?}");
                assert_eq!(with(&[ASK_EVERYONE]).unwrap(), AnonymousAccess::Refused, "{open:?}");
            }
            for more in [&[ALLOW][..], &[ALLOW, SECRET]] {
                let error = AnonymousAccess::of_serve(&settings(&[open, more].concat())).unwrap_err().to_string();
                assert!(error.contains("ORDO_ALLOW_ANONYMOUS would let them in"), "{open:?}: {error}");
            }
        }
    }
}
