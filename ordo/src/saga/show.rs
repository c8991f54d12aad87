//! `ordo saga show`.

use anyhow::Context;
use chrono::Utc;
use event_store::EventStore;
use sagas::report::{self, OrderSagasReport, SagaReport, SagaState, StepEvent, StepProgressReport, StepState};

use super::render::{self, harmless};
use crate::output;
use crate::page::{TerminalFormat, TextTable, TextTone};

pub(super) async fn run(store: &EventStore, order: &str, json: bool) -> anyhow::Result<()> {
    let report = report::read(store, order).await?.with_context(|| format!("there is no order {order}"))?;
    if json {
        return Ok(output::line(&serde_json::to_string(&report)?)?);
    }
    let page = page(&report, &TerminalFormat::of_stdout(Utc::now()));
    page.iter().try_for_each(|line| output::line(line))?;
    Ok(())
}

fn page(report: &OrderSagasReport, style: &TerminalFormat) -> Vec<String> {
    let id = style.paint(TextTone::Heading, &harmless(&report.order_id));
    let but = if report.state == SagaState::Failed { ": a mail was given up" } else { "" };
    let mut lines = vec![
        format!("{id}  {}{but}", style.paint(of_saga(report.state), report.state.name())),
        format!("the order is {}", report.stage),
    ];
    for saga in &report.sagas {
        lines.push(String::new());
        let state = style.paint(of_saga(saga.state), saga.state.name());
        lines.push(format!("{}  {state}", style.paint(TextTone::Heading, saga.saga)));
        lines.extend(step_lines(saga, style, true));
    }
    if !report.remedies.is_empty() {
        lines.push(String::new());
    }
    for remedy in &report.remedies {
        let inputs: String = remedy.inputs.iter().map(|input| format!(", retry --input {input}=…")).collect();
        let step = remedy.step.name();
        let of = remedy.payment_number.map_or_else(String::new, |number| format!(" with --payment {number}"));
        lines.push(format!("can be decided about {step}{of}: {}{inputs}", remedy.verbs.join(", ")));
    }
    lines
}

/// The steps of a saga and their undos, with errors and, if asked for, their history.
pub(crate) fn step_lines(saga: &SagaReport, style: &TerminalFormat, with_messages: bool) -> Vec<String> {
    let mut table = TextTable::of(&[false; 4]);
    for (name, progress) in steps(saga) {
        let state = (of_step(progress.state), progress.state.name().to_owned());
        let at = progress.at.or(progress.waiting.as_ref().map(|waiting| waiting.since));
        let when = at.map_or_else(String::new, |at| style.ago(at));
        table.row([
            (TextTone::Plain, name.to_owned()),
            state,
            (TextTone::Plain, when),
            (TextTone::Plain, waits(progress, style)),
        ]);
    }
    let mut lines = Vec::new();
    for (line, (_, progress)) in table.lines(style).into_iter().zip(steps(saga)) {
        lines.push(line);
        let error = progress.waiting.as_ref().and_then(|waiting| waiting.last_error.as_ref());
        lines.extend(error.map(|error| style.paint(TextTone::Bad, &harmless(&format!("    {error}")))));
        let messages = progress.messages.iter().filter(|_| with_messages);
        lines.extend(messages.map(|message| style.paint(TextTone::Aside, &message_line(message, style))));
    }
    lines
}

fn steps(saga: &SagaReport) -> impl Iterator<Item = (&'static str, &StepProgressReport)> {
    saga.steps.iter().flat_map(|step| {
        let undo = step.undo.as_ref().filter(|undo| undo.progress.state != StepState::NotNeeded);
        let undo = undo.map(|undo| (undo.step.name(), &undo.progress));
        [Some((step.step.name(), &step.progress)), undo].into_iter().flatten()
    })
}

/// The attempts of a waiting step, and the time of the next one.
fn waits(progress: &StepProgressReport, style: &TerminalFormat) -> String {
    let Some(waiting) = &progress.waiting else { return String::new() };
    let tried = render::tried(waiting.attempts);
    let next = waiting.next_try_at.map(|at| {
        let what = if progress.state == StepState::Stuck { "its units go back" } else { "again" };
        format!("{what} {}", style.ago(at))
    });
    [Some(tried).filter(|it| !it.is_empty()), next].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn message_line(message: &StepEvent, style: &TerminalFormat) -> String {
    let StepEvent { version, at, event, actor, text } = message;
    let actor = actor.as_ref().map_or_else(String::new, |actor| format!(" by {actor}"));
    let text = text.as_ref().map_or_else(String::new, |text| format!(": {text}"));
    harmless(&format!("    {event} {} (version {version}){actor}{text}", style.ago(*at)))
}

fn of_saga(state: SagaState) -> TextTone {
    match state {
        SagaState::Completed | SagaState::Compensated => TextTone::Good,
        SagaState::Running => TextTone::Waits,
        SagaState::Failed | SagaState::Stuck => TextTone::Bad,
    }
}

fn of_step(state: StepState) -> TextTone {
    match state {
        StepState::Done | StepState::Undone => TextTone::Good,
        StepState::Due | StepState::Waiting | StepState::Retrying => TextTone::Waits,
        StepState::Failed | StepState::Stuck => TextTone::Bad,
        StepState::Skipped | StepState::NotYet | StepState::NotNeeded => TextTone::Aside,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use domain::order::saga::SagaStep;
    use sagas::report::{StepRemedy, StepReport, StepWait};

    use super::*;

    fn progress(state: StepState, at: Option<DateTime<Utc>>) -> StepProgressReport {
        StepProgressReport { state, at, waiting: None, messages: vec![] }
    }

    #[test]
    fn a_saga_is_a_page() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let ago = |minutes| now - TimeDelta::minutes(minutes);
        let message = StepEvent {
            version: 4,
            at: ago(2),
            event: "OperatorIntervened",
            actor: Some("ada".into()),
            text: Some("retry: mended".into()),
        };
        let waiting = StepWait {
            attempts: 3,
            since: ago(4),
            next_try_at: Some(now + TimeDelta::minutes(20)),
            last_error: Some("No such token".into()),
        };
        let stuck =
            StepProgressReport { state: StepState::Stuck, at: None, waiting: Some(waiting), messages: vec![message] };
        let step = |step, progress| StepReport { step, kind: "compensable", progress, undo: None };
        let saga = SagaReport {
            saga: "order_fulfilment",
            state: SagaState::Stuck,
            steps: vec![
                step(SagaStep::ReserveStock, progress(StepState::Done, Some(ago(5)))),
                step(SagaStep::AuthorizePayment, stuck),
                step(SagaStep::NotifyCustomer, progress(StepState::NotYet, None)),
            ],
        };
        let remedies = vec![StepRemedy {
            step: SagaStep::AuthorizePayment,
            verbs: vec!["retry", "compensate"],
            inputs: vec!["paymentToken"],
            payment_number: None,
        }];
        let report = OrderSagasReport {
            order_id: "demo-1\u{7}".to_owned(),
            state: SagaState::Stuck,
            stage: "pending",
            waits_for: Some(SagaStep::AuthorizePayment),
            sagas: vec![saga],
            remedies,
        };
        assert_eq!(
            page(&report, &TerminalFormat::plain(Some(90), now)),
            [
                "demo-1\u{fffd}  stuck",
                "the order is pending",
                "",
                "order_fulfilment  stuck",
                "  reserve_stock      done     5 min ago",
                "  authorize_payment  stuck    4 min ago  tried 3 times, its units go back in 20 min",
                "    No such token",
                "    OperatorIntervened 2 min ago (version 4) by ada: retry: mended",
                "  notify_customer    not yet",
                "",
                "can be decided about authorize_payment: retry, compensate, retry --input paymentToken=…",
            ]
        );
    }
}
