//! Carries orders on that something happened to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::order::Order;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use sqlx::PgConnection;

use crate::case::Case;
use crate::drive::{Notes, drive};
use crate::unread::Unread;
use crate::work::{self, Ended};
use crate::{Context, SAGAS};

/// The name of the sagas' subscription, which is that of the first of them.
const SUBSCRIPTION: &str = "order_fulfilment";
/// The name of what operators decided.
const INTERVENED: &str = "OperatorIntervened";

pub(crate) struct Runner {
    context: Arc<Context>,
}

impl Runner {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[async_trait]
impl Subscriber for Runner {
    fn name(&self) -> &str {
        SUBSCRIPTION
    }

    fn follows(&self) -> Option<&'static str> {
        Some(<Order as cqrs_es::Aggregate>::TYPE)
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let mut streams: BTreeMap<&str, Vec<&StoredEvent>> = BTreeMap::new();
        for event in events.iter().filter(|event| event.is_of::<Order>()) {
            streams.entry(&event.stream_id).or_default().push(event);
        }
        // What a saga itself recorded it has gone on from already.
        streams.retain(|_, events| !events.iter().all(|event| is_own(event)));
        if streams.is_empty() {
            return Ok(());
        }
        let intervened = streams.iter().filter(|(_, events)| events.iter().any(|event| event.event_type == INTERVENED));
        let intervened: HashSet<&str> = intervened.map(|(order_id, _)| *order_id).collect();
        let (whole, partial): (Vec<_>, Vec<_>) = streams.into_iter().partition(|(_, events)| is_whole(events));
        let mut partial = Unread::new(partial.into_iter().map(|(order_id, _)| (order_id.to_owned(), ())));
        let mut cases = Vec::with_capacity(whole.len());
        for (_, events) in whole {
            cases.extend(Case::open(events)?);
        }
        let (now, mut notes) = (work::now(&mut *transaction).await?, Notes::default());
        loop {
            for ((), events) in partial.read_some(&self.context.store).await? {
                cases.extend(Case::open(&events)?);
            }
            for saga in SAGAS {
                cases = drive(&self.context, saga, cases, &HashMap::new(), now, &mut notes).await;
            }
            // What an operator decided about is begun afresh.
            for case in cases.drain(..).filter(|case| intervened.contains(case.order_id.as_str())) {
                let ended = |saga: &crate::Saga| Ended { key: (saga.name, case.order_id.clone()), seen: case.version };
                notes.ended.extend(SAGAS.map(ended));
            }
            if partial.is_empty() {
                break;
            }
        }
        // Rows are touched last: nobody waits for them while others are asked.
        work::forget(transaction, notes.ended).await?;
        work::note(transaction, notes.later).await?;
        Ok(())
    }
}

/// Whether a saga recorded it in the course of carrying the order on.
fn is_own(event: &StoredEvent) -> bool {
    event.metadata().actor.is_some_and(|actor| SAGAS.iter().any(|saga| saga.name == actor))
}

/// Whether these are all events of a stream up to the last of them. Should more have happened since, storing what was decided
/// on them finds out.
fn is_whole(events: &[&StoredEvent]) -> bool {
    (1..).zip(events).all(|(version, event)| event.version == version)
}
