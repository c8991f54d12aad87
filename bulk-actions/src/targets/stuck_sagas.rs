//! Stuck sagas: each gets the decision of an operator about its step.

use chrono::{DateTime, Utc};
use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::stock::Stock;
use event_store::{EventStore, StreamLocks};
use sagas::operator::{InterventionError, intervene_for};
use sagas::report::{self, WaitingSagaCursor, WaitingSagaFilter, WaitingSagaRow};
use serde::Deserialize;
use tokio::time::Instant;

use super::{BatchReport, BulkActionItem, Decider, ItemOutcome, Matches, SHOWN, is_late};
use crate::table::BulkActionRow;
use crate::{BulkActionDependencies, BulkActionError, BulkActionKind, StuckSagaFilter};

pub(crate) struct StuckSagaTarget {
    store: EventStore,
    stock: StreamLocks<Stock>,
    filter: StuckSagaFilter,
    decision: OperatorDecision,
    decider: Decider,
    after: Option<WaitingSagaCursor>,
}

impl StuckSagaTarget {
    pub(super) fn new(
        deps: &BulkActionDependencies,
        action: &BulkActionRow,
        filter: StuckSagaFilter,
    ) -> Result<Self, BulkActionError> {
        let (store, stock) = (deps.store.clone(), deps.stock.clone());
        let is_undone = action.kind == BulkActionKind::CompensateSagas;
        let retry = OperatorDecision::Retry { payment_token: None };
        let decision = if is_undone { OperatorDecision::Compensate } else { retry };
        let after = action.cursor.as_ref().map(WaitingSagaCursor::deserialize).transpose()?;
        Ok(Self { store, stock, filter, decision, decider: Decider::of(action), after })
    }

    pub(super) async fn next(&mut self, most: usize, mut report: BatchReport) -> Result<BatchReport, BulkActionError> {
        let began = Instant::now();
        let (filter, pool) = (condition(&self.filter, self.decider.began_at), self.store.pool());
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = report::waiting(pool, filter, self.after.as_ref(), limit).await?;
        report.is_end = rows.is_empty();
        for row in &rows {
            report.note_item(&row.order_id, self.decide(row).await);
            self.after = Some(WaitingSagaCursor::of(row));
            if is_late(began) {
                break;
            }
        }
        report.cursor = self.after.as_ref().map(serde_json::to_value).transpose()?;
        Ok(report)
    }

    async fn decide(&self, row: &WaitingSagaRow) -> ItemOutcome {
        let Some(step) = SagaStep::parse(&row.step) else {
            return ItemOutcome::Refused(format!("this build knows no step {}", row.step));
        };
        let decided = match self.intervene(row, step).await {
            // It may be recorded. Asking again finds out, or does it.
            Err(InterventionError::Failed(_)) => self.intervene(row, step).await,
            decided => decided,
        };
        match decided {
            Ok(true) => ItemOutcome::Done,
            Ok(false) => ItemOutcome::MovedOn,
            Err(error @ InterventionError::NoSuchOrder(_)) => ItemOutcome::Refused(error.to_string()),
            // Either the order does not wait for it any more, or it never takes such a decision, or others changed it all the time.
            Err(
                refusal @ (InterventionError::Refused(_)
                | InterventionError::Stale(_)
                | InterventionError::OtherVersion(_)),
            ) => match report::still_waits(self.store.pool(), row).await {
                Ok(false) => ItemOutcome::MovedOn,
                Ok(true) => ItemOutcome::Refused(refusal.to_string()),
                Err(error) => ItemOutcome::Failed(error.to_string()),
            },
            Err(InterventionError::Failed(error)) => ItemOutcome::Failed(error),
        }
    }

    async fn intervene(&self, row: &WaitingSagaRow, step: SagaStep) -> Result<bool, InterventionError> {
        let Decider { action, actor, reason, .. } = &self.decider;
        let intervention = OperatorIntervened {
            decision: self.decision.clone(),
            step,
            actor: actor.clone(),
            reason: reason.clone(),
            customer_message: None,
            notification_id: None,
            payment_number: None,
        };
        intervene_for(*action, &self.store, &self.stock, &row.order_id, intervention).await
    }
}

pub(super) async fn matches(
    store: &EventStore,
    filter: &StuckSagaFilter,
    until: DateTime<Utc>,
) -> Result<Matches, BulkActionError> {
    let (filter, pool) = (condition(filter, until), store.pool());
    let (_, count) = report::count(pool, filter).await?;
    let rows = report::waiting(pool, filter, None, i64::try_from(SHOWN).unwrap_or(i64::MAX)).await?;
    let item = |row: WaitingSagaRow| BulkActionItem {
        id: row.order_id,
        at: row.step,
        error: row.last_error,
        since: row.since,
    };
    Ok(Matches { count: Some(count), items: rows.into_iter().map(item).collect() })
}

fn condition(filter: &StuckSagaFilter, until: DateTime<Utc>) -> WaitingSagaFilter<'_> {
    let StuckSagaFilter { step, error, until: since, order_ids } = filter;
    WaitingSagaFilter {
        stuck: Some(true),
        error: error.as_deref(),
        step: step.as_deref().and_then(SagaStep::parse),
        until: Some(since.map_or(until, |since| since.min(until))),
        orders: order_ids.as_deref(),
        stuck_by: Some(until),
    }
}
