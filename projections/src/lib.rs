//! The read side: each projection folds the log into the items of one read model, and answers the GETs on it.
//!
//! A projection is one file (its items, its keys, its fold, its routes) and one line in [`REGISTRY`], which gives it its
//! checkpoint, its table, its rebuild and its place in the API. A fold is pure: it sees items and an event, and changes
//! items. It cannot reach a queue, a mailer or a payment gateway, live or in a rebuild.

mod items;
mod keys;
mod live;
mod orders;
mod parameters;
mod projection;
mod reads;
mod replay;
mod runner;
mod sales;
mod stock;
mod time_travel;
mod timeline;
mod verify;

use std::sync::Arc;

use axum::Router;
use event_store::EventStore;
use read_models::{Generation, ReadModels, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use live::{LiveSettings, live_routes};
pub use projection::{FoldError, ProjectError, Projection};
pub use replay::{
    Estimate, Phase, Progress, Replay, ReplayError, ReplayRoutes, ReplayState, Replayed, Replays, Wanted,
};
pub use time_travel::{History, InvalidMoment, Moment, OrderThen, TimeTravelError};
pub use verify::{Discrepancy, Verification, Verified};

/// Every projection there is.
pub static REGISTRY: &[Projection] = &[orders::PROJECTION, sales::PROJECTION, stock::PROJECTION];

/// Makes the tables of read models that have none yet.
pub async fn create_tables(read_models: &dyn ReadModels) -> Result<(), StoreError> {
    for projection in REGISTRY {
        read_models.create(projection.name).await?;
    }
    Ok(())
}

/// Keeps every read model up to date until told to stop. Returns early only if one of them panicked.
pub async fn run(store: EventStore, read_models: Arc<dyn ReadModels>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    for projection in REGISTRY {
        let (store, stop) = (store.clone(), stop.clone());
        let runner = runner::Runner::new(projection, read_models.table(projection.name, Generation::Live));
        running.spawn(async move { store.subscribe(runner, stop).await });
    }
    while let Some(Ok(())) = running.join_next().await {}
}

/// The GET routes of every read model.
pub fn routes(store: EventStore, read_models: &dyn ReadModels) -> Router {
    let reads = reads::Reads::new(store, read_models);
    REGISTRY.iter().fold(timeline::routes(), |router, projection| router.merge((projection.routes)())).with_state(reads)
}
