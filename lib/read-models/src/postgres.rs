//! Read models in Postgres: a table each, and its generations beside it, which change places by their names.

mod bulk;
mod gathered;
mod json_text;
mod table;
mod tallies;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool};

use self::bulk::CopyIn;
use self::table::PostgresTable;
pub use self::tallies::{forget_tallies, keep_tallies, summed_tallies};
use crate::{Bulk, Generation, ReadModels, StoreError, Table};

/// Read models in a Postgres database, `read_model_NAME` each.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
}

impl Postgres {
    /// Those of a database whose schema is up to date.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

/// The table of a generation.
fn name(read_model: &str, generation: Generation) -> String {
    match generation {
        Generation::Live => format!("read_model_{read_model}"),
        Generation::Next => format!("read_model_{read_model}_next"),
        Generation::Previous => format!("read_model_{read_model}_previous"),
    }
}

#[async_trait]
impl ReadModels for Postgres {
    fn table(&self, read_model: &str, generation: Generation) -> Arc<dyn Table> {
        Arc::new(PostgresTable::new(self.pool.clone(), read_model, generation))
    }

    async fn create(&self, read_model: &str) -> Result<(), StoreError> {
        let (live, mut transaction) = (name(read_model, Generation::Live), self.pool.begin().await?);
        // Two who make a table at once would be told by the catalogue that there is one.
        let alone = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
        sqlx::query(alone).bind(&live).execute(&mut *transaction).await?;
        sqlx::query("select create_read_model($1)").bind(live).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn exists(&self, read_model: &str, generation: Generation) -> Result<bool, StoreError> {
        let there = sqlx::query_scalar("select to_regclass($1) is not null").bind(name(read_model, generation));
        Ok(there.fetch_one(&self.pool).await?)
    }

    async fn begin(&self, read_model: &str, connection: &mut PgConnection) -> Result<Box<dyn Bulk>, StoreError> {
        self.discard(read_model, Generation::Next, connection).await?;
        let next = name(read_model, Generation::Next);
        sqlx::query("select create_read_model_items($1)").bind(&next).execute(&mut *connection).await?;
        vacuumed(&next, false, connection).await?;
        Ok(Box::new(CopyIn::new(read_model, next)))
    }

    async fn rehearse(
        &self,
        read_model: &str,
        transaction: &mut PgConnection,
    ) -> Result<Option<Box<dyn Bulk>>, StoreError> {
        Ok(Some(self.begin(read_model, transaction).await?))
    }

    async fn resume(&self, read_model: &str, connection: &mut PgConnection) -> Result<Box<dyn Bulk>, StoreError> {
        needed(read_model, Generation::Next, connection).await?;
        Ok(Box::new(CopyIn::new(read_model, name(read_model, Generation::Next))))
    }

    async fn advance(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError> {
        needed(read_model, Generation::Next, transaction).await?;
        self.discard(read_model, Generation::Previous, transaction).await?;
        if is_there(read_model, Generation::Live, transaction).await? {
            rename(read_model, Generation::Live, Generation::Previous, transaction).await?;
        }
        rename(read_model, Generation::Next, Generation::Live, transaction).await?;
        leave_elsewhere(read_model, transaction).await
    }

    async fn roll_back(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError> {
        needed(read_model, Generation::Previous, transaction).await?;
        rename_to(&name(read_model, Generation::Live), &format!("read_model_{read_model}_aside"), transaction).await?;
        rename(read_model, Generation::Previous, Generation::Live, transaction).await?;
        let previous = name(read_model, Generation::Previous);
        rename_to(&format!("read_model_{read_model}_aside"), &previous, transaction).await?;
        vacuumed(&previous, false, transaction).await
    }

    async fn discard(
        &self,
        read_model: &str,
        generation: Generation,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        sqlx::query(&format!("drop table if exists {}", name(read_model, generation)))
            .execute(&mut *connection)
            .await?;
        if generation == Generation::Next {
            forget_tallies(read_model, connection).await?;
        }
        Ok(())
    }
}

async fn is_there(read_model: &str, generation: Generation, connection: &mut PgConnection) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar("select to_regclass($1) is not null").bind(name(read_model, generation));
    Ok(there.fetch_one(connection).await?)
}

async fn needed(read_model: &str, generation: Generation, connection: &mut PgConnection) -> Result<(), StoreError> {
    if is_there(read_model, generation, connection).await? {
        return Ok(());
    }
    Err(StoreError::NoGeneration { read_model: read_model.to_owned(), generation })
}

/// Where this read model was kept elsewhere before, what is there is of no use from now on.
async fn leave_elsewhere(read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError> {
    let leave = "update read_model_generations
                    set dropped = dropped || array_remove(array[live, previous], null), live = null, previous = null
                  where read_model = $1";
    sqlx::query(leave).bind(read_model).execute(transaction).await?;
    Ok(())
}

async fn rename(
    read_model: &str,
    from: Generation,
    to: Generation,
    connection: &mut PgConnection,
) -> Result<(), StoreError> {
    let new_name = name(read_model, to);
    rename_to(&name(read_model, from), &new_name, connection).await?;
    vacuumed(&new_name, to == Generation::Live, connection).await
}

/// Whether autovacuum looks after a table. What only waits to be read or dropped is not worth its time, and who wants a table's place
/// would have to wait for it.
async fn vacuumed(table: &str, vacuumed: bool, connection: &mut PgConnection) -> Result<(), StoreError> {
    let set = format!("alter table {table} set (autovacuum_enabled = {vacuumed})");
    sqlx::query(&set).execute(connection).await?;
    Ok(())
}

async fn rename_to(from: &str, to: &str, connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select rename_read_model($1, $2)").bind(from).bind(to).execute(connection).await?;
    Ok(())
}
