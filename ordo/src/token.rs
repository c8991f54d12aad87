//! `ordo token`: tokens for development, signed with the secret that the platform verifies them with.

use std::time::Duration;

use access_control::{Role, TokenKeys, TokenRequest};
use anyhow::{bail, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::data_dir::DataDir;
use crate::output;
use crate::settings::Settings;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TokenArgs {
    /// What whoever has it may do
    #[arg(long, value_parser = role())]
    role: Role,
    /// Whose orders it sees; for the role customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Who has it, as events name who caused them [default: the customer, or `local`]
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// How long it is valid, such as 15m, 1h or 7d; up to 366d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    expires: Duration,
}

/// Prints the token and nothing else.
pub(crate) fn run(settings: &Settings, dir: &DataDir, args: &TokenArgs) -> anyhow::Result<()> {
    let secret = match &settings.authentication.token_keys {
        Some(TokenKeys::Secret(secret)) => secret.clone(),
        Some(TokenKeys::JwksUrl(_) | TokenKeys::JwksFile(_)) => {
            bail!(
                "tokens come from the issuer whose keys ORDO_JWKS_URL or ORDO_JWKS_FILE names: ask it for one, or make an API key with `ordo key create`"
            )
        }
        None => dir.token_secret()?,
    };
    let subject = args.subject.clone().or_else(|| args.customer.clone()).unwrap_or_else(|| "local".to_owned());
    let request =
        TokenRequest { role: args.role, subject, customer_id: args.customer.clone(), valid_for: args.expires };
    Ok(output::line(&request.sign(&secret, &settings.authentication.token_claims)?)?)
}

/// The names of roles, as clap lists them.
pub(crate) fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|name| name.parse::<Role>())
}

fn lifetime(text: &str) -> anyhow::Result<Duration> {
    duration_of_days(text, 366)
}

/// Reads such as 15m or 90d, from a second to that many days.
pub(crate) fn duration_of_days(text: &str, most: u64) -> anyhow::Result<Duration> {
    let duration = humantime::parse_duration(text)?;
    let longest = Duration::from_secs(most * 86_400);
    ensure!((Duration::from_secs(1)..=longest).contains(&duration), "must be from 1s to {most}d");
    Ok(duration)
}
