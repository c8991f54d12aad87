//! Callers whose credential was checked.

use std::sync::Arc;
use std::time::SystemTime;

use crate::Role;

/// A caller: who it is, its role, and for a customer whose orders it sees. Cheap to clone: each request has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<Identity>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity {
    role: Role,
    subject: String,
    customer_id: Option<String>,
    expires_at: Option<SystemTime>,
}

impl Principal {
    /// `expires_at`: when its credential ends; `None`: never.
    #[must_use]
    pub fn new(role: Role, subject: impl Into<String>, expires_at: Option<SystemTime>) -> Self {
        Self(Arc::new(Identity { role, subject: subject.into(), customer_id: None, expires_at }))
    }

    /// A customer, who sees the orders of `customer_id` only.
    #[must_use]
    pub fn customer(
        subject: impl Into<String>,
        customer_id: impl Into<String>,
        expires_at: Option<SystemTime>,
    ) -> Self {
        let customer_id = Some(customer_id.into());
        Self(Arc::new(Identity { role: Role::Customer, subject: subject.into(), customer_id, expires_at }))
    }

    #[must_use]
    pub fn role(&self) -> Role {
        self.0.role
    }

    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Whose orders it sees, if it sees those of one customer only.
    #[must_use]
    pub fn customer_id(&self) -> Option<&str> {
        self.0.customer_id.as_deref()
    }

    /// When its credential ends. What lasts longer than a request has to end with it.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires_at
    }

    /// What tells it from all other callers, whichever credential it comes with. Two customers may have the same subject, for example
    /// the name of their API keys: a customer's has its id, too.
    #[must_use]
    pub fn identity(&self) -> String {
        // A customer's id has no slash.
        self.customer_id().map_or_else(|| self.actor(), |id| format!("{}:{id}/{}", self.0.role, self.0.subject))
    }

    /// `role:subject`, as events name who caused them.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}:{}", self.0.role, self.0.subject)
    }
}
