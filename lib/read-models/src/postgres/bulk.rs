//! Bulk writing by binary COPY.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::tallies::{bodies, forget_tallies, keep_tallies, summed_tallies};
use crate::{GenerationLoader, Item, ReadModelStoreError, TallyAddition, Words};
use postgres_json::RawJson;

/// Writes items in bulk by binary COPY.
#[derive(Debug)]
pub(super) struct BulkCopyWriter {
    read_model: String,
    table: String,
    rows: Vec<u8>,
}

/// The header of a binary COPY: its signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Ends a binary COPY, in the place of a row's number of columns.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const COLUMNS: [u8; 2] = 11_i16.to_be_bytes();
/// How many bytes are sent at once.
const CHUNK_BYTES: usize = 1 << 20;

impl BulkCopyWriter {
    pub(super) fn new(read_model: &str, table: String) -> Self {
        Self { read_model: read_model.to_owned(), table, rows: Vec::new() }
    }
}

#[async_trait]
impl GenerationLoader for BulkCopyWriter {
    async fn add(
        &mut self,
        transaction: &mut PgConnection,
        items: &[Item],
        tallies: &[TallyAddition],
    ) -> Result<(), ReadModelStoreError> {
        items.iter().try_for_each(Item::check)?;
        tallies.iter().try_for_each(|tally| tally.key.check())?;
        keep_tallies(&self.read_model, transaction, tallies).await?;
        if items.is_empty() {
            return Ok(());
        }
        let mut copy = transaction.copy_in_raw(&format!("copy {} from stdin (format binary)", self.table)).await?;
        self.rows.clear();
        self.rows.extend_from_slice(HEADER);
        for item in items {
            row(&mut self.rows, item);
            if self.rows.len() >= CHUNK_BYTES {
                copy.send(self.rows.as_slice()).await?;
                self.rows.clear();
            }
        }
        self.rows.extend_from_slice(&TRAILER);
        copy.send(self.rows.as_slice()).await?;
        copy.finish().await?;
        Ok(())
    }

    async fn create_indexes_first(&mut self, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        sqlx::query("select index_read_model($1)").bind(&self.table).execute(connection).await?;
        Ok(())
    }

    async fn finish(&mut self, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
        let tallies = summed_tallies(&self.read_model, connection).await?;
        let mut transaction = sqlx::Connection::begin(connection).await?;
        let bodies = bodies(&tallies)?;
        sqlx::query(&format!(
            "insert into {} (pk, sk, version, item) select * from unnest($1::text[], $2::text[], $3::bigint[], $4::json[])",
            self.table
        ))
        .bind(tallies.iter().map(|tally| tally.key.pk.as_str()).collect::<Vec<_>>())
        .bind(tallies.iter().map(|tally| tally.key.sk.as_str()).collect::<Vec<_>>())
        .bind(tallies.iter().map(|tally| tally.version).collect::<Vec<_>>())
        .bind(bodies.iter().map(|body| RawJson(body)).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
        forget_tallies(&self.read_model, &mut transaction).await?;
        transaction.commit().await?;
        sqlx::query("select index_read_model($1)").bind(&self.table).execute(&mut *connection).await?;
        // The planner has no statistics of this table yet.
        sqlx::query("select analyze_read_model($1)").bind(&self.table).execute(connection).await?;
        Ok(())
    }
}

/// Writes a row of a binary COPY: each column after its length.
fn row(to: &mut Vec<u8>, item: &Item) {
    to.extend_from_slice(&COLUMNS);
    column(to, Some(item.key.pk.as_bytes()));
    column(to, Some(item.key.sk.as_bytes()));
    for key in &item.index_keys {
        column(to, key.as_ref().map(|key| key.pk.as_bytes()));
        column(to, key.as_ref().map(|key| key.sk.as_bytes()));
    }
    column(to, Some(&item.version.to_be_bytes()));
    column(to, Some(item.body.get().as_bytes()));
    column(to, item.words.as_ref().map(Words::to_binary).as_deref());
}

fn column(to: &mut Vec<u8>, value: Option<&[u8]>) {
    // Postgres refuses rows of 1 GiB, and so this length.
    let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(value.unwrap_or_default());
}
