//! `ordo key`: API keys, which programs call with.

use std::time::Duration;

use access_control::{ApiKeyId, ApiKeyRequest, ApiKeyRow, Role};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::page::{TerminalFormat, TextTable, TextTone};
use crate::settings::Settings;
use crate::{connections, migrate, output, token};

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an API key and print it and nothing else; it is shown this once
    Create(ApiKeyCreateArgs),
    /// The API keys that are valid, newest first, with the time of their last use to the minute
    List {
        /// Also those that were revoked or have expired
        #[arg(long)]
        all: bool,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke an API key for good, within 10 seconds
    Revoke {
        /// The id of the key: the 16 digits behind `ordo_live_`
        id: ApiKeyId,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ApiKeyCreateArgs {
    /// What whoever has it may do
    #[arg(long, value_parser = token::role())]
    role: Role,
    /// Whose orders it sees; for the role customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Who has it, as events name who caused them; keys of the same name and role are one caller [default: its id]
    #[arg(long)]
    name: Option<String>,
    /// How long it is valid, such as 90d; up to 3660d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Say it as one line of JSON
    #[arg(long)]
    json: bool,
}

fn lifetime(text: &str) -> anyhow::Result<Duration> {
    token::duration_of_days(text, 3660)
}

pub(crate) async fn run(settings: &Settings, command: KeyCommand) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    match command {
        KeyCommand::Create(args) => create(&pool, args).await,
        KeyCommand::List { all, json } => list(&pool, all, json).await,
        KeyCommand::Revoke { id } => {
            ApiKeyRow::revoke(&pool, &id).await?;
            Ok(output::line(&format!("{id} is revoked; within 10 s nobody is let in with it any more"))?)
        }
    }
}

async fn create(pool: &PgPool, args: ApiKeyCreateArgs) -> anyhow::Result<()> {
    let ApiKeyCreateArgs { role, customer, name, expires, json } = args;
    let expires_at = match expires {
        Some(expires) => {
            let end = Utc::now().checked_add_signed(TimeDelta::from_std(expires)?);
            Some(end.context("--expires is too long")?)
        }
        None => None,
    };
    let key = ApiKeyRequest { role, customer_id: customer, name, expires_at }.create(pool).await?;
    if json {
        return Ok(output::line(&json!({ "id": key.id().to_string(), "key": key.expose() }).to_string())?);
    }
    Ok(output::line(key.expose())?)
}

async fn list(pool: &PgPool, all: bool, json: bool) -> anyhow::Result<()> {
    let keys = ApiKeyRow::list(pool, all).await?;
    if json {
        let keys: Vec<Value> = keys.iter().map(key_json).collect();
        return Ok(output::line(&json!({ "keys": keys }).to_string())?);
    }
    if keys.is_empty() {
        return Ok(output::line("there is no API key; `ordo key create --role ROLE` makes one")?);
    }
    let style = TerminalFormat::of_stdout(Utc::now());
    for line in table(&keys, &style).lines(&style) {
        output::line(&line)?;
    }
    Ok(())
}

fn table(keys: &[ApiKeyRow], style: &TerminalFormat) -> TextTable {
    let mut table = TextTable::of(&[false; 7]).flush_left();
    let heading = ["id", "role", "customer", "name", "made", "last used", "ends"];
    table.row(heading.map(|text| (TextTone::Heading, text.to_owned())));
    for key in keys {
        let plain = |text: &str| (TextTone::Plain, text.to_owned());
        let time = |at: Option<DateTime<Utc>>, none: &str| at.map_or_else(|| none.to_owned(), |at| style.ago(at));
        let ends = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => (TextTone::Bad, format!("revoked {}", style.ago(at))),
            (None, end) => (TextTone::Plain, time(end, "")),
        };
        table.row([
            plain(&key.id),
            plain(&key.role),
            plain(key.customer_id.as_deref().unwrap_or_default()),
            plain(key.name.as_deref().unwrap_or_default()),
            plain(&style.ago(key.created_at)),
            (TextTone::Plain, time(key.last_used_at, "never")),
            ends,
        ]);
    }
    table.without_columns_of(&[""])
}

fn key_json(key: &ApiKeyRow) -> Value {
    json!({
        "id": key.id,
        "role": key.role,
        "customerId": key.customer_id,
        "name": key.name,
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
        "lastUsedAt": key.last_used_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_who_has_each_key_and_when_it_ends() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().unwrap();
        let key = |id: &str, role: &str| ApiKeyRow {
            id: id.to_owned(),
            role: role.to_owned(),
            customer_id: None,
            name: None,
            created_at: now - TimeDelta::days(3),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        let shop =
            ApiKeyRow { name: Some("web-shop".to_owned()), last_used_at: Some(now), ..key("00000000000000aa", "shop") };
        let old = ApiKeyRow { revoked_at: Some(now - TimeDelta::hours(2)), ..key("00000000000000bb", "finance") };
        let next = ApiKeyRow { expires_at: Some(now + TimeDelta::days(90)), ..key("00000000000000cc", "auditor") };
        let style = TerminalFormat::plain(None, now);
        assert_eq!(
            table(&[shop, old, next], &style).lines(&style),
            [
                "id                role     name      made        last used  ends",
                "00000000000000aa  shop     web-shop  3 days ago  now",
                "00000000000000bb  finance            3 days ago  never      revoked 2 h ago",
                "00000000000000cc  auditor            3 days ago  never      in 90 days",
            ]
        );
    }
}
