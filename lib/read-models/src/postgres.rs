//! Read models in Postgres. Each generation is a table, and a promotion renames the tables.

mod batched_reads;
mod bulk;
mod table;
mod tallies;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool};

use self::bulk::BulkCopyWriter;
use self::table::PostgresTable;
pub(crate) use self::tallies::forget_tallies;
#[cfg(feature = "dynamodb")]
pub(crate) use self::tallies::{keep_tallies, summed_tallies};
use crate::{Generation, GenerationLoader, GenerationStore, GenerationTable, ReadModelStoreError};

/// Read models in a Postgres database, in tables `read_model_NAME`.
#[derive(Debug, Clone)]
pub struct PostgresReadModels {
    pool: PgPool,
}

impl PostgresReadModels {
    /// The schema of the database has to be up to date.
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
impl GenerationStore for PostgresReadModels {
    fn table(&self, read_model: &str, generation: Generation) -> Arc<dyn GenerationTable> {
        Arc::new(PostgresTable::new(self.pool.clone(), read_model, generation))
    }

    async fn create(&self, read_model: &str) -> Result<(), ReadModelStoreError> {
        let (live, mut transaction) = (name(read_model, Generation::Live), self.pool.begin().await?);
        // Without the lock, one of two processes that create the table at once would fail.
        let alone = "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))";
        sqlx::query(alone).bind(&live).execute(&mut *transaction).await?;
        sqlx::query("select create_read_model($1)").bind(live).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn exists(&self, read_model: &str, generation: Generation) -> Result<bool, ReadModelStoreError> {
        let exists = sqlx::query_scalar("select to_regclass($1) is not null").bind(name(read_model, generation));
        Ok(exists.fetch_one(&self.pool).await?)
    }

    async fn begin_next(
        &self,
        read_model: &str,
        connection: &mut PgConnection,
    ) -> Result<Box<dyn GenerationLoader>, ReadModelStoreError> {
        self.discard(read_model, Generation::Next, connection).await?;
        let next = name(read_model, Generation::Next);
        sqlx::query("select create_read_model_items($1)").bind(&next).execute(&mut *connection).await?;
        set_autovacuum(&next, false, connection).await?;
        Ok(Box::new(BulkCopyWriter::new(read_model, next)))
    }

    async fn begin_trial(
        &self,
        read_model: &str,
        transaction: &mut PgConnection,
    ) -> Result<Option<Box<dyn GenerationLoader>>, ReadModelStoreError> {
        Ok(Some(self.begin_next(read_model, transaction).await?))
    }

    async fn resume_next(
        &self,
        read_model: &str,
        connection: &mut PgConnection,
    ) -> Result<Box<dyn GenerationLoader>, ReadModelStoreError> {
        require(read_model, Generation::Next, connection).await?;
        Ok(Box::new(BulkCopyWriter::new(read_model, name(read_model, Generation::Next))))
    }

    async fn promote(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        require(read_model, Generation::Next, transaction).await?;
        self.discard(read_model, Generation::Previous, transaction).await?;
        if exists(read_model, Generation::Live, transaction).await? {
            rename(read_model, Generation::Live, Generation::Previous, transaction).await?;
        }
        rename(read_model, Generation::Next, Generation::Live, transaction).await?;
        drop_dynamodb_tables(read_model, transaction).await
    }

    async fn roll_back(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        require(read_model, Generation::Previous, transaction).await?;
        rename_to(&name(read_model, Generation::Live), &format!("read_model_{read_model}_aside"), transaction).await?;
        rename(read_model, Generation::Previous, Generation::Live, transaction).await?;
        let previous = name(read_model, Generation::Previous);
        rename_to(&format!("read_model_{read_model}_aside"), &previous, transaction).await?;
        set_autovacuum(&previous, false, transaction).await
    }

    async fn discard(
        &self,
        read_model: &str,
        generation: Generation,
        connection: &mut PgConnection,
    ) -> Result<(), ReadModelStoreError> {
        drop_table(&name(read_model, generation), connection).await?;
        if generation == Generation::Next {
            forget_tallies(read_model, connection).await?;
        }
        Ok(())
    }
}

async fn exists(
    read_model: &str,
    generation: Generation,
    connection: &mut PgConnection,
) -> Result<bool, ReadModelStoreError> {
    let exists = sqlx::query_scalar("select to_regclass($1) is not null").bind(name(read_model, generation));
    Ok(exists.fetch_one(connection).await?)
}

async fn require(
    read_model: &str,
    generation: Generation,
    connection: &mut PgConnection,
) -> Result<(), ReadModelStoreError> {
    if exists(read_model, generation, connection).await? {
        return Ok(());
    }
    Err(ReadModelStoreError::NoGeneration { read_model: read_model.to_owned(), generation })
}

/// Drops the tables of this read model in DynamoDB, if it was kept there before.
async fn drop_dynamodb_tables(read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError> {
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
) -> Result<(), ReadModelStoreError> {
    let new_name = name(read_model, to);
    rename_to(&name(read_model, from), &new_name, connection).await?;
    set_autovacuum(&new_name, to == Generation::Live, connection).await
}

/// Switches autovacuum on or off for a table. It is on for live tables only: others do not need it, and a promotion
/// would have to wait for it.
async fn set_autovacuum(table: &str, enabled: bool, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
    sqlx::query("select set_read_model_autovacuum($1, $2)").bind(table).bind(enabled).execute(connection).await?;
    Ok(())
}

/// Drops a table, if it is there.
pub(crate) async fn drop_table(table: &str, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
    sqlx::query("select drop_read_model($1)").bind(table).execute(connection).await?;
    Ok(())
}

async fn rename_to(from: &str, to: &str, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
    sqlx::query("select rename_read_model($1, $2)").bind(from).bind(to).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes items, and then the next version of each. Returns how many of them went to another page.
    async fn moved(pool: &PgPool, table: &str) -> i64 {
        let fill = format!(
            "insert into {table} (pk, sk, version, item)
             select 'THING#' || n, '#META', 1, to_json(repeat('x', 1000)) from generate_series(1, 100) as n"
        );
        let pages = format!("create temporary table pages as select pk, (ctid::text::point)[0] as page from {table}");
        let update = format!("update {table} set version = 2");
        let moved =
            format!("select count(*) from {table} join pages using (pk) where page <> ({table}.ctid::text::point)[0]");
        let mut connection = pool.acquire().await.unwrap();
        for statement in ["drop table if exists pages", &fill, &pages, &update] {
            sqlx::query(statement).execute(&mut *connection).await.unwrap();
        }
        sqlx::query_scalar(&moved).fetch_one(&mut *connection).await.unwrap()
    }

    #[tokio::test]
    async fn the_next_version_of_a_live_item_finds_room_on_its_page() {
        let database = testkit::database().await;
        let (pool, store) = (database.pool(), PostgresReadModels::new(database.pool().clone()));
        store.create("things").await.unwrap();
        assert_eq!(moved(pool, "read_model_things").await, 0);

        // Nor does one of a table that a replay made.
        let mut transaction = pool.begin().await.unwrap();
        store.begin_next("things", &mut transaction).await.unwrap().finish(&mut transaction).await.unwrap();
        store.promote("things", &mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(moved(pool, "read_model_things").await, 0);
    }
}
