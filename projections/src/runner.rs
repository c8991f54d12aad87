//! A projection following the log.

use std::sync::Arc;

use async_trait::async_trait;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use read_models::Table;
use sqlx::PgConnection;

use crate::projection::{ProjectError, Projection};

/// Writes what a projection makes of each batch in the transaction that moves its checkpoints.
pub(crate) struct Runner {
    projection: &'static Projection,
    table: Arc<dyn Table>,
}

impl Runner {
    pub(crate) fn new(projection: &'static Projection, table: Arc<dyn Table>) -> Self {
        Self { projection, table }
    }
}

#[async_trait]
impl Subscriber for Runner {
    fn name(&self) -> &str {
        self.projection.name
    }

    fn follows(&self) -> Option<&'static str> {
        Some(self.projection.follows.stream_type())
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let changed = self.projection.fold_over(&*self.table, transaction, events).await?;
        self.table.write(transaction, &changed).await.map_err(ProjectError::from)?;
        Ok(())
    }
}
