//! Subscriptions of this process to which the database refuses what they need.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use crate::EventStore;

/// Names of subscriptions; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RefusedSubscriptions(Arc<Mutex<BTreeSet<String>>>);

impl RefusedSubscriptions {
    /// Notes what became of a step. `None`: it was done.
    pub(super) fn note(&self, subscription: &str, error: Option<&(dyn Error + 'static)>) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_some_and(lacks_rights) {
            refused.insert(subscription.to_owned());
        } else {
            refused.remove(subscription);
        }
    }
}

impl EventStore {
    /// The subscriptions of this process that stand still because the database's user lacks a right, by name. They go on by themselves
    /// once it has it.
    pub fn refused_subscriptions(&self) -> Vec<String> {
        let refused = self.refused.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().cloned().collect()
    }
}

/// Whether the database has refused a statement because its user may not run it.
pub fn lacks_rights(error: &(dyn Error + 'static)) -> bool {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    let mut next = Some(error);
    while let Some(cause) = next {
        let answer = cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        if answer.and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == INSUFFICIENT_PRIVILEGE) {
            return true;
        }
        next = cause.source();
    }
    false
}
