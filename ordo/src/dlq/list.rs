//! `ordo dlq list`.

use std::collections::BTreeMap;
use std::time::Duration;

use dead_letters::{DeadLetterLook, LookBounds, by_reason, look_at};
use futures_util::future::try_join_all;
use messaging::DeadLetterQueue;
use serde_json::{Value, json};

use super::{DlqListArgs, render};
use crate::output;

pub(super) async fn run(queues: &[DeadLetterQueue], args: &DlqListArgs) -> anyhow::Result<()> {
    let limit = usize::try_from(args.limit.get()).unwrap_or(usize::MAX);
    // Whoever asks at a terminal says how much it may be.
    let bounds = LookBounds { letters: limit, bytes: usize::MAX, time: Duration::MAX };
    let found = try_join_all(queues.iter().map(|letters| look_at(letters, bounds, true))).await?;
    let all = || found.iter().flat_map(|found| found.letters.iter().map(|letter| (found.origin, letter)));
    let errors = by_reason(all().map(|(_, letter)| letter));
    if args.json {
        let letters: Vec<Value> = all().map(|(origin, letter)| render::summary(origin, letter)).collect();
        let errors: Vec<Value> =
            errors.iter().map(|(error, count)| json!({ "error": error, "count": count })).collect();
        let unseen: BTreeMap<_, _> = found.iter().map(|found| (found.origin.as_str(), found.unseen)).collect();
        let answer = json!({ "deadLetters": letters, "errors": errors, "unseen": unseen });
        return Ok(output::line(&answer.to_string())?);
    }
    for (origin, letter) in all() {
        output::line(&render::line(origin, letter))?;
    }
    for (error, count) in &errors {
        output::line(&render::harmless(&format!("{count} × {error}")))?;
    }
    for DeadLetterLook { origin, letters, unseen } in &found {
        let there = render::letters(u64::try_from(letters.len()).unwrap_or(u64::MAX));
        let more = match unseen {
            0 => String::new(),
            more if letters.len() >= limit => format!(", and about {more} more that --limit {limit} left out"),
            more => format!(", and about {more} more that can't be looked at: they {}", render::UNSEEN),
        };
        output::line(&format!("{origin}: {there}{more}"))?;
    }
    Ok(())
}
