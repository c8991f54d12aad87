//! Bulk writing by BatchWriteItem.

use async_trait::async_trait;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use sqlx::PgConnection;

use super::attributes::{DynamodbAttributes, check, of_item, of_tally};
use super::retry::{DynamodbOverloaded, ThrottleBackoff, is_transient};
use super::tables::{PhysicalTable, concurrently};
use crate::postgres::{forget_tallies, keep_tallies, summed_tallies};
use crate::{GenerationLoader, Item, ReadModelStoreError, TallyAddition};

/// The most items of one BatchWriteItem.
const BATCH: usize = 25;

/// Writes items in bulk by BatchWriteItem.
#[derive(Debug)]
pub(super) struct DynamodbBulkWriter {
    table: PhysicalTable,
}

impl DynamodbBulkWriter {
    pub(super) fn new(table: PhysicalTable) -> Self {
        Self { table }
    }

    async fn put(&self, items: Vec<DynamodbAttributes>) -> Result<(), ReadModelStoreError> {
        let batches = items.chunks(BATCH).map(|batch| self.batch(batch.to_vec())).collect();
        concurrently(batches).await.map(drop)
    }

    /// Writes as many items as one call takes. Unprocessed items are sent again.
    async fn batch(&self, items: Vec<DynamodbAttributes>) -> Result<(), ReadModelStoreError> {
        let table = &self.table;
        let put = |item| PutRequest::builder().set_item(Some(item)).build();
        let put = |item| put(item).map(|put| WriteRequest::builder().put_request(put).build());
        let mut left: Vec<WriteRequest> = items
            .into_iter()
            .map(put)
            .collect::<Result<_, _>>()
            .map_err(|error| ReadModelStoreError::Remote(Box::new(error)))?;
        let mut backoff = ThrottleBackoff::default();
        loop {
            match table.client.batch_write_item().request_items(&table.name, left.clone()).send().await {
                Ok(answer) => {
                    left = answer.unprocessed_items.unwrap_or_default().remove(&table.name).unwrap_or_default();
                    if left.is_empty() {
                        return Ok(());
                    }
                }
                Err(error) if error.code().is_some_and(is_transient) => {}
                Err(error) => return Err(table.failed(error)),
            }
            if !backoff.pause().await {
                return Err(DynamodbOverloaded.into());
            }
        }
    }
}

#[async_trait]
impl GenerationLoader for DynamodbBulkWriter {
    async fn add(
        &mut self,
        transaction: &mut PgConnection,
        items: &[Item],
        tallies: &[TallyAddition],
    ) -> Result<(), ReadModelStoreError> {
        items.iter().try_for_each(check)?;
        tallies.iter().try_for_each(|tally| tally.key.check())?;
        keep_tallies(&self.table.read_model, transaction, tallies).await?;
        self.put(items.iter().map(of_item).collect()).await
    }

    /// DynamoDB's tables have their indexes from the start.
    async fn create_indexes_first(&mut self, _connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        Ok(())
    }

    async fn finish(&mut self, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        let tallies = summed_tallies(&self.table.read_model, connection).await?;
        self.put(tallies.iter().map(of_tally).collect()).await?;
        // Only now: a put can be repeated, a deletion can't be undone.
        forget_tallies(&self.table.read_model, connection).await
    }
}
