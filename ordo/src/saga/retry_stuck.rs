//! `ordo saga retry --stuck` and `--failed`: everything that is stuck, or every mail that was given up, or some of it, tried again.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use domain::order::saga::{OperatorDecision, SagaStep};
use futures_util::{StreamExt, stream};
use sagas::operator::InterventionError;
use sagas::report::{self, GivenUpFilter, GivenUpMail, SagaRow, WaitingCursor, WaitingFilter};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::MissedTickBehavior;

use super::{Desk, Retry, words};
use crate::{output, shutdown};

/// How many are read at once.
const PAGE: i64 = 500;
/// How many are decided at once, when nothing bounds the rate.
const AT_ONCE: usize = 32;
/// After so many failures it is not the orders that are at fault.
const MOST_FAILURES: usize = 20;

/// One that can be retried.
#[derive(Clone)]
struct Candidate {
    order_id: String,
    step: String,
    /// As it is listed.
    line: String,
    summary: Value,
}

/// What became of them.
#[derive(Default)]
struct Tally {
    retried: usize,
    /// Those, where the answer lists them.
    listed: Vec<Candidate>,
    /// Those that had moved on by then.
    moved_on: usize,
    failures: Vec<String>,
}

pub(super) async fn run(desk: &Desk, args: &Retry) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let pool = desk.store.pool();
    // What is stuck again because of this is left alone by it.
    let until: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await?;
    let mut pages = Pages::new(args, until);
    let mut pace = Pace::new(args.rate.filter(|_| !args.dry_run));
    let mut tally = Tally::default();
    while !stop.is_cancelled() && tally.failures.len() < MOST_FAILURES {
        let Some(page) = pages.next(pool).await? else { break };
        for some in page.chunks(pace.at_once()) {
            if stop.run_until_cancelled(pace.wait()).await.is_none() || tally.failures.len() >= MOST_FAILURES {
                break;
            }
            let decided = some.iter().map(|row| async move { (row.clone(), retry(desk, args, row).await) });
            let decided: Vec<_> = stream::iter(decided).buffered(AT_ONCE).collect().await;
            for (row, result) in decided {
                tally.note(row, result, args);
            }
        }
    }
    tally.report(args, stop.is_cancelled())?;
    match tally.failures.len() {
        0 if stop.is_cancelled() => bail!("stopped before the end; run it once more for the rest"),
        0 => Ok(()),
        failed => bail!("{} could not be retried; run it once more", words::sagas(i64::try_from(failed)?)),
    }
}

/// `false`: it does not wait for that any more.
async fn retry(desk: &Desk, args: &Retry, row: &Candidate) -> anyhow::Result<bool> {
    if args.dry_run {
        return Ok(true);
    }
    let step = SagaStep::parse(&row.step).ok_or_else(|| anyhow!("this build knows no step {}", row.step))?;
    match desk.decide(&row.order_id, step, OperatorDecision::Retry { payment_token: None }, &args.why, None).await {
        Ok(_) => Ok(true),
        Err(InterventionError::Refused(_) | InterventionError::Stale(_)) => Ok(false),
        Err(error @ (InterventionError::NoSuchOrder(_) | InterventionError::Failed(_))) => Err(error.into()),
    }
}

/// All that can be retried, some at a time.
enum Pages<'a> {
    /// What is stuck; after the last that was given.
    Stuck(WaitingFilter<'a>, Option<WaitingCursor>),
    /// Mails that were given up; after the position of the last that was given. A retry is of all of an order's mails: each order
    /// comes once.
    Failed { filter: GivenUpFilter<'a>, after: i64, orders: HashSet<String> },
}

impl<'a> Pages<'a> {
    fn new(args: &'a Retry, until: DateTime<Utc>) -> Self {
        let (error, until) = (args.error.as_deref(), Some(until));
        if args.failed {
            return Self::Failed { filter: GivenUpFilter { error, until }, after: 0, orders: HashSet::new() };
        }
        Self::Stuck(WaitingFilter { stuck: Some(true), error, step: args.step, until }, None)
    }

    /// `None`: there are no more.
    async fn next(&mut self, pool: &PgPool) -> Result<Option<Vec<Candidate>>, sqlx::Error> {
        match self {
            Self::Stuck(filter, after) => {
                let page = report::waiting(pool, *filter, after.as_ref(), PAGE).await?;
                let Some(end) = page.last() else { return Ok(None) };
                *after = Some(WaitingCursor::of(end));
                Ok(Some(page.iter().map(Candidate::from).collect()))
            }
            Self::Failed { filter, after, orders } => {
                let page = report::given_up(pool, *filter, *after, PAGE).await?;
                let Some(end) = page.last() else { return Ok(None) };
                *after = end.position;
                let fresh = page.iter().filter(|mail| orders.insert(mail.order_id.clone()));
                Ok(Some(fresh.map(Candidate::from).collect()))
            }
        }
    }
}

impl From<&SagaRow> for Candidate {
    fn from(row: &SagaRow) -> Self {
        let (order_id, step) = (row.order_id.clone(), row.step.clone());
        Self { order_id, step, line: words::line(row), summary: words::summary(row) }
    }
}

impl From<&GivenUpMail> for Candidate {
    fn from(mail: &GivenUpMail) -> Self {
        let (order_id, step) = (mail.order_id.clone(), SagaStep::NotifyCustomer.name().to_owned());
        Self { order_id, step, line: words::mail(mail), summary: words::mail_summary(mail) }
    }
}

impl Tally {
    fn note(&mut self, row: Candidate, result: anyhow::Result<bool>, args: &Retry) {
        match result {
            Ok(true) => {
                self.retried += 1;
                if args.json || args.dry_run {
                    self.listed.push(row);
                }
            }
            Ok(false) => self.moved_on += 1,
            Err(error) => self.failures.push(format!("{}: {error:#}", row.order_id)),
        }
    }

    fn report(&self, args: &Retry, stopped: bool) -> anyhow::Result<()> {
        let Self { retried, listed, moved_on, failures } = self;
        if args.json {
            let sagas: Vec<&Value> = listed.iter().map(|it| &it.summary).collect();
            let answer = json!({
                "dryRun": args.dry_run, "retried": retried, "sagas": sagas, "movedOn": moved_on, "failures": failures,
                "stopped": stopped,
            });
            return Ok(output::line(&answer.to_string())?);
        }
        for row in listed {
            output::line(&row.line)?;
        }
        for failure in failures {
            output::line(&words::harmless(failure))?;
        }
        let verb = if args.dry_run { "would be retried" } else { "retried" };
        output::line(&format!("{} {verb}", words::sagas(i64::try_from(*retried)?)))?;
        if *moved_on > 0 {
            output::line(&format!("{} had moved on", words::sagas(i64::try_from(*moved_on)?)))?;
        }
        Ok(())
    }
}

/// At most so many a second, one after the other; or as fast as it goes.
struct Pace(Option<tokio::time::Interval>);

impl Pace {
    fn new(rate: Option<NonZeroU32>) -> Self {
        Self(rate.map(|rate| {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.get());
            // A pause is not made up for.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        }))
    }

    fn at_once(&self) -> usize {
        if self.0.is_some() { 1 } else { AT_ONCE }
    }

    async fn wait(&mut self) {
        if let Some(ticks) = &mut self.0 {
            ticks.tick().await;
        }
    }
}
