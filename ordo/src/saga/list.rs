//! `ordo saga list`.

use anyhow::ensure;
use domain::order::saga::SagaStep;
use sagas::report::{self, GivenUpMailFilter, GivenUpMailGroup, SagaEnd, SagaState, SagaWaitReason, WaitingSagaFilter};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{SagaListArgs, render};
use crate::output;

pub(super) async fn run(pool: &PgPool, args: &SagaListArgs) -> anyhow::Result<()> {
    match args.state {
        None => waiting(pool, args, None).await,
        Some(SagaState::Running) => waiting(pool, args, Some(false)).await,
        Some(SagaState::Stuck) => waiting(pool, args, Some(true)).await,
        Some(SagaState::Failed) => failed(pool, args).await,
        Some(state @ SagaState::Completed) => ended(pool, args, state, SagaEnd::Completed).await,
        Some(state @ SagaState::Compensated) => ended(pool, args, state, SagaEnd::Compensated).await,
    }
}

async fn waiting(pool: &PgPool, args: &SagaListArgs, stuck: Option<bool>) -> anyhow::Result<()> {
    let (error, step) = (args.error.as_deref(), args.step);
    let filter = WaitingSagaFilter { stuck, error, step, ..WaitingSagaFilter::default() };
    let rows = report::waiting(pool, filter, None, args.limit.get().into()).await?;
    let groups = report::groups(pool, filter).await?;
    let (running, stuck) = report::count(pool, filter).await?;
    // Without --state, the list is of everything that may need attention.
    let failed = if args.state.is_none() { count_failed(pool, args).await? } else { 0 };
    if args.json {
        let sagas: Vec<Value> = rows.iter().map(render::summary).collect();
        let groups: Vec<Value> = groups.iter().map(group_json).collect();
        let answer = json!({ "sagas": sagas, "groups": groups, "running": running, "stuck": stuck, "failed": failed });
        return Ok(output::line(&answer.to_string())?);
    }
    for row in &rows {
        output::line(&render::line(row))?;
    }
    for group in &groups {
        output::line(&render::harmless(&group_text(group)))?;
    }
    let left = running + stuck - i64::try_from(rows.len())?;
    let more = if left > 0 { format!(", {left} of them not listed: --limit") } else { String::new() };
    output::line(&format!("{} running, {stuck} stuck{more}", render::sagas(running)))?;
    if failed > 0 {
        output::line(&format!("{} given up: --state failed", render::mails(failed)))?;
    }
    Ok(())
}

/// Failed mails.
async fn failed(pool: &PgPool, args: &SagaListArgs) -> anyhow::Result<()> {
    ensure!(args.step.is_none_or(|step| step == SagaStep::NotifyCustomer), "only mails fail: leave --step out");
    let filter = GivenUpMailFilter { error: args.error.as_deref(), until: None };
    let mails = report::given_up(pool, filter, 0, args.limit.get().into()).await?;
    let groups = report::given_up_groups(pool, filter).await?;
    let count = count_failed(pool, args).await?;
    if args.json {
        let mails: Vec<Value> = mails.iter().map(render::mail_summary).collect();
        let group = |GivenUpMailGroup { template, reason, count }: &GivenUpMailGroup| json!({ "template": template, "state": "failed", "error": reason, "count": count });
        let groups: Vec<Value> = groups.iter().map(group).collect();
        return Ok(output::line(&json!({ "mails": mails, "groups": groups, "failed": count }).to_string())?);
    }
    for mail in &mails {
        output::line(&render::mail(mail))?;
    }
    for GivenUpMailGroup { template, reason, count } in &groups {
        output::line(&render::harmless(&format!("{count} × {template}: {reason}")))?;
    }
    let left = count - i64::try_from(mails.len())?;
    let more = if left > 0 { format!(", {left} of them not listed: --limit") } else { String::new() };
    Ok(output::line(&format!("{} given up{more}", render::mails(count)))?)
}

async fn count_failed(pool: &PgPool, args: &SagaListArgs) -> anyhow::Result<i64> {
    if args.step.is_some_and(|step| step != SagaStep::NotifyCustomer) {
        return Ok(0);
    }
    let filter = GivenUpMailFilter { error: args.error.as_deref(), until: None };
    Ok(report::count_given_up(pool, filter).await?.into_iter().map(|(_, count)| count).sum())
}

async fn ended(pool: &PgPool, args: &SagaListArgs, state: SagaState, how: SagaEnd) -> anyhow::Result<()> {
    let waits = args.error.is_none() && args.step.is_none();
    ensure!(waits, "what is {} waits at no step and has no error: leave --step and --error out", state.name());
    let orders = report::ended(pool, how, args.limit.get().into()).await?;
    if args.json {
        let orders: Vec<Value> = orders
            .iter()
            .map(|it| json!({ "orderId": it.order_id, "state": state.name(), "at": render::instant(it.at) }))
            .collect();
        return Ok(output::line(&json!({ "orders": orders }).to_string())?);
    }
    for order in &orders {
        output::line(&render::harmless(&format!(
            "{}  {}  {}",
            order.order_id,
            state.name(),
            render::instant(order.at)
        )))?;
    }
    Ok(())
}

fn group_text(group: &SagaWaitReason) -> String {
    let SagaWaitReason { step, stuck, error, count } = group;
    let state = if *stuck { "stuck" } else { "running" };
    let error = error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    format!("{count} × {step}, {state}{error}")
}

fn group_json(group: &SagaWaitReason) -> Value {
    let SagaWaitReason { step, stuck, error, count } = group;
    json!({ "step": step, "state": if *stuck { "stuck" } else { "running" }, "error": error, "count": count })
}
