//! `ordo saga retry`, `skip`, `compensate`, `mark-succeeded`, `mark-failed`: decisions about one order.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use domain::order::OrderStage;
use domain::order::saga::{OperatorDecision, SagaStep};
use sagas::operator::InterventionError;
use sagas::report::{self, OrderSagasReport, SagaState, StepState};
use tokio::time::Instant;

use super::render::{self, harmless};
use super::{SagaOperator, StepDecisionArgs};
use crate::output;

/// How long to wait for the sagas. They act at once, but a payment provider may be slow.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(
    operator: &SagaOperator,
    decision: OperatorDecision,
    target: StepDecisionArgs,
    customer_message: Option<String>,
) -> anyhow::Result<()> {
    let named = target.named();
    let StepDecisionArgs { order, step, payment, refund: _, rest: _, why } = target;
    let before = find(operator, &order).await?;
    check_names_step(&before, &decision, step)?;
    let step = step.or_else(|| step_of(&before, &decision));
    let Some(step) = step else { bail!("{}", harmless(&nothing_waits(&before))) };
    match operator.decide(&order, (step, payment, named), decision, &why, customer_message).await {
        Ok(events) if events.is_empty() => Ok(output::line(&format!("{order} is being undone already"))?),
        Ok(_) => follow(operator, &before).await,
        Err(
            refused
            @ (InterventionError::Refused(_) | InterventionError::Stale(_) | InterventionError::OtherVersion(_)),
        ) => {
            let now = find(operator, &order).await?;
            bail!("{}", harmless(&format!("{refused}; {}", render::state(&now))))
        }
        Err(error @ (InterventionError::NoSuchOrder(_) | InterventionError::Failed(_))) => Err(error.into()),
    }
}

/// On a terminal, asks whether the order, or its edit, is really to be undone: there is no way back. A script is not asked.
pub(super) async fn confirm(operator: &SagaOperator, target: &StepDecisionArgs, yes: bool) -> anyhow::Result<()> {
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    let now = find(operator, &target.order).await?;
    check_names_step(&now, &OperatorDecision::Compensate, target.step)?;
    let is_edited =
        [OrderStage::Editing, OrderStage::PartiallyShippedEditing].map(OrderStage::name).contains(&now.stage);
    let is_of_edit = matches!(target.step.or(now.waits_for), Some(SagaStep::AuthorizePayment | SagaStep::ApplyEdit));
    let question = if is_edited && is_of_edit {
        "Give up its edit, and leave the order as it is?"
    } else {
        "Undo it and end the order?"
    };
    let done = now.sagas.iter().flat_map(|saga| &saga.steps).filter(|step| step.progress.state == StepState::Done);
    let done: Vec<&str> = done.map(|step| step.step.name()).collect();
    let done =
        if done.is_empty() { "nothing was done for it".to_owned() } else { format!("done: {}", done.join(", ")) };
    write!(io::stderr(), "{}", harmless(&format!("{}; {done}. {question} [y/N] ", render::state(&now))))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing is changed");
    Ok(())
}

async fn find(operator: &SagaOperator, order: &str) -> anyhow::Result<OrderSagasReport> {
    report::read(&operator.store, order).await?.with_context(|| format!("there is no order {order}"))
}

/// A confirmed order is undone only if that is said. What was meant for its edit, which is over meanwhile, must not undo it.
fn check_names_step(
    report: &OrderSagasReport,
    decision: &OperatorDecision,
    step: Option<SagaStep>,
) -> anyhow::Result<()> {
    let is_confirmed =
        [OrderStage::Confirmed, OrderStage::ConfirmedOnHold].map(OrderStage::name).contains(&report.stage);
    if is_confirmed && *decision == OperatorDecision::Compensate && step.is_none() {
        let order = &report.order_id;
        bail!(
            "{}",
            harmless(&format!(
                "{order} is confirmed, and no edit is in work: --step confirm_order undoes the order and ends it"
            ))
        );
    }
    Ok(())
}

fn step_of(report: &OrderSagasReport, decision: &OperatorDecision) -> Option<SagaStep> {
    let whole_order = || report.remedies.iter().find(|remedy| remedy.verbs.contains(&"compensate"));
    match decision {
        OperatorDecision::Compensate => report.waits_for.or_else(|| whole_order().map(|remedy| remedy.step)),
        OperatorDecision::Retry { .. }
        | OperatorDecision::Skip
        | OperatorDecision::MarkSucceeded { .. }
        | OperatorDecision::MarkFailed => report.waits_for,
    }
}

fn nothing_waits(report: &OrderSagasReport) -> String {
    let has_failed_mail = report.remedies.iter().any(|remedy| remedy.step == SagaStep::NotifyCustomer);
    let mail = if has_failed_mail { "; a mail was given up: retry --step notify_customer sends it" } else { "" };
    format!("{} is {}: it waits for nothing{mail}", report.order_id, report.state.name())
}

/// Waits until the sagas have carried the decision out, and prints the result.
async fn follow(operator: &SagaOperator, before: &OrderSagasReport) -> anyhow::Result<()> {
    let (asked, waited) = (Instant::now(), waits(before));
    loop {
        let now = find(operator, &before.order_id).await?;
        let carried_out = is_carried_out(&now, &waited);
        if carried_out && now.state == SagaState::Stuck {
            bail!("{}", harmless(&render::state(&now)));
        }
        if carried_out && !is_under_way(&now) {
            output::line(&harmless(&render::state(&now)))?;
            return undone(before, &now);
        }
        if asked.elapsed() > PATIENCE {
            let how = if carried_out {
                "it is under way"
            } else {
                "no saga has carried it out yet: it is done once one runs"
            };
            return Ok(output::line(&harmless(&format!("noted; {how}; {}", render::state(&now))))?);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Prints the steps that were undone.
fn undone(before: &OrderSagasReport, now: &OrderSagasReport) -> anyhow::Result<()> {
    let steps = |report: &OrderSagasReport| -> Vec<(SagaStep, StepState)> {
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

/// The waiting steps with their start times. A decision restarts them.
fn waits(report: &OrderSagasReport) -> Vec<(SagaStep, DateTime<Utc>)> {
    let all = SagaStep::ALL.into_iter();
    all.filter_map(|step| Some((step, report.progress(step)?.waiting.as_ref()?.since))).collect()
}

fn is_carried_out(now: &OrderSagasReport, waited: &[(SagaStep, DateTime<Utc>)]) -> bool {
    let waits = waits(now);
    !waits.iter().any(|wait| waited.contains(wait)) && (now.state != SagaState::Running || !waits.is_empty())
}

/// Whether a provider has not answered yet. Mails are not waited for.
fn is_under_way(report: &OrderSagasReport) -> bool {
    let progress = report.waits_for.filter(|step| *step != SagaStep::NotifyCustomer).and_then(|it| report.progress(it));
    progress.is_some_and(|progress| matches!(progress.state, StepState::Waiting | StepState::Due))
}
