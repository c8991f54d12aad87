//! `ordo saga retry`, `skip`, `compensate`, `mark-succeeded`, `mark-failed`: what is decided about one order.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use domain::order::saga::{OperatorDecision, SagaStep};
use sagas::operator::InterventionError;
use sagas::report::{self, OrderReport, SagaState, StepState};
use tokio::time::Instant;

use super::words::{self, harmless};
use super::{About, Desk};
use crate::output;

/// How long the sagas are waited for. They do it at once, but a payment provider may take its time.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(
    desk: &Desk,
    decision: OperatorDecision,
    about: About,
    customer_message: Option<String>,
) -> anyhow::Result<()> {
    let About { order, step, why } = about;
    let before = find(desk, &order).await?;
    let step = step.or_else(|| step_of(&before, &decision));
    let Some(step) = step else { bail!("{}", harmless(&nothing_waits(&before))) };
    match desk.decide(&order, step, decision, &why, customer_message).await {
        Ok(events) if events.is_empty() => Ok(output::line(&format!("{order} is being undone already"))?),
        Ok(_) => follow(desk, &before).await,
        Err(refused @ (InterventionError::Refused(_) | InterventionError::Stale(_))) => {
            let now = find(desk, &order).await?;
            bail!("{}", harmless(&format!("{refused}; {}", words::state(&now))))
        }
        Err(error @ (InterventionError::NoSuchOrder(_) | InterventionError::Failed(_))) => Err(error.into()),
    }
}

/// Asks whoever sits before a terminal whether an order is really to be undone: there is no way back. A script has said so.
pub(super) async fn confirm(desk: &Desk, order: &str, yes: bool) -> anyhow::Result<()> {
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    let now = find(desk, order).await?;
    let done = now.sagas.iter().flat_map(|saga| &saga.steps).filter(|step| step.progress.state == StepState::Done);
    let done: Vec<&str> = done.map(|step| step.step.name()).collect();
    let done =
        if done.is_empty() { "nothing was done for it".to_owned() } else { format!("done: {}", done.join(", ")) };
    write!(
        io::stderr(),
        "{}",
        harmless(&format!("{}; {done}. Undo it and end the order? [y/N] ", words::state(&now)))
    )?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing is changed");
    Ok(())
}

async fn find(desk: &Desk, order: &str) -> anyhow::Result<OrderReport> {
    report::read(&desk.store, order).await?.with_context(|| format!("there is no order {order}"))
}

fn step_of(report: &OrderReport, decision: &OperatorDecision) -> Option<SagaStep> {
    let whole_order = || report.remedies.iter().find(|remedy| remedy.verbs.contains(&"compensate"));
    match decision {
        OperatorDecision::Compensate => report.waits_for.or_else(|| whole_order().map(|remedy| remedy.step)),
        OperatorDecision::Retry { .. }
        | OperatorDecision::Skip
        | OperatorDecision::MarkSucceeded { .. }
        | OperatorDecision::MarkFailed => report.waits_for,
    }
}

fn nothing_waits(report: &OrderReport) -> String {
    let has_failed_mail = report.remedies.iter().any(|remedy| remedy.step == SagaStep::NotifyCustomer);
    let mail = if has_failed_mail { "; a mail was given up: retry --step notify_customer sends it" } else { "" };
    format!("{} is {}: it waits for nothing{mail}", report.order_id, report.state.name())
}

/// Says what came of it, once the sagas have carried it out.
async fn follow(desk: &Desk, before: &OrderReport) -> anyhow::Result<()> {
    let (asked, waited) = (Instant::now(), waits(before));
    loop {
        let now = find(desk, &before.order_id).await?;
        let carried_out = is_carried_out(&now, &waited);
        if carried_out && now.state == SagaState::Stuck {
            bail!("{}", harmless(&words::state(&now)));
        }
        if carried_out && !is_under_way(&now) {
            output::line(&harmless(&words::state(&now)))?;
            return undone(before, &now);
        }
        if asked.elapsed() > PATIENCE {
            let how = if carried_out {
                "it is under way"
            } else {
                "no saga has carried it out yet: it is done once one runs"
            };
            return Ok(output::line(&harmless(&format!("noted; {how}; {}", words::state(&now))))?);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Says what was undone since.
fn undone(before: &OrderReport, now: &OrderReport) -> anyhow::Result<()> {
    let steps = |report: &OrderReport| -> Vec<(SagaStep, StepState)> {
        let steps = report.sagas.iter().flat_map(|saga| &saga.steps);
        steps.filter_map(|step| Some((step.undo.as_ref()?.step, step.undo.as_ref()?.progress.state))).collect()
    };
    let before = steps(before);
    for (step, state) in steps(now) {
        if state == StepState::Done && !before.contains(&(step, state)) {
            output::line(&format!("  {} is done", step.name()))?;
        }
    }
    Ok(())
}

/// The steps that wait, and since when: a decision has each begin anew.
fn waits(report: &OrderReport) -> Vec<(SagaStep, DateTime<Utc>)> {
    let all = SagaStep::ALL.into_iter();
    all.filter_map(|step| Some((step, report.progress(step)?.waiting.as_ref()?.since))).collect()
}

fn is_carried_out(now: &OrderReport, waited: &[(SagaStep, DateTime<Utc>)]) -> bool {
    let waits = waits(now);
    !waits.iter().any(|wait| waited.contains(wait)) && (now.state != SagaState::Running || !waits.is_empty())
}

/// A provider was asked and has not answered. Mails are answered for later.
fn is_under_way(report: &OrderReport) -> bool {
    let progress = report.waits_for.filter(|step| *step != SagaStep::NotifyCustomer).and_then(|it| report.progress(it));
    progress.is_some_and(|progress| matches!(progress.state, StepState::Waiting | StepState::Due))
}
