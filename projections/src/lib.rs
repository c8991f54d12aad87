//! The read side: each projection folds the event log into the items of one read model, and answers the GET requests on
//! it.
//!
//! A projection is one file (its items, keys, fold and routes) and one line in [`REGISTRY`]. That line gives it a
//! checkpoint, a table, replays and its place in the API. A fold is pure: it sees items and an event, and changes
//! items. It cannot reach a queue, a mailer or a payment gateway, neither live nor in a replay.

mod amount_view;
mod described;
mod error;
mod explorer;
mod fold_context;
mod keys;
mod live;
mod log;
mod orders;
mod parameters;
mod parked_streams;
mod preference;
mod projection;
mod projector;
mod queries;
mod reads;
mod registry;
mod replay;
mod saga_reports;
mod sales;
mod stock;
mod subscriptions;
mod timeline;
mod verify;

use std::sync::Arc;

use axum::middleware::from_fn;
use event_store::EventStore;
use read_models::{Generation, GenerationStore, ReadModelStoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use projector::Projector;
use reads::ReadRouteState;

pub use live::{LiveStreamSettings, live_routes};
pub use orders::changes::JsonLeafChange;
pub use orders::time_travel::{OrderAsOf, OrderHistory, PointInTime};
pub use projection::ProjectionDefinition;
pub use queries::ReadModelQueries;
pub use reads::SlowReads;
pub use registry::REGISTRY;
pub use replay::{
    ExclusiveReplay, HttpReplays, ReplayDryRun, ReplayError, ReplayOperations, ReplayOptions, ReplayPhase,
    ReplayProgress, ReplayRow, ReplaySummary, read_estimate, read_replays,
};
pub use saga_reports::SagaReports;
pub use subscriptions::{read_subscriptions, subscription_routes};
pub use verify::{Discrepancy, ReadModelVerifier, VerificationReport};

/// Creates the tables of all read models that have none yet, except those named in `except`.
pub async fn create_tables(read_models: &dyn GenerationStore, except: &[&str]) -> Result<(), ReadModelStoreError> {
    for projection in REGISTRY.iter().filter(|projection| !except.contains(&projection.name)) {
        read_models.create(projection.name).await?;
    }
    Ok(())
}

/// Keeps every read model up to date until `stop`. Returns early only if a projection panics.
pub async fn run(store: EventStore, read_models: Arc<dyn GenerationStore>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    for projection in REGISTRY {
        let (store, stop) = (store.clone(), stop.clone());
        let projector = Projector::new(projection, read_models.table(projection.name, Generation::Live));
        running.spawn(async move { store.subscribe(projector, stop).await });
    }
    while let Some(Ok(())) = running.join_next().await {}
}

/// The GET routes of every read model. An order can have the report on its sagas with it if there are `sagas`.
pub fn routes(
    store: EventStore,
    read_models: &dyn GenerationStore,
    sagas: Option<Arc<dyn SagaReports>>,
    slow: SlowReads,
) -> OpenApiRouter {
    let context = route_state(store, read_models, sagas, slow);
    reads_router().with_state(context).layer(from_fn(preference::say_what_was_applied))
}

fn route_state(
    store: EventStore,
    read_models: &dyn GenerationStore,
    sagas: Option<Arc<dyn SagaReports>>,
    slow: SlowReads,
) -> ReadRouteState {
    let tables = |projection: &ProjectionDefinition| {
        let generations = [Generation::Live, Generation::Next, Generation::Previous];
        (projection.name, generations.map(|generation| read_models.table(projection.name, generation)))
    };
    ReadRouteState::new(store, REGISTRY.iter().map(tables).collect(), sagas, slow)
}

fn reads_router() -> OpenApiRouter<ReadRouteState> {
    let routes = REGISTRY.iter().map(|projection| (projection.routes)());
    routes.fold(timeline::routes().merge(log::routes()), OpenApiRouter::merge)
}

/// The GET routes for those who run the platform.
pub fn operate_routes(store: EventStore, read_models: &dyn GenerationStore, slow: SlowReads) -> OpenApiRouter {
    operate_router().with_state(route_state(store, read_models, None, slow))
}

fn operate_router() -> OpenApiRouter<ReadRouteState> {
    log::audit::routes().merge(explorer::routes())
}

/// How the OpenAPI document describes [`routes`], [`live_routes`], [`operate_routes`] and those of [`HttpReplays`].
pub fn description() -> OpenApi {
    let mut description = reads_router().into_openapi();
    description.merge(live::router().into_openapi());
    description.merge(operate_router().into_openapi());
    description.merge(replay::router().into_openapi());
    description.merge(subscriptions::description());
    description
}
