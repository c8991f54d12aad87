//! `ordo webhook`: which programs are told of the events of orders, and what was delivered to them.

mod args;
mod render;

use chrono::Utc;
use serde_json::json;
use sqlx::PgPool;
use webhooks::{EndpointUrl, NewEndpoint, WebhookDelivery, WebhookEndpoint, WebhookReplay, WebhookSecret};

pub(crate) use self::args::WebhookCommand;
use self::args::{WebhookCreateArgs, WebhookDeliveriesArgs};
use crate::page::TerminalFormat;
use crate::settings::Settings;
use crate::{connections, migrate, output};

/// Deliveries that are read at once.
const PAGE: i64 = 200;

pub(crate) async fn run(settings: &Settings, command: WebhookCommand) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    match command {
        WebhookCommand::Create(args) => create(settings, &pool, args).await,
        WebhookCommand::List { json } => list(&pool, json).await,
        WebhookCommand::Show { id, json } => show(&WebhookEndpoint::find(&pool, id).await?, json),
        WebhookCommand::Enable { id } => {
            let enabled = WebhookEndpoint::enable(&pool, id).await?;
            output::line(&format!("{id} is enabled; the first of what waits of each order is tried now"))?;
            if let Some(position) = enabled.missed_from {
                output::line(&format!(
                    "events from position {position} on were missed: `ordo webhook replay {id} --from {position}`"
                ))?;
            }
            Ok(())
        }
        WebhookCommand::Disable { id } => {
            WebhookEndpoint::disable(&pool, id).await?;
            Ok(output::line(&format!(
                "{id} is disabled; what is pending waits, and new events are not recorded for it"
            ))?)
        }
        WebhookCommand::Delete { id } => {
            WebhookEndpoint::delete(&pool, id).await?;
            Ok(output::line(&format!("{id} is deleted, with its deliveries"))?)
        }
        WebhookCommand::RotateSecret { id, json } => {
            let (endpoint, secret) = WebhookEndpoint::rotate_secret(&pool, id).await?;
            secret_line(&endpoint, &secret, json)
        }
        WebhookCommand::Deliveries(args) => deliveries(&pool, args).await,
        WebhookCommand::Resend { delivery } => {
            WebhookDelivery::resend(&pool, None, delivery).await?;
            Ok(output::line(&format!(
                "delivery {delivery} waits to be made again: after what is pending of its order before it, and only while its \
                 endpoint is enabled"
            ))?)
        }
        WebhookCommand::Replay { id, from, to, json } => {
            let replay = WebhookReplay::begin(&pool, id, from, to).await?;
            if json {
                return Ok(output::line(&replay.to_json().to_string())?);
            }
            let (from, to) = (replay.from_position, replay.to_position);
            Ok(output::line(&format!("the events from position {from} to {to} are delivered to {id} again"))?)
        }
        WebhookCommand::CancelReplay { replay } => {
            WebhookReplay::cancel(&pool, None, replay).await?;
            Ok(output::line(&format!("replay {replay} makes no more deliveries"))?)
        }
        WebhookCommand::Replays { id, json } => {
            let replays = WebhookReplay::list(&pool, id).await?;
            if json {
                let replays: Vec<_> = replays.iter().map(WebhookReplay::to_json).collect();
                return Ok(output::line(&json!({ "replays": replays }).to_string())?);
            }
            replays.iter().try_for_each(|replay| output::line(&render::replay(replay)))?;
            Ok(())
        }
    }
}

async fn create(settings: &Settings, pool: &PgPool, args: WebhookCreateArgs) -> anyhow::Result<()> {
    let WebhookCreateArgs { url, types, role, description, json } = args;
    let url = EndpointUrl::parse(&url, &settings.webhooks.allowed_networks());
    let new = NewEndpoint::new(url, description, types, role).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(|mistake| format!("--{}", option(mistake))).collect();
        anyhow::anyhow!(lines.join("\n"))
    })?;
    let (endpoint, secret) = WebhookEndpoint::create(pool, &new).await?;
    secret_line(&endpoint, &secret, json)
}

/// A mistake, with the option in place of the field.
fn option(mistake: &webhooks::EndpointMistake) -> String {
    let option = if mistake.field == "eventTypes" { "type" } else { mistake.field };
    format!("{option} {}", mistake.message)
}

/// Shows a secret: this once.
fn secret_line(endpoint: &WebhookEndpoint, secret: &WebhookSecret, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::line(&json!({ "id": endpoint.id, "secret": secret.expose() }).to_string())?);
    }
    output::line(&format!("id      {}", endpoint.id))?;
    Ok(output::line(&format!("secret  {}", secret.expose()))?)
}

async fn list(pool: &PgPool, json: bool) -> anyhow::Result<()> {
    let endpoints = WebhookEndpoint::list(pool).await?;
    if json {
        let endpoints: Vec<_> = endpoints.iter().map(WebhookEndpoint::to_json).collect();
        return Ok(output::line(&json!({ "webhooks": endpoints }).to_string())?);
    }
    if endpoints.is_empty() {
        return Ok(output::line("there is no webhook; `ordo webhook create --url URL` makes one")?);
    }
    let style = TerminalFormat::of_stdout(Utc::now());
    for line in render::endpoints(&endpoints, &style).lines(&style) {
        output::line(&line)?;
    }
    Ok(())
}

fn show(endpoint: &WebhookEndpoint, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::line(&endpoint.to_json().to_string())?);
    }
    let style = TerminalFormat::of_stdout(Utc::now());
    render::endpoint(endpoint, &style).iter().try_for_each(|line| output::line(line))?;
    Ok(())
}

async fn deliveries(pool: &PgPool, args: WebhookDeliveriesArgs) -> anyhow::Result<()> {
    let state = args.state();
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < args.limit {
        let left = i64::try_from(args.limit - found.len()).unwrap_or(PAGE).min(PAGE);
        let page = WebhookDelivery::list(pool, args.id, state, before, left).await?;
        before = page.last().map(|delivery| delivery.position);
        let is_last = i64::try_from(page.len()).is_ok_and(|read| read < left);
        found.extend(page);
        if is_last {
            break;
        }
    }
    if args.json {
        let deliveries: Vec<_> = found.iter().map(WebhookDelivery::to_json).collect();
        return Ok(output::line(&json!({ "deliveries": deliveries }).to_string())?);
    }
    let style = TerminalFormat::of_stdout(Utc::now());
    for line in render::deliveries(&found, &style).lines(&style) {
        output::line(&line)?;
    }
    Ok(())
}
