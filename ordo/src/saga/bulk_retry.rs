//! `ordo saga retry --stuck` and `--failed`: retries stuck sagas or failed mails, all or some.

use std::collections::HashSet;

use anyhow::{anyhow, bail};
use chrono::{DateTime, Utc};
use domain::order::saga::{OperatorDecision, SagaStep};
use futures_util::{StreamExt, stream};
use sagas::operator::InterventionError;
use sagas::report::{self, GivenUpMail, GivenUpMailFilter, WaitingSagaCursor, WaitingSagaFilter, WaitingSagaRow};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{SagaOperator, SagaRetryArgs, render};
use crate::rate_limiter::FixedRateThrottle;
use crate::{output, shutdown};

/// How many candidates are read at once.
const PAGE: i64 = 500;
/// How many retries run at once without a rate limit.
const AT_ONCE: usize = 32;
/// After so many failures the orders are not the cause.
const MOST_FAILURES: usize = 20;

/// A saga or mail that can be retried.
#[derive(Clone)]
struct RetryCandidate {
    order_id: String,
    step: String,
    /// Its line in a list.
    line: String,
    summary: Value,
}

/// What became of them.
#[derive(Default)]
struct BulkRetryTally {
    retried: usize,
    /// The retried ones, if the output lists them.
    listed: Vec<RetryCandidate>,
    /// How many had moved on meanwhile.
    moved_on: usize,
    failures: Vec<String>,
}

pub(super) async fn run(operator: &SagaOperator, args: &SagaRetryArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let pool = operator.store.pool();
    // Sagas that are stuck again after their retry are not retried twice.
    let until: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await?;
    let mut pages = RetryCandidatePages::new(args, until);
    let rate = args.rate.filter(|_| !args.dry_run);
    let (mut pace, at_once) = (FixedRateThrottle::new(rate), if rate.is_some() { 1 } else { AT_ONCE });
    let mut tally = BulkRetryTally::default();
    while !stop.is_cancelled() && tally.failures.len() < MOST_FAILURES {
        let Some(page) = pages.next(pool).await? else { break };
        for some in page.chunks(at_once) {
            if !pace.wait(some.len(), &stop).await || tally.failures.len() >= MOST_FAILURES {
                break;
            }
            let decided = some.iter().map(|row| async move { (row.clone(), retry(operator, args, row).await) });
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
        failed => bail!("{} could not be retried; run it once more", render::sagas(i64::try_from(failed)?)),
    }
}

/// `false`: the order has moved on.
async fn retry(operator: &SagaOperator, args: &SagaRetryArgs, row: &RetryCandidate) -> anyhow::Result<bool> {
    if args.dry_run {
        return Ok(true);
    }
    let step = SagaStep::parse(&row.step).ok_or_else(|| anyhow!("this build knows no step {}", row.step))?;
    let decision = OperatorDecision::Retry { payment_token: None };
    match operator.decide(&row.order_id, (step, None, None), decision, &args.why, None).await {
        Ok(_) => Ok(true),
        Err(InterventionError::Refused(_) | InterventionError::Stale(_) | InterventionError::OtherVersion(_)) => {
            Ok(false)
        }
        Err(error @ (InterventionError::NoSuchOrder(_) | InterventionError::Failed(_))) => Err(error.into()),
    }
}

/// Reads the candidates page by page.
enum RetryCandidatePages<'a> {
    /// Stuck sagas, and the end of the last page.
    Stuck(WaitingSagaFilter<'a>, Option<WaitingSagaCursor>),
    /// Failed mails, and the position of the last page's end. A retry is of all mails of an order, so each order comes once.
    Failed { filter: GivenUpMailFilter<'a>, after: i64, orders: HashSet<String> },
}

impl<'a> RetryCandidatePages<'a> {
    fn new(args: &'a SagaRetryArgs, until: DateTime<Utc>) -> Self {
        let (error, until) = (args.error.as_deref(), Some(until));
        if args.failed {
            return Self::Failed { filter: GivenUpMailFilter { error, until }, after: 0, orders: HashSet::new() };
        }
        let (stuck, step) = (Some(true), args.step);
        Self::Stuck(WaitingSagaFilter { stuck, error, step, until, orders: None, stuck_by: until }, None)
    }

    /// `None`: there are no more pages.
    async fn next(&mut self, pool: &PgPool) -> Result<Option<Vec<RetryCandidate>>, sqlx::Error> {
        match self {
            Self::Stuck(filter, after) => {
                let page = report::waiting(pool, *filter, after.as_ref(), PAGE).await?;
                let Some(end) = page.last() else { return Ok(None) };
                *after = Some(WaitingSagaCursor::of(end));
                Ok(Some(page.iter().map(RetryCandidate::from).collect()))
            }
            Self::Failed { filter, after, orders } => {
                let page = report::given_up(pool, *filter, *after, PAGE).await?;
                let Some(end) = page.last() else { return Ok(None) };
                *after = end.position;
                let fresh = page.iter().filter(|mail| orders.insert(mail.order_id.clone()));
                Ok(Some(fresh.map(RetryCandidate::from).collect()))
            }
        }
    }
}

impl From<&WaitingSagaRow> for RetryCandidate {
    fn from(row: &WaitingSagaRow) -> Self {
        let (order_id, step) = (row.order_id.clone(), row.step.clone());
        Self { order_id, step, line: render::line(row), summary: render::summary(row) }
    }
}

impl From<&GivenUpMail> for RetryCandidate {
    fn from(mail: &GivenUpMail) -> Self {
        let (order_id, step) = (mail.order_id.clone(), SagaStep::NotifyCustomer.name().to_owned());
        Self { order_id, step, line: render::mail(mail), summary: render::mail_summary(mail) }
    }
}

impl BulkRetryTally {
    fn note(&mut self, row: RetryCandidate, result: anyhow::Result<bool>, args: &SagaRetryArgs) {
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

    fn report(&self, args: &SagaRetryArgs, stopped: bool) -> anyhow::Result<()> {
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
            output::line(&render::harmless(failure))?;
        }
        let decision = if args.dry_run { "would be retried" } else { "retried" };
        output::line(&format!("{} {decision}", render::sagas(i64::try_from(*retried)?)))?;
        if *moved_on > 0 {
            output::line(&format!("{} had moved on", render::sagas(i64::try_from(*moved_on)?)))?;
        }
        Ok(())
    }
}
