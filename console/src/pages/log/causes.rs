//! What an event came of and what came of it, as a tree.
//!
//! The log has no index of causes. They are looked for where they are: in the event's own stream, and beside it in the log.

use std::collections::{BTreeMap, BTreeSet};

use problem::Problem;

use super::{LoggedEvent, read};
use crate::Console;
use crate::admission::Reader;
use crate::display::{Instant, Text};

/// How many positions before and behind the event are looked at.
const BESIDE: i64 = 100;
/// How deep an event is shown in the tree at the most.
const DEEPEST: usize = 8;

/// An event of the tree.
pub(super) struct Cause {
    pub(super) position: i64,
    pub(super) name: Text,
    pub(super) stream_id: Text,
    pub(super) actor: Option<Text>,
    pub(super) recorded_at: Instant,
    /// How many causes are above it.
    pub(super) depth: usize,
    /// The position of its cause, if that is in the tree.
    pub(super) caused_by: Option<i64>,
    pub(super) is_this: bool,
}

/// The events with the same correlation, each below its cause. It is empty if the event has nothing to do with others.
pub(super) async fn of(console: &Console, reader: &Reader, event: &LoggedEvent) -> Result<Vec<Cause>, Problem> {
    let Some(root) = correlation(event) else { return Ok(Vec::new()) };
    let position = event.position;
    let (from, to) = (position.saturating_sub(BESIDE).max(1), position.saturating_add(BESIDE));
    let stream = format!("{}&limit=200", event.events_of_stream());
    let mut found = read(console, reader, &stream).await?;
    found.extend(read(console, reader, &format!("fromPosition={from}&toPosition={position}&limit=200")).await?);
    found.extend(
        read(console, reader, &format!("fromPosition={position}&toPosition={to}&sort=position&limit=200")).await?,
    );
    let found = found.into_iter().filter(|it| correlation(it).is_some_and(|of| of == root));
    Ok(tree(&found.map(|it| (it.position, it)).collect(), position))
}

/// What events that belong together have in common: the id of their request, or that of the first of them.
fn correlation(event: &LoggedEvent) -> Option<&str> {
    let id = event.metadata.correlation_id.as_ref().unwrap_or(&event.event_id);
    Some(id.as_str()).filter(|id| !id.is_empty())
}

fn tree(events: &BTreeMap<i64, LoggedEvent>, this: i64) -> Vec<Cause> {
    let by_id: BTreeMap<&str, i64> = events.values().map(|event| (event.event_id.as_str(), event.position)).collect();
    let cause_of = |event: &LoggedEvent| {
        let cause = by_id.get(event.metadata.causation_id.as_ref()?.as_str()).copied();
        // What was caused comes later, so that there is no circle.
        cause.filter(|cause| *cause < event.position)
    };
    let mut below: BTreeMap<Option<i64>, BTreeSet<i64>> = BTreeMap::new();
    for event in events.values() {
        below.entry(cause_of(event)).or_default().insert(event.position);
    }
    let mut causes = Vec::with_capacity(events.len());
    let mut next: Vec<(i64, usize)> = below.get(&None).into_iter().flatten().rev().map(|root| (*root, 0)).collect();
    while let Some((position, depth)) = next.pop() {
        let Some(event) = events.get(&position) else { continue };
        causes.push(Cause {
            position,
            name: event.name.clone(),
            stream_id: event.stream_id.clone(),
            actor: event.metadata.actor.clone(),
            recorded_at: event.recorded_at,
            depth: depth.min(DEEPEST),
            caused_by: cause_of(event),
            is_this: position == this,
        });
        next.extend(below.get(&Some(position)).into_iter().flatten().rev().map(|child| (*child, depth + 1)));
    }
    if causes.len() > 1 { causes } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(position: i64, cause: Option<&str>) -> (i64, LoggedEvent) {
        let event = json!({ "streamType": "order", "streamId": "o", "version": 1, "position": position, "type": "X", "eventId": format!("e{position}"),
            "recordedAt": "2026-11-30T10:00:00Z", "metadata": { "causationId": cause, "correlationId": "c" }, "data": {} });
        (position, serde_json::from_value(event).unwrap())
    }

    #[test]
    fn each_event_is_below_its_cause_and_nothing_goes_round() {
        let events = [
            event(1, None),
            event(2, Some("e1")),
            event(3, Some("e2")),
            event(4, Some("e1")),
            event(5, Some("lost")),
            event(6, Some("e6")),
        ];
        let shown: Vec<_> = tree(&events.into(), 3).iter().map(|it| (it.position, it.depth, it.is_this)).collect();
        assert_eq!(shown, [(1, 0, false), (2, 1, false), (3, 2, true), (4, 1, false), (5, 0, false), (6, 0, false)]);
        assert!(tree(&[event(1, None)].into(), 1).is_empty());
    }
}
