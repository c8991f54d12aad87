//! Read models in DynamoDB: a table each and generation, `PREFIX-NAME-NUMBER`. Which generation a number is, Postgres says.
//!
//! What is written here is not part of the transaction that moves the checkpoint: it is there before that commits, or it is there
//! although that never does. So every write is such that it can come again (`write`). Reads by an item's own key see
//! what was written before; those along an index may be behind by a moment, as DynamoDB's indexes are.

mod attributes;
mod bulk;
mod numbers;
mod patience;
mod range;
mod tables;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use sqlx::{PgConnection, PgPool};

use self::bulk::BatchPut;
use self::numbers::Numbers;
use self::tables::{DynamodbTable, Physical};
use crate::{Bulk, Generation, ReadModels, StoreError, Table};

/// Read models in DynamoDB.
#[derive(Debug, Clone)]
pub struct Dynamodb {
    client: Client,
    pool: PgPool,
    prefix: String,
}

impl Dynamodb {
    /// Those whose tables' names begin with `prefix`, and whose generations this database knows.
    pub fn new(client: Client, pool: PgPool, prefix: impl Into<String>) -> Self {
        Self { client, pool, prefix: prefix.into() }
    }

    fn physical(&self, read_model: &str, generation: Generation, number: i64) -> Physical {
        Physical {
            client: self.client.clone(),
            name: format!("{}-{read_model}-{number}", self.prefix),
            read_model: read_model.to_owned(),
            generation,
        }
    }

    /// Deletes the tables that nobody needs any more, once that is committed: until then it may be undone.
    async fn sweep(&self, read_model: &str, connection: &mut PgConnection) -> Result<(), StoreError> {
        let dropped = Numbers::committed(read_model, &self.pool).await?.dropped;
        for number in &dropped {
            self.physical(read_model, Generation::Previous, *number).delete().await?;
        }
        numbers::forget(read_model, &dropped, connection).await
    }

    fn bulk(&self, read_model: &str, number: i64) -> Box<dyn Bulk> {
        Box::new(BatchPut::new(self.physical(read_model, Generation::Next, number)))
    }
}

#[async_trait]
impl ReadModels for Dynamodb {
    fn table(&self, read_model: &str, generation: Generation) -> Arc<dyn Table> {
        Arc::new(DynamodbTable::new(self.clone(), read_model, generation))
    }

    async fn create(&self, read_model: &str) -> Result<(), StoreError> {
        if self.exists(read_model, Generation::Live).await? {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        // Whoever does the same at the same time waits for as long as DynamoDB takes to make a table.
        for bound in ["idle_in_transaction_session_timeout", "lock_timeout"] {
            sqlx::query(&format!("set local {bound} = 0")).execute(&mut *transaction).await?;
        }
        let known = Numbers::locked(read_model, &mut transaction).await?.live;
        if let Some(number) = known
            && self.physical(read_model, Generation::Live, number).exists().await?
        {
            return Ok(());
        }
        let number = numbers::next(read_model, &mut transaction).await?;
        self.physical(read_model, Generation::Live, number).create().await?;
        numbers::set(read_model, Generation::Live, number, &mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn exists(&self, read_model: &str, generation: Generation) -> Result<bool, StoreError> {
        match Numbers::committed(read_model, &self.pool).await?.of(generation) {
            Some(number) => self.physical(read_model, generation, number).exists().await,
            None => Ok(false),
        }
    }

    async fn begin(&self, read_model: &str, connection: &mut PgConnection) -> Result<Box<dyn Bulk>, StoreError> {
        self.discard(read_model, Generation::Next, connection).await?;
        let number = numbers::next(read_model, connection).await?;
        self.physical(read_model, Generation::Next, number).create().await?;
        numbers::set(read_model, Generation::Next, number, connection).await?;
        Ok(self.bulk(read_model, number))
    }

    /// A table in DynamoDB does not go with a transaction.
    async fn rehearse(
        &self,
        _read_model: &str,
        _transaction: &mut PgConnection,
    ) -> Result<Option<Box<dyn Bulk>>, StoreError> {
        Ok(None)
    }

    async fn resume(&self, read_model: &str, connection: &mut PgConnection) -> Result<Box<dyn Bulk>, StoreError> {
        let number = Numbers::seen_by(read_model, connection).await?.needed(read_model, Generation::Next)?;
        Ok(self.bulk(read_model, number))
    }

    async fn advance(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError> {
        numbers::advance(read_model, transaction).await?;
        // Where this read model was kept in Postgres before, what is there is of no use from now on.
        for table in [format!("read_model_{read_model}"), format!("read_model_{read_model}_previous")] {
            sqlx::query(&format!("drop table if exists {table}")).execute(&mut *transaction).await?;
        }
        Ok(())
    }

    async fn roll_back(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError> {
        numbers::roll_back(read_model, transaction).await
    }

    async fn discard(
        &self,
        read_model: &str,
        generation: Generation,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        numbers::let_go(read_model, generation, connection).await?;
        if generation == Generation::Next {
            crate::postgres::forget_tallies(read_model, connection).await?;
        }
        self.sweep(read_model, connection).await
    }

    async fn tidy(&self, read_model: &str) -> Result<(), StoreError> {
        self.sweep(read_model, &mut *self.pool.acquire().await?).await
    }
}
