//! `ordo dlq redrive`: sends dead letters to their queues again, all or some.

mod progress;

use std::num::NonZeroU32;

use anyhow::bail;
use error_chain::error_chain;
use messaging::{
    DeadLetter, DeadLetterError, DeadLetterOrigin, DeadLetterQueue, DeadLetterScan, MessageSigningKeys, OutgoingMessage,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use progress::RedriveProgressBar;

use super::{RedriveArgs, render};
use crate::rate_limiter::FixedRateThrottle;
use crate::{output, shutdown};

/// The most that SQS takes and gives in one call.
const BATCH: u32 = 10;

/// After so many failures the messages are not the cause.
const MOST_FAILURES: usize = 20;

pub(super) async fn run(
    queues: &[DeadLetterQueue],
    args: &RedriveArgs,
    keys: &MessageSigningKeys,
) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let mut there = 0;
    for letters in queues {
        there += letters.count().await?;
    }
    let mut run = RedriveRun {
        args,
        keys,
        name: Uuid::now_v7().to_string(),
        pace: FixedRateThrottle::new(args.rate.filter(|_| !args.dry_run)),
        progress: RedriveProgressBar::start(there, args)?,
        stop,
        tally: RedriveTally::default(),
    };
    let mut failed = None;
    for letters in queues {
        let mut sweep = letters.sweep();
        let went = run.through(&mut sweep).await;
        let unseen = if went.is_ok() { sweep.unseen().await } else { Ok(0) };
        sweep.release().await;
        match went.and(unseen) {
            Ok(unseen) => run.tally.unseen += unseen,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    run.progress.end();
    // The result is printed even if the rest failed.
    run.report()?;
    failed.map_or(Ok(()), Err)?;
    run.verdict()
}

/// One redrive.
struct RedriveRun<'a> {
    args: &'a RedriveArgs,
    keys: &'a MessageSigningKeys,
    name: String,
    pace: FixedRateThrottle,
    progress: RedriveProgressBar,
    stop: CancellationToken,
    tally: RedriveTally,
}

/// The result.
#[derive(Default)]
struct RedriveTally {
    sent: usize,
    /// The redriven ones, if the output lists them.
    listed: Vec<(DeadLetterOrigin, DeadLetter)>,
    failures: Vec<DeadLetterError>,
    /// Those that match and are not signed by a known key.
    forged: u64,
    /// Those that do not match, or exceed the limit.
    others: u64,
    /// Those that were sent and became dead letters again.
    back: u64,
    /// Those that could not be received, or were not reached.
    unseen: u64,
}

impl RedriveRun<'_> {
    /// Sends matching dead letters until there are no more, or until `stop`.
    async fn through(&mut self, sweep: &mut DeadLetterScan) -> Result<(), DeadLetterError> {
        let most = self.args.rate.map_or(BATCH, |rate| rate.get().min(BATCH));
        while self.left() > 0 && self.tally.failures.len() < MOST_FAILURES && !self.stop.is_cancelled() {
            let some = sweep.next(usize::try_from(most).unwrap_or(1)).await?;
            if some.is_empty() {
                break;
            }
            let (mut wanted, mut passed) = (Vec::new(), 0);
            for letter in some {
                if letter.was_redriven_by(&self.name) {
                    self.tally.back += 1;
                } else if self.args.which.holds(&letter) && wanted.len() < self.left() {
                    match letter.redriven(&self.name, self.keys) {
                        Ok(message) => wanted.push((letter, message)),
                        Err(error) => {
                            tracing::warn!(dead_letter = letter.id, %error, "dead letter not sent again");
                            self.tally.forged += 1;
                        }
                    }
                } else {
                    passed += 1;
                }
            }
            if !wanted.is_empty() && !self.pace.wait(wanted.len(), &self.stop).await {
                break;
            }
            self.tally.others += passed;
            self.send(sweep, wanted).await;
            self.progress.at(self.tally.looked_at());
        }
        Ok(())
    }

    async fn send(&mut self, sweep: &mut DeadLetterScan, wanted: Vec<(DeadLetter, OutgoingMessage)>) {
        let origin = sweep.letters().origin();
        let (letters, messages): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
        let results = if self.args.dry_run {
            letters.iter().map(|_| Ok(())).collect()
        } else {
            sweep.redrive(letters.iter().zip(messages).collect(), self.keys).await
        };
        for (letter, result) in letters.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    self.tally.sent += 1;
                    if self.args.json || self.args.dry_run {
                        self.tally.listed.push((origin, letter));
                    }
                }
                Err(error) => self.tally.failures.push(error),
            }
        }
    }

    fn left(&self) -> usize {
        // An id is unique.
        let limit = if self.args.which.id.is_some() { NonZeroU32::new(1) } else { self.args.limit };
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
        limit.saturating_sub(self.tally.sent)
    }

    fn report(&self) -> anyhow::Result<()> {
        let Self { args, stop, tally, .. } = self;
        let RedriveTally { sent, listed, failures, forged, others, back, unseen } = tally;
        if args.json {
            let letters: Vec<Value> = listed.iter().map(|(origin, letter)| render::summary(*origin, letter)).collect();
            let failures: Vec<String> = failures.iter().map(|error| error_chain(error)).collect();
            let answer = json!({
                "dryRun": args.dry_run, "sent": sent, "deadLetters": letters, "failures": failures, "forged": forged, "others": others,
                "back": back, "unseen": unseen, "stopped": stop.is_cancelled(),
            });
            return Ok(output::line(&answer.to_string())?);
        }
        if args.dry_run {
            for (origin, letter) in listed {
                output::line(&render::line(*origin, letter))?;
            }
        }
        for error in failures {
            output::line(&error_chain(error))?;
        }
        let verb = if args.dry_run { "would be sent again" } else { "sent again" };
        output::line(&format!("{} {verb}", render::letters(u64::try_from(*sent)?)))?;
        if *forged > 0 {
            output::line(&format!(
                "{} refused: not signed by a known key, so nobody knows whose it is",
                render::letters(*forged)
            ))?;
        }
        if args.which.id.is_some() {
            return Ok(());
        }
        for (count, what) in [
            (*others, "left alone".to_owned()),
            (*unseen, format!("not looked at: --limit or a signal came first, or they {}", render::UNSEEN)),
        ] {
            if count > 0 {
                output::line(&format!("{} {what}", render::letters(count)))?;
            }
        }
        Ok(())
    }

    fn verdict(&self) -> anyhow::Result<()> {
        let RedriveTally { sent, failures, forged, back, .. } = &self.tally;
        if !failures.is_empty() {
            bail!("{} could not be sent again; run it once more", render::letters(u64::try_from(failures.len())?));
        }
        if *back > 0 {
            bail!("{} dead once more: `ordo dlq list` says why", render::letters(*back));
        }
        if self.stop.is_cancelled() {
            bail!("stopped before the end; run it once more for the rest");
        }
        match &self.args.which.id {
            Some(id) if *forged > 0 => {
                bail!("dead letter {id} is not signed by a known key: `ordo dlq discard` deletes it")
            }
            Some(id) if *sent == 0 => bail!("no dead letter {id} can be seen; `ordo dlq list` shows which there are"),
            Some(_) | None => Ok(()),
        }
    }
}

impl RedriveTally {
    fn looked_at(&self) -> u64 {
        let handled = self.sent + self.failures.len();
        u64::try_from(handled).unwrap_or(u64::MAX) + self.forged + self.others + self.back
    }
}
