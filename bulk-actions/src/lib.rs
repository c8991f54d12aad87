//! Bulk actions: operators have something done to all stuck sagas, dead letters or parked streams that match.
//!
//! A bulk action is a row of `bulk_actions`. A process of the role `sagas` takes it by a lease and goes through what matches, at the
//! action's rate. After each batch it saves how far it is, on the condition that it still holds the lease: so two processes never carry
//! the same action on, and after a crash another goes on where it was. What is done to one item can be done twice without harm.
//!
//! - `kind`, `filter`: what is done, and to what.
//! - `targets`: what each kind acts on, batch by batch.
//! - `table`: every statement on `bulk_actions`. `worker`: carries the actions on. `pace`: their rate.
//! - [`routes`]: begin, look and stop over HTTP.

mod filter;
mod kind;
mod pace;
mod routes;
mod table;
mod targets;
mod worker;

use domain::stock::Stock;
use event_store::{EventStore, StreamLocks};
use messaging::{DeadLetterQueue, MessageSigningKeys};

use filter::{BulkActionFilter, BulkActionMistake, DeadLetterFilter, ParkedStreamsFilter, StuckSagaFilter};
use kind::BulkActionKind;
pub use routes::{description, read_bulk_action, read_bulk_actions, routes};
pub use worker::run;

/// What bulk actions are carried out with.
#[derive(Clone)]
pub struct BulkActionDependencies {
    pub store: EventStore,
    /// The stock of all SKUs.
    pub stock: StreamLocks<Stock>,
    /// All dead-letter queues.
    pub dead_letters: Vec<DeadLetterQueue>,
    /// What dead letters that are sent again are signed with.
    pub keys: MessageSigningKeys,
}

/// Why a batch could not be found or saved. What was found so far is done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BulkActionError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    DeadLetters(#[from] messaging::DeadLetterError),
    /// Nothing was done.
    #[error("another process carries the bulk action on")]
    Lost,
    /// Another build wrote it.
    #[error("the bulk action can't be read")]
    Unreadable(#[from] serde_json::Error),
}
