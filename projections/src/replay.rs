//! Rebuilds read models from the log while the live ones go on.
//!
//! A replay builds the next generation of its read models in one pass over the log. It folds the log stream by stream
//! and writes the items in bulk ([`bulk_fold`]), creates the indexes, follows the log from where it began
//! ([`catch_up`]), compares the generations if asked to, and promotes each next generation to the live one in one
//! transaction ([`promote`]). The old generation is kept, so that it can be restored ([`roll_back`]).
//!
//! Progress is recorded in the table `replays` ([`table`]), in the transactions that make it: a replay that was killed
//! goes on from there. Nothing here has access to a queue, a mailer or a payment gateway.

mod bulk_fold;
mod catch_up;
mod error;
mod estimate;
mod lifecycle;
mod promote;
mod roll_back;
mod routes;
mod run;
mod table;
mod throttle;

use std::sync::Arc;

use read_models::{GenerationComparison, GenerationStore};
use sqlx::PgPool;

pub use self::error::ReplayError;
pub use self::estimate::ReplayDryRun;
pub(crate) use self::routes::router;
pub use self::routes::{HttpReplays, read_estimate, read_replays};
pub(crate) use self::routes::{invalid, parse_body};
pub use self::run::ExclusiveReplay;
pub use self::table::{ReplayPhase, ReplayRow};

use crate::projection::ProjectionDefinition;
use crate::registry::REGISTRY;

/// Fewer events than this are left for the promotion, during which no process writes the live generation.
const ALMOST_CAUGHT_UP: usize = 200;

/// Finds, begins, cancels and rolls back the replays of a database.
#[derive(Debug, Clone)]
pub struct ReplayOperations {
    pool: PgPool,
    read_models: Arc<dyn GenerationStore>,
}

/// Which projections a replay rebuilds, and whether it compares the generations before it promotes.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The names of the projections, each once.
    pub projections: Vec<String>,
    /// Whether to compare the generations, and promote the next one only if it equals the live one.
    pub compare: bool,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayProgress {
    pub phase: ReplayPhase,
    /// Events folded so far.
    pub events: u64,
    /// Events in the log when the replay began.
    pub total: u64,
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySummary {
    /// Events folded.
    pub events: u64,
    /// The log position that the rebuilt read models stand at.
    pub position: i64,
    /// How each next generation differs from the live one, if the request asked for a comparison. With any difference
    /// nothing is promoted.
    pub comparisons: Vec<(String, GenerationComparison)>,
    /// Whether the rebuilt read models are live now.
    pub promoted: bool,
}

impl ReplayOperations {
    pub fn new(pool: PgPool, read_models: Arc<dyn GenerationStore>) -> Self {
        Self { pool, read_models }
    }
}

/// The projections of these names, in the order of the registry.
fn projections_named(names: &[String]) -> Result<Vec<&'static ProjectionDefinition>, ReplayError> {
    let known = || REGISTRY.iter().map(|projection| projection.name);
    match names.iter().find(|name| !known().any(|known| known == **name)) {
        Some(name) => {
            Err(ReplayError::UnknownProjection { name: name.clone(), known: known().collect::<Vec<_>>().join(", ") })
        }
        None if names.is_empty() => Err(ReplayError::NoProjection),
        None => Ok(REGISTRY.iter().filter(|projection| names.iter().any(|name| name == projection.name)).collect()),
    }
}

/// The types of the streams that these projections follow.
fn stream_types(projections: &[&'static ProjectionDefinition]) -> Vec<&'static str> {
    let mut types: Vec<&str> = projections.iter().map(|projection| projection.follows.stream_type()).collect();
    types.sort_unstable();
    types.dedup();
    types
}
