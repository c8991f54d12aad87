//! Rebuilds read models from nothing, beside the live ones, while they run.
//!
//! A replay folds the log stream by stream into next generations, all of its projections in one pass, in bulk and without
//! indexes; it makes these, follows the log from where it began, looks for differences if asked to, and has each generation
//! take the live one's place in one transaction. The old one is kept, to go back to. What it has done is in the table `replays`,
//! in the transactions that did it: one that was killed goes on from there.
//!
//! Nothing here has a queue, a mailer or a payment gateway.

mod begin;
mod catch_up;
mod error;
mod estimate;
mod folding;
mod record;
mod roll_back;
mod routes;
mod run;
mod swap;
mod traffic;

use std::sync::Arc;

use read_models::{Comparison, ReadModels};
use sqlx::PgPool;

pub use self::error::ReplayError;
pub use self::estimate::Estimate;
pub use self::record::{Phase, ReplayState};
pub use self::routes::ReplayRoutes;
pub use self::run::Replay;

use crate::REGISTRY;
use crate::projection::Projection;

/// The replays of a database.
#[derive(Debug, Clone)]
pub struct Replays {
    pool: PgPool,
    read_models: Arc<dyn ReadModels>,
}

/// What is to be rebuilt.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The projections, each once.
    pub projections: Vec<String>,
    /// Look for differences, and change places only if there are none.
    pub compare: bool,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Events folded so far.
    pub events: u64,
    /// How many there were when it began.
    pub total: u64,
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// How many events it folded.
    pub events: u64,
    /// The log position that the read models stand at.
    pub position: i64,
    /// How each of them differed from the live one, if that was asked for. With a difference the live ones are as they were.
    pub comparisons: Vec<(String, Comparison)>,
    /// Whether the read models have taken the live ones' places.
    pub swapped: bool,
}

impl Replays {
    /// Those of a database whose read models are kept there.
    pub fn new(pool: PgPool, read_models: Arc<dyn ReadModels>) -> Self {
        Self { pool, read_models }
    }
}

/// The projections of these names, in the order of the registry.
fn find(names: &[String]) -> Result<Vec<&'static Projection>, ReplayError> {
    let known = || REGISTRY.iter().map(|projection| projection.name);
    match names.iter().find(|name| !known().any(|known| known == **name)) {
        Some(name) => Err(ReplayError::Unknown { name: name.clone(), known: known().collect::<Vec<_>>().join(", ") }),
        None if names.is_empty() => Err(ReplayError::Nothing),
        None => Ok(REGISTRY.iter().filter(|projection| names.iter().any(|name| name == projection.name)).collect()),
    }
}
