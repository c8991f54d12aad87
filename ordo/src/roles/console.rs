//! The console, with what goes around its pages.

use std::sync::Arc;

use access_control::OpenIdClient;
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use ordo_console::{
    Console, ConsoleProcess, ConsoleSources, EffectiveSetting, admit, is_the_same_for_everyone, looks_at_credential,
    show_problems, use_session,
};
use payments::Guarded;
use problem::AllowedHosts;
use sqlx::PgPool;

use crate::http::{AddressBucket, RequestRateLimiter};
use crate::settings::{self, PlatformRole, Settings};

/// The pages of the console, under the same limits and rules about hosts and other sites as the operate listener.
pub(super) fn pages(sources: ConsoleSources, hosts: AllowedHosts, rates: &RequestRateLimiter) -> Router {
    let console = Console::new(sources);
    console.routes().layer((
        // The first layer is the outer one.
        from_fn_with_state(console.clone(), show_problems),
        hosts,
        from_fn_with_state(console.clone(), use_session),
        rates.per_address_by(bucket),
        from_fn_with_state(console, admit),
        rates.per_principal(),
    ))
}

/// Whether browsers reach the console by HTTPS: here, or at a proxy in front.
pub(super) fn is_encrypted(settings: &Settings) -> bool {
    let open_id = settings.authentication.open_id.as_ref();
    settings.edge.tls.is_some() || open_id.is_some_and(|open_id| open_id.redirect_url.as_str().starts_with("https://"))
}

/// Where people sign in, if that is set.
pub(super) fn open_id(settings: &Settings) -> anyhow::Result<Option<OpenIdClient>> {
    Ok(settings.authentication.open_id.clone().map(OpenIdClient::start).transpose()?)
}

/// Whether the database's user may store what forms ask for. If not, the console only shows.
pub(super) async fn may_act(database: &PgPool) -> Result<bool, sqlx::Error> {
    let appends =
        "select has_table_privilege('events', 'insert') and has_table_privilege('idempotency_records', 'insert')";
    let may_act: bool = sqlx::query_scalar(appends).fetch_one(database).await?;
    if !may_act {
        tracing::info!("the console only shows: its user of the database may not append events");
    }
    Ok(may_act)
}

/// Whether the database's user may store bulk actions, too.
pub(super) async fn may_run_bulk_actions(database: &PgPool) -> Result<bool, sqlx::Error> {
    let inserts =
        "select has_table_privilege('bulk_actions', 'insert') and has_table_privilege('bulk_actions', 'update')";
    sqlx::query_scalar(inserts).fetch_one(database).await
}

/// What the console shows of this process.
pub(super) fn process(settings: &Settings, roles: &[PlatformRole], payments: &Arc<Guarded>) -> ConsoleProcess {
    let shown = |it: &settings::EffectiveSetting| EffectiveSetting {
        name: it.name,
        value: it.value.clone(),
        source: it.source.to_string(),
    };
    ConsoleProcess {
        version: env!("CARGO_PKG_VERSION"),
        roles: roles.iter().map(|role| role.as_str()).collect(),
        payments: roles.contains(&PlatformRole::Sagas).then(|| Arc::clone(payments)),
        settings: settings.shown.iter().map(shown).collect(),
    }
}

/// Which bucket of its address a request takes a token of. Strangers at the API use up theirs, and keep nobody from signing in.
fn bucket(request: &Request) -> AddressBucket {
    if is_the_same_for_everyone(request) {
        AddressBucket::Uncounted
    } else if looks_at_credential(request) {
        AddressBucket::Credentials
    } else {
        AddressBucket::Strangers
    }
}
