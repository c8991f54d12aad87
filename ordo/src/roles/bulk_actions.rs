//! Bulk actions: a part of the role `sagas`, whose database user records the decisions of operators.

use bulk_actions::BulkActionDependencies;
use domain::stock::Stock;
use event_store::{EventStore, StreamLocks};
use messaging::{DeadLetterOrigin, DeadLetterQueue};
use utoipa_axum::router::OpenApiRouter;

use super::RoleTasks;
use crate::connections::SharedClients;
use crate::migrate;
use crate::settings::Settings;

/// Carries them on, and returns their routes.
pub(super) async fn start(
    settings: &Settings,
    connections: &SharedClients,
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    running: &mut RoleTasks,
) -> anyhow::Result<OpenApiRouter> {
    let queues = migrate::find_queues(&connections.sqs, settings).await?;
    let of_origin = |origin| DeadLetterQueue::of(connections.sqs.clone(), origin, &queues);
    let dead_letters = DeadLetterOrigin::ALL.map(of_origin).into();
    // Decisions wait for room in the queue of appends, as those of sagas do.
    let (store, keys) = (store.waiting_when_full(), settings.message_keys()?.clone());
    let deps = BulkActionDependencies { store, stock: stock.clone(), dead_letters, keys };
    running.spawn("bulk actions", bulk_actions::run(deps.clone(), running.stop.clone()));
    Ok(bulk_actions::routes(deps))
}
