//! Sagas as text and as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::order::saga::SagaStep;
use sagas::report::{GivenUpMail, OrderSagasReport, SagaState, StepProgressReport, StepState, WaitingSagaRow};
use serde_json::{Value, json};

pub(super) use crate::dlq::harmless;

/// One line of a list.
pub(super) fn line(row: &WaitingSagaRow) -> String {
    let WaitingSagaRow { saga, order_id, step, since, .. } = row;
    let error = row.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    let how = how(row.stuck, row.failures);
    let next = next_look(row.stuck, row.next_try_at);
    let tried = and_tried(row.attempts);
    harmless(&format!("{order_id}  {saga}  {step}  {how}{tried} since {}{next}{error}", instant(*since)))
}

/// An entry of a list as JSON.
pub(super) fn summary(row: &WaitingSagaRow) -> Value {
    json!({
        "saga": row.saga,
        "orderId": row.order_id,
        "step": row.step,
        "state": if row.stuck { "stuck" } else { "running" },
        "attempts": row.attempts,
        "since": instant(row.since),
        "nextTryAt": row.next_try_at.map(instant),
        "lastError": row.last_error,
    })
}

/// One line of a list of failed mails.
pub(super) fn mail(mail: &GivenUpMail) -> String {
    let GivenUpMail { order_id, template, reason, since, position: _ } = mail;
    harmless(&format!("{order_id}  mail {template}  failed {}: {reason}", instant(*since)))
}

/// An entry of a list as JSON.
pub(super) fn mail_summary(mail: &GivenUpMail) -> Value {
    let GivenUpMail { order_id, template, reason, since, position } = mail;
    json!({
        "orderId": order_id,
        "template": template,
        "state": "failed",
        "since": instant(*since),
        "position": position,
        "lastError": reason,
    })
}

/// `1 mail`, `2 mails`.
pub(super) fn mails(count: i64) -> String {
    if count == 1 { "1 mail".to_owned() } else { format!("{count} mails") }
}

/// The state of an order, and what it waits for.
pub(super) fn state(report: &OrderSagasReport) -> String {
    let OrderSagasReport { order_id, .. } = report;
    match report.waits_for {
        None if report.state == SagaState::Failed => format!("{order_id} is done, but for a mail that was given up"),
        None => format!("{order_id} is {}", report.state.name()),
        Some(step) => format!("{order_id} waits for {}", waits_for(report, step)),
    }
}

/// A step and its state.
pub(super) fn waits_for(report: &OrderSagasReport, step: SagaStep) -> String {
    let how = report.progress(step).map_or_else(String::new, |progress| format!(", {}", progressed(progress)));
    format!("{}{how}", step.name())
}

/// The state of a step.
pub(super) fn progressed(progress: &StepProgressReport) -> String {
    let state = progress.state.name();
    let Some(waiting) = &progress.waiting else {
        return progress.at.map_or_else(|| state.to_owned(), |at| format!("{state} {}", instant(at)));
    };
    let next = next_look(progress.state == StepState::Stuck, waiting.next_try_at);
    let error = waiting.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    format!("{state}{} since {}{next}{error}", and_tried(waiting.attempts), instant(waiting.since))
}

/// `1 saga`, `2 sagas`.
pub(super) fn sagas(count: i64) -> String {
    if count == 1 { "1 saga".to_owned() } else { format!("{count} sagas") }
}

pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn how(stuck: bool, failures: u32) -> &'static str {
    match (stuck, failures) {
        (true, _) => "stuck",
        (false, 0) => "waiting",
        (false, _) => "retrying",
    }
}

/// The number of attempts; empty if there were none.
pub(super) fn tried(attempts: u32) -> String {
    match attempts {
        0 => String::new(),
        1 => "tried once".to_owned(),
        attempts => format!("tried {attempts} times"),
    }
}

fn and_tried(attempts: u32) -> String {
    match tried(attempts) {
        tried if tried.is_empty() => tried,
        tried => format!(", {tried}"),
    }
}

/// The next attempt. A stuck order is only due for the release of its units.
fn next_look(stuck: bool, at: Option<DateTime<Utc>>) -> String {
    let what = if stuck { "its units go back" } else { "again" };
    at.map_or_else(String::new, |at| format!(", {what} {}", instant(at)))
}
