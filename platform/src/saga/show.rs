//! `ordo saga show`.

use anyhow::Context;
use event_store::EventStore;
use sagas::report::{self, Message, OrderReport, Progress, StepState};

use super::words::{self, harmless, instant};
use crate::output;

pub(super) async fn run(store: &EventStore, order: &str, json: bool) -> anyhow::Result<()> {
    let report = report::read(store, order).await?.with_context(|| format!("there is no order {order}"))?;
    if json {
        return Ok(output::line(&serde_json::to_string(&report)?)?);
    }
    for line in page(&report) {
        output::line(&harmless(&line))?;
    }
    Ok(())
}

fn page(report: &OrderReport) -> Vec<String> {
    let mut lines = vec![words::state(report), format!("the order is {}", report.stage)];
    for saga in &report.sagas {
        lines.push(format!("{}: {}", saga.saga, saga.state.name()));
        for step in &saga.steps {
            lines.extend(step_lines(step.step.name(), &step.progress));
            let undo = step.undo.as_ref().filter(|undo| undo.progress.state != StepState::NotNeeded);
            lines.extend(undo.iter().flat_map(|undo| step_lines(undo.step.name(), &undo.progress)));
        }
    }
    for remedy in &report.remedies {
        let inputs: String = remedy.inputs.iter().map(|input| format!(", retry --input {input}=…")).collect();
        lines.push(format!("can be decided about {}: {}{inputs}", remedy.step.name(), remedy.verbs.join(", ")));
    }
    lines
}

fn step_lines(name: &str, progress: &Progress) -> Vec<String> {
    let mut lines = vec![format!("  {name:<18} {}", words::progressed(progress))];
    lines.extend(progress.messages.iter().map(|message| format!("    {}", message_text(message))));
    lines
}

fn message_text(message: &Message) -> String {
    let Message { version, at, event, actor, text } = message;
    let actor = actor.as_ref().map_or_else(String::new, |actor| format!(" by {actor}"));
    let text = text.as_ref().map_or_else(String::new, |text| format!(": {text}"));
    format!("{} {event} (version {version}){actor}{text}", instant(*at))
}
