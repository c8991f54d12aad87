//! A projection following the log.

use std::sync::Arc;

use async_trait::async_trait;
use bounds::BatchSize;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use read_models::Table;
use sqlx::PgConnection;

use crate::projection::Projection;

/// Writes what a projection makes of each batch in the transaction that moves its checkpoints.
pub(crate) struct Runner {
    projection: &'static Projection,
    table: Arc<dyn Table>,
    stride: BatchSize,
}

impl Runner {
    pub(crate) fn new(projection: &'static Projection, table: Arc<dyn Table>) -> Self {
        Self { projection, table, stride: BatchSize::of(usize::MAX) }
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
        Ok(self.projection.fold_into(&*self.table, transaction, events, &mut self.stride).await?)
    }
}
