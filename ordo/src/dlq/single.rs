//! `ordo dlq show`, `edit` and `discard`: commands for one dead letter.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use dead_letters::{LookBounds, Whereabouts, check_body};
use messaging::{BodyFieldEdit, DeadLetter, DeadLetterQueue, DeadLetterScan, MessageSigningKeys};
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
    let (kind, error) = (letter.kind.as_deref(), letter.why());
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
    let origin = sweep.letters().origin();
    check_body(origin, &body)
        .map_err(|mistake| anyhow!("nothing is changed: the new body can't be sent to {origin}: {mistake}"))?;
    let message = letter.edited(&body, &Uuid::now_v7().to_string());
    for sent in sweep.redrive(vec![(letter, message)], keys).await {
        sent?;
    }
    Ok(())
}

/// Finds a dead letter. The caller must release the sweep that holds it.
async fn find(queues: &[DeadLetterQueue], id: &str) -> anyhow::Result<(DeadLetterScan, Box<DeadLetter>)> {
    let all = LookBounds { letters: usize::MAX, bytes: usize::MAX, time: Duration::MAX };
    let mut unseen = 0;
    for letters in queues {
        match dead_letters::find(letters, id, all).await? {
            Whereabouts::Here(sweep, letter) => return Ok((sweep, letter)),
            Whereabouts::NotSeen(more) => unseen += more,
        }
    }
    match unseen {
        0 => bail!("there is no dead letter {id}; `ordo dlq list` shows which there are"),
        _ => bail!("no dead letter {id} can be seen; there are about {unseen} that {}", render::UNSEEN),
    }
}
