//! Parked streams: each gets an operator's request, which the copy that holds the stream carries out.

use chrono::{DateTime, Utc};
use event_store::EventStore;
use event_store::operations::{
    ParkedEvent, ParkedStreamAction, ParkedStreamFilter, count_parked_streams, parked_streams, request_parked_at,
};
use serde::Deserialize;
use tokio::time::Instant;

use super::{BatchReport, BulkActionItem, Decider, ItemOutcome, Matches, SHOWN, is_late};
use crate::table::BulkActionRow;
use crate::{BulkActionDependencies, BulkActionError, BulkActionKind, ParkedStreamsFilter};

pub(crate) struct ParkedStreamTarget {
    store: EventStore,
    filter: ParkedStreamsFilter,
    request: ParkedStreamAction,
    decider: Decider,
    /// The type and id of the last stream. Going by streams, a run comes to each once, even if its next event fails, too.
    after: (String, String),
}

impl ParkedStreamTarget {
    pub(super) fn new(
        deps: &BulkActionDependencies,
        action: &BulkActionRow,
        filter: ParkedStreamsFilter,
    ) -> Result<Self, BulkActionError> {
        let is_skip = action.kind == BulkActionKind::SkipParkedEvents;
        let request = if is_skip { ParkedStreamAction::Skip } else { ParkedStreamAction::Retry };
        let after = action.cursor.as_ref().map(<(String, String)>::deserialize).transpose()?.unwrap_or_default();
        Ok(Self { store: deps.store.clone(), filter, request, decider: Decider::of(action), after })
    }

    pub(super) async fn next(&mut self, most: usize, mut report: BatchReport) -> Result<BatchReport, BulkActionError> {
        let began = Instant::now();
        let filter = condition(&self.filter, self.decider.began_at);
        let after = (self.after.0.as_str(), self.after.1.as_str());
        let events = parked_streams(self.store.pool(), filter, after, i64::try_from(most).unwrap_or(i64::MAX)).await?;
        report.is_end = events.is_empty();
        for event in events {
            report.note_item(&event.stream_id, self.ask(&event).await);
            self.after = (event.stream_type, event.stream_id);
            if is_late(began) {
                break;
            }
        }
        report.cursor = Some(serde_json::to_value(&self.after)?);
        Ok(report)
    }

    async fn ask(&self, event: &ParkedEvent) -> ItemOutcome {
        match request_parked_at(self.store.pool(), event, self.request).await {
            Ok(true) => {
                let ParkedEvent { subscription, stream_id, position, .. } = event;
                let (Decider { actor, reason, .. }, request) = (&self.decider, self.request.as_str());
                tracing::info!(subscription, stream_id, position, request, actor, reason, "parked stream");
                ItemOutcome::Done
            }
            Ok(false) => ItemOutcome::MovedOn,
            Err(error) => ItemOutcome::Failed(error.to_string()),
        }
    }
}

pub(super) async fn matches(
    store: &EventStore,
    filter: &ParkedStreamsFilter,
    until: DateTime<Utc>,
) -> Result<Matches, BulkActionError> {
    let filter = condition(filter, until);
    let count = count_parked_streams(store.pool(), filter).await?;
    let limit = i64::try_from(SHOWN).unwrap_or(i64::MAX);
    let events = parked_streams(store.pool(), filter, ("", ""), limit).await?;
    let item = |event: ParkedEvent| BulkActionItem {
        id: event.stream_id,
        at: event.event_type,
        error: event.error,
        since: event.parked_at,
    };
    Ok(Matches { count: Some(count), items: events.into_iter().map(item).collect() })
}

fn condition(filter: &ParkedStreamsFilter, until: DateTime<Utc>) -> ParkedStreamFilter<'_> {
    let ParkedStreamsFilter { subscription, error, event_type, stream_ids } = filter;
    ParkedStreamFilter {
        subscription,
        error: error.as_deref(),
        event_type: event_type.as_deref(),
        stream_ids: stream_ids.as_deref(),
        until: Some(until),
    }
}
