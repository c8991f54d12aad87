//! `ordo dlq show`, `edit` and `discard`: commands for one dead letter.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use domain::email::EmailAddress;
use messaging::{BodyFieldEdit, DeadLetter, DeadLetterQueue, DeadLetterScan, MessageSigningKeys};
use serde_json::Value;
use uuid::Uuid;

use super::{DeadLetterBodyEditArgs, render};
use crate::output;

/// The change of a body.
pub(super) enum DeadLetterBodyEdit {
    Set(Vec<BodyFieldEdit>),
    Whole(String),
}

impl DeadLetterBodyEdit {
    /// `-` is standard input.
    pub(super) fn read(changes: DeadLetterBodyEditArgs) -> anyhow::Result<Self> {
        match changes.body_file {
            None => Ok(Self::Set(changes.set)),
            Some(path) if path == Path::new("-") => {
                let body = io::read_to_string(io::stdin().lock()).context("standard input can't be read")?;
                Ok(Self::Whole(body))
            }
            Some(path) => {
                let body = fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
                Ok(Self::Whole(body))
            }
        }
    }
}

pub(super) async fn show(queues: &[DeadLetterQueue], id: &str, json: bool) -> anyhow::Result<()> {
    let (sweep, letter) = find(queues, id).await?;
    let origin = sweep.letters().origin();
    sweep.release().await;
    let page = if json { render::full_json(origin, &letter).to_string() } else { render::page(origin, &letter) };
    Ok(output::line(&page)?)
}

pub(super) async fn edit(
    queues: &[DeadLetterQueue],
    id: &str,
    change: &DeadLetterBodyEdit,
    keys: &MessageSigningKeys,
) -> anyhow::Result<()> {
    let (mut sweep, letter) = find(queues, id).await?;
    let edited = send_edited(&mut sweep, &letter, change, keys).await;
    let queue = sweep.letters().queue_name().to_owned();
    sweep.release().await;
    edited?;
    tracing::info!(dead_letter = letter.id, order_id = letter.order_id, queue, "dead letter changed and sent again");
    Ok(output::line(&format!("{} is changed and sent to {queue} again", letter.id))?)
}

pub(super) async fn discard(queues: &[DeadLetterQueue], id: &str, reason: &str) -> anyhow::Result<()> {
    let (mut sweep, letter) = find(queues, id).await?;
    let discarded = sweep.discard(&[&letter]).await.remove(0);
    let queue = sweep.letters().queue_name().to_owned();
    sweep.release().await;
    discarded?;
    let (kind, error) = (letter.kind.as_deref(), render::error(&letter));
    tracing::warn!(
        dead_letter = letter.id,
        order_id = letter.order_id,
        queue,
        kind,
        error,
        reason,
        "dead letter discarded"
    );
    Ok(output::line(&format!("{} is discarded", letter.id))?)
}

async fn send_edited(
    sweep: &mut DeadLetterScan,
    letter: &DeadLetter,
    change: &DeadLetterBodyEdit,
    keys: &MessageSigningKeys,
) -> anyhow::Result<()> {
    let body = match change {
        DeadLetterBodyEdit::Set(assignments) => letter.with(assignments, keys)?,
        DeadLetterBodyEdit::Whole(body) => body.clone(),
    };
    sweep.letters().origin().check(&body).context("nothing is changed")?;
    check_recipient(&body).context("nothing is changed")?;
    let message = letter.edited(&body, &Uuid::now_v7().to_string());
    for sent in sweep.redrive(vec![(letter, message)], keys).await {
        sent?;
    }
    Ok(())
}

/// Refuses a recipient that is no address: the mail would fail again.
fn check_recipient(body: &str) -> anyhow::Result<()> {
    let body: Value = serde_json::from_str(body)?;
    let Some(recipient) = body.pointer("/data/recipient").and_then(Value::as_str) else { return Ok(()) };
    let parsed = EmailAddress::parse(recipient.to_owned());
    parsed.map(drop).map_err(|error| anyhow!("/data/recipient {recipient:?} {error}"))
}

/// Finds a dead letter. The caller must release the sweep that holds it.
async fn find(queues: &[DeadLetterQueue], id: &str) -> anyhow::Result<(DeadLetterScan, DeadLetter)> {
    let mut unseen = 0;
    for letters in queues {
        let mut sweep = letters.sweep();
        let found = match sweep.find(id, usize::MAX, Duration::MAX).await {
            Ok(Some(letter)) => return Ok((sweep, letter)),
            Ok(None) => sweep.unseen().await,
            Err(error) => Err(error),
        };
        sweep.release().await;
        unseen += found?;
    }
    match unseen {
        0 => bail!("there is no dead letter {id}; `ordo dlq list` shows which there are"),
        _ => bail!("no dead letter {id} can be seen; there are about {unseen} that {}", render::UNSEEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_has_to_be_an_address() {
        for recipient in ["not an address", "", "ada@", "ada@example.com, bob@example.com"] {
            let body = serde_json::json!({ "data": { "recipient": recipient } }).to_string();
            let refused = check_recipient(&body).unwrap_err().to_string();
            assert!(refused.contains("/data/recipient"), "{refused}");
        }
        for body in [r#"{"data":{"recipient":"ada@example.com"}}"#, r#"{"data":{"recipient":null}}"#, r#"{"data":{}}"#]
        {
            check_recipient(body).unwrap();
        }
    }
}
