//! What bulk actions work with. They are a part of the role `sagas`, whose database user records the decisions of operators.

use bulk_actions::BulkActionDependencies;
use dead_letters::DeadLetters;
use domain::stock::Stock;
use event_store::{EventStore, StreamLocks};
use messaging::{DeadLetterOrigin, DeadLetterQueue, MessageSigningKeys};

use crate::connections::SharedClients;
use crate::migrate;
use crate::settings::Settings;

/// The dead letters, as operators look at them and decide about them one by one.
pub(super) fn dead_letters(bulk: &BulkActionDependencies) -> DeadLetters {
    DeadLetters::new(bulk.store.clone(), bulk.dead_letters.clone(), bulk.keys.clone())
}

/// `carries_out`: whether the process carries actions on, for which it needs the queues. One that has the console alone may know none.
pub(super) async fn dependencies(
    settings: &Settings,
    connections: &SharedClients,
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    carries_out: bool,
) -> anyhow::Result<BulkActionDependencies> {
    let of_process = match carries_out {
        true => Some((migrate::find_queues(&connections.sqs, settings).await?, settings.message_keys()?)),
        false => migrate::find_queues(&connections.sqs, settings).await.ok().zip(settings.message_keys().ok()),
    };
    let (dead_letters, keys) = match of_process {
        Some((queues, keys)) => {
            let of_origin = |origin| DeadLetterQueue::of(connections.sqs.clone(), origin, &queues);
            (DeadLetterOrigin::ALL.map(of_origin).into(), keys.clone())
        }
        None => (Vec::new(), MessageSigningKeys::random("none")?),
    };
    // Decisions wait for room in the queue of appends, as those of sagas do.
    Ok(BulkActionDependencies { store: store.waiting_when_full(), stock: stock.clone(), dead_letters, keys })
}
