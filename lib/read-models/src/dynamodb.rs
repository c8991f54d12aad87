//! Read models in DynamoDB. Each generation is a table `PREFIX-NAME-NUMBER`; which number is which generation is
//! recorded in Postgres.
//!
//! A write here is not part of the transaction that moves the checkpoint: it is done before that commits, or although
//! that never commits. So every write may come again (`write`). Reads by an item's own key are consistent; reads from
//! an index may be a moment behind.

mod attributes;
mod bulk;
mod range;
mod retry;
mod table_numbers;
mod tables;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use sqlx::{PgConnection, PgPool};

use self::bulk::DynamodbBulkWriter;
use self::table_numbers::GenerationTableNumbers;
use self::tables::{DynamodbGenerationTable, PhysicalTable};
use crate::{Generation, GenerationLoader, GenerationStore, GenerationTable, ReadModelStoreError};

/// Read models in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamodbReadModels {
    client: Client,
    pool: PgPool,
    prefix: String,
}

impl DynamodbReadModels {
    /// The tables' names begin with `prefix`. `pool`: the database that records the generations.
    pub fn new(client: Client, pool: PgPool, prefix: impl Into<String>) -> Self {
        Self { client, pool, prefix: prefix.into() }
    }

    fn physical_table(&self, read_model: &str, generation: Generation, number: i64) -> PhysicalTable {
        PhysicalTable {
            client: self.client.clone(),
            name: format!("{}-{read_model}-{number}", self.prefix),
            read_model: read_model.to_owned(),
            generation,
        }
    }

    /// Deletes the tables whose drop is committed. Until then it could be rolled back.
    async fn delete_dropped(&self, read_model: &str, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        let dropped = GenerationTableNumbers::committed(read_model, &self.pool).await?.dropped;
        for number in &dropped {
            self.physical_table(read_model, Generation::Previous, *number).delete().await?;
        }
        table_numbers::forget_deleted(read_model, &dropped, connection).await
    }

    fn bulk(&self, read_model: &str, number: i64) -> Box<dyn GenerationLoader> {
        Box::new(DynamodbBulkWriter::new(self.physical_table(read_model, Generation::Next, number)))
    }
}

#[async_trait]
impl GenerationStore for DynamodbReadModels {
    fn table(&self, read_model: &str, generation: Generation) -> Arc<dyn GenerationTable> {
        Arc::new(DynamodbGenerationTable::new(self.clone(), read_model, generation))
    }

    /// They wait for the network.
    fn searches_at_once(&self) -> Option<usize> {
        Some(16)
    }

    async fn create(&self, read_model: &str) -> Result<(), ReadModelStoreError> {
        if self.exists(read_model, Generation::Live).await? {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        // Another process that does the same waits for the lock for as long as DynamoDB takes to create a table.
        for bound in ["idle_in_transaction_session_timeout", "lock_timeout"] {
            sqlx::query(&format!("set local {bound} = 0")).execute(&mut *transaction).await?;
        }
        let known = GenerationTableNumbers::locked(read_model, &mut transaction).await?.live;
        if let Some(number) = known
            && self.physical_table(read_model, Generation::Live, number).exists().await?
        {
            return Ok(());
        }
        let number = table_numbers::next(read_model, &mut transaction).await?;
        self.physical_table(read_model, Generation::Live, number).create().await?;
        table_numbers::assign(read_model, Generation::Live, number, &mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn exists(&self, read_model: &str, generation: Generation) -> Result<bool, ReadModelStoreError> {
        match GenerationTableNumbers::committed(read_model, &self.pool).await?.of(generation) {
            Some(number) => self.physical_table(read_model, generation, number).exists().await,
            None => Ok(false),
        }
    }

    async fn begin_next(
        &self,
        read_model: &str,
        connection: &mut PgConnection,
    ) -> Result<Box<dyn GenerationLoader>, ReadModelStoreError> {
        self.discard(read_model, Generation::Next, connection).await?;
        let number = table_numbers::next(read_model, connection).await?;
        self.physical_table(read_model, Generation::Next, number).create().await?;
        table_numbers::assign(read_model, Generation::Next, number, connection).await?;
        Ok(self.bulk(read_model, number))
    }

    /// DynamoDB can't roll back a table.
    async fn begin_trial(
        &self,
        _read_model: &str,
        _transaction: &mut PgConnection,
    ) -> Result<Option<Box<dyn GenerationLoader>>, ReadModelStoreError> {
        Ok(None)
    }

    async fn resume_next(
        &self,
        read_model: &str,
        connection: &mut PgConnection,
    ) -> Result<Box<dyn GenerationLoader>, ReadModelStoreError> {
        let number =
            GenerationTableNumbers::seen_by(read_model, connection).await?.require(read_model, Generation::Next)?;
        Ok(self.bulk(read_model, number))
    }

    async fn promote(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        table_numbers::promote(read_model, transaction).await?;
        // The tables in Postgres are obsolete, if this read model was kept there before.
        for table in [format!("read_model_{read_model}"), format!("read_model_{read_model}_previous")] {
            crate::postgres::drop_table(&table, transaction).await?;
        }
        Ok(())
    }

    async fn roll_back(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        table_numbers::roll_back(read_model, transaction).await
    }

    async fn discard(
        &self,
        read_model: &str,
        generation: Generation,
        connection: &mut PgConnection,
    ) -> Result<(), ReadModelStoreError> {
        table_numbers::drop_generation(read_model, generation, connection).await?;
        if generation == Generation::Next {
            crate::postgres::forget_tallies(read_model, connection).await?;
        }
        self.delete_dropped(read_model, connection).await
    }

    async fn delete_dropped_tables(&self, read_model: &str) -> Result<(), ReadModelStoreError> {
        self.delete_dropped(read_model, &mut *self.pool.acquire().await?).await
    }
}
