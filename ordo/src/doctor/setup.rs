//! The settings: those that let in too many, or take no money.

use super::report::Findings;
use crate::settings::{PaymentProvider, Settings};

pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    access(settings, findings);
    network(settings, findings);
    payment(settings, findings);
    if settings.message_keys.is_some() {
        findings.ok("message-keys", "messages are signed");
    } else {
        let advice = "set ORDO_MESSAGE_KEYS to the same for all: without it sagas and notification do not start";
        findings.warning("message-keys", "there are none", advice);
    }
}

fn access(settings: &Settings, findings: &mut Findings) {
    if settings.access.allow_anonymous && !settings.access.require_auth {
        let advice = "take ORDO_ALLOW_ANONYMOUS away, and name the keys of tokens (ORDO_JWKS_URL) or make API keys";
        findings.problem("credentials", "everyone who reaches the process is let in as an operator", advice);
    } else if settings.authentication.token_keys.is_some() || settings.access.require_auth {
        findings.ok("credentials", "everyone is asked for one");
    } else {
        let advice = "`serve` does not start: set ORDO_JWKS_URL, ORDO_JWKS_FILE or ORDO_TOKEN_SECRET, or ORDO_REQUIRE_AUTH=true with API keys";
        findings.warning("credentials", "it is not said who is let in", advice);
    }
}

fn network(settings: &Settings, findings: &mut Findings) {
    let (api, ops) = (settings.listen, settings.ops_address());
    if settings.edge.tls.is_some() {
        findings.ok("network", "the API and the operate listener are HTTPS alone");
    } else if api.ip().is_loopback() && ops.ip().is_loopback() {
        findings.ok("network", "both listeners are on this machine alone");
    } else {
        let seen = format!("{api} and {ops} answer without TLS");
        findings.warning(
            "network",
            &seen,
            "have a proxy with TLS before them that nobody gets around, or set ORDO_TLS_CERTIFICATE",
        );
    }
    match &settings.database_url {
        Some(url) if url.trusts_the_network() => findings.warning(
            "database-tls",
            "nobody checks that the database is the one",
            "leave sslmode out of DATABASE_URL, or set it to verify-full",
        ),
        Some(_) => findings.ok("database-tls", "the database is on this machine, or proves which it is"),
        None => findings.not_checked("database-tls", "DATABASE_URL is not set"),
    }
}

fn payment(settings: &Settings, findings: &mut Findings) {
    match settings.payment.provider {
        Some(PaymentProvider::Sandbox) => {
            findings.warning(
                "payment",
                "the sandbox takes payments: no money moves",
                "set ORDO_PAYMENT_PROVIDER=stripe for a shop",
            );
        }
        Some(PaymentProvider::Stripe) => findings.ok("payment", "Stripe takes payments"),
        None => findings.warning(
            "payment",
            "nobody takes payments",
            "set ORDO_PAYMENT_PROVIDER: sagas do not start without",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::CheckState;
    use super::*;
    use crate::settings::RawSettings;

    fn states(variables: &[(&str, &str)]) -> Vec<(&'static str, CheckState)> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::load(RawSettings::default().environment(variables)).unwrap().settings;
        let mut findings = Findings::default();
        check(&settings, &mut findings);
        findings.items().iter().map(|item| (item.check, item.state)).collect()
    }

    #[test]
    fn what_lets_everyone_in_is_a_problem_and_what_takes_no_money_a_warning() {
        let found = states(&[("ORDO_ALLOW_ANONYMOUS", "true"), ("ORDO_PAYMENT_PROVIDER", "sandbox")]);
        assert!(found.contains(&("credentials", CheckState::Problem)), "{found:?}");
        assert!(found.contains(&("payment", CheckState::Warning)), "{found:?}");
        assert!(found.contains(&("network", CheckState::Ok)), "{found:?}");
    }

    #[test]
    fn an_address_of_the_network_without_tls_is_a_warning() {
        let found = states(&[("ORDO_LISTEN", "0.0.0.0:3000"), ("ORDO_REQUIRE_AUTH", "true")]);
        assert!(found.contains(&("network", CheckState::Warning)), "{found:?}");
        assert!(found.contains(&("credentials", CheckState::Ok)), "{found:?}");
    }
}
