//! `ordo dlq list`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use messaging::{DeadLetter, DeadLetterError, DeadLetterOrigin, DeadLetterQueue, DeadLetterScan};
use serde_json::{Value, json};

use super::{DlqListArgs, render};
use crate::output;

/// The dead letters of one queue.
struct FoundDeadLetters {
    origin: DeadLetterOrigin,
    letters: Vec<DeadLetter>,
    unseen: u64,
}

pub(super) async fn run(queues: &[DeadLetterQueue], args: &DlqListArgs) -> anyhow::Result<()> {
    let limit = usize::try_from(args.limit.get()).unwrap_or(usize::MAX);
    let found = try_join_all(queues.iter().map(|letters| look(letters, limit))).await?;
    let all = || found.iter().flat_map(|found| found.letters.iter().map(|letter| (found.origin, letter)));
    let errors = by_error(all().map(|(_, letter)| letter));
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
    for FoundDeadLetters { origin, letters, unseen } in &found {
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

async fn look(letters: &DeadLetterQueue, limit: usize) -> Result<FoundDeadLetters, DeadLetterError> {
    let mut sweep = letters.sweep();
    let looked = up_to(&mut sweep, limit).await;
    let unseen = sweep.unseen().await;
    sweep.release().await;
    let mut found = FoundDeadLetters { origin: letters.origin(), letters: looked?, unseen: unseen? };
    found.letters.sort_by_key(|letter| letter.since);
    Ok(found)
}

async fn up_to(sweep: &mut DeadLetterScan, limit: usize) -> Result<Vec<DeadLetter>, DeadLetterError> {
    let mut letters = Vec::new();
    while letters.len() < limit {
        let some = sweep.next(limit - letters.len()).await?;
        if some.is_empty() {
            break;
        }
        letters.extend(some);
    }
    Ok(letters)
}

/// The most frequent first.
fn by_error<'a>(letters: impl Iterator<Item = &'a DeadLetter>) -> Vec<(&'a str, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for letter in letters {
        *counts.entry(render::error(letter)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}
