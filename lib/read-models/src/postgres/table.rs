//! A table of items in Postgres.

mod select_statement;
mod word_search;

use std::collections::HashSet;

use async_trait::async_trait;
use bounds::Budget;
use futures_util::{Stream, TryStreamExt};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Row};

use self::select_statement::SelectStatement;
use self::word_search::{WordSearchFailure, WordSearchStatements};
use super::batched_reads::CollectionReadBatcher;
use super::name as table_of;
use super::tallies::bodies;
use crate::key_validation::{is_valid_part, valid_keys};
use crate::{
    Generation, GenerationTable, Item, ItemPage, Key, Query, QueryError, ReadModelStoreError, ScanPage,
    StreamItemChanges, TallyAddition, WordMatches, WordQuery, WordSearchError, Words,
};
use postgres_json::RawJson;

/// One generation of a read model. Its statements are built once.
#[derive(Debug)]
pub(super) struct PostgresTable {
    pool: PgPool,
    read_model: String,
    generation: Generation,
    name: String,
    get: String,
    put: String,
    put_returning: String,
    add: String,
    collections: String,
    scan: String,
    by_words: WordSearchStatements,
    readers: CollectionReadBatcher,
}

const COLUMNS: &str = "t.pk, t.sk, t.gsi1pk, t.gsi1sk, t.gsi2pk, t.gsi2sk, t.gsi3pk, t.gsi3sk, t.version, t.item";

/// The stored bytes of all items before one, and whether they are within the budget of one read. Postgres stores large
/// items compressed, so the server may send more than fits; the reader counts again.
const BEFORE: &str = "sum(pg_column_size(item)) over";
pub(super) fn within_budget() -> String {
    format!("coalesce(t.before, 0) <= {}", Budget::BYTES)
}

/// Postgres's error code for a missing table.
const UNDEFINED_TABLE: &str = "42P01";

impl PostgresTable {
    /// Names come from the program, never from a client.
    pub(super) fn new(pool: PgPool, read_model: &str, generation: Generation) -> Self {
        let name = table_of(read_model, generation);
        // An older version, from a rebuild or a redelivery, changes nothing.
        let put = format!(
            "insert into {name} as t
             select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                                  $8::text[], $9::bigint[], $10::text[]::json[], $11::text[]::tsvector[])
             on conflict (pk, sk) do update set (gsi1pk, gsi1sk, gsi2pk, gsi2sk, gsi3pk, gsi3sk, version, item, words) =
                (excluded.gsi1pk, excluded.gsi1sk, excluded.gsi2pk, excluded.gsi2sk, excluded.gsi3pk,
                 excluded.gsi3sk, excluded.version, excluded.item,
                 coalesce(t.words || excluded.words, excluded.words, t.words))
             where t.version < excluded.version"
        );
        Self {
            read_model: read_model.to_owned(),
            generation,
            put_returning: format!("{put} returning pk, sk"),
            put,
            get: format!(
                "select {COLUMNS} from unnest($1::text[], $2::text[]) as k(pk, sk) join {name} t using (pk, sk)"
            ),
            add: format!(
                "insert into {name} as t (pk, sk, version, item)
                 select * from unnest($1::text[], $2::text[], $3::bigint[], $4::json[])
                 on conflict (pk, sk) do update set (version, item) =
                    (greatest(t.version, excluded.version), add_tallies(t.item, excluded.item))"
            ),
            collections: format!("select {COLUMNS} from unnest($1::text[]) as k(pk) join {name} t using (pk)"),
            readers: CollectionReadBatcher::new(),
            scan: format!(
                "select {COLUMNS} from (
                    select *, {BEFORE} (order by pk, sk rows between unbounded preceding and 1 preceding) as before
                      from {name} where (pk, sk) > ($1, $2) order by pk, sk limit $3
                 ) as t where {} order by pk, sk",
                within_budget()
            ),
            by_words: WordSearchStatements::of(&name),
            name,
            pool,
        }
    }

    async fn add(&self, connection: &mut PgConnection, tallies: &[TallyAddition]) -> Result<(), sqlx::Error> {
        if tallies.is_empty() {
            return Ok(());
        }
        let bodies = bodies(tallies)?;
        sqlx::query(&self.add)
            .bind(tallies.iter().map(|tally| tally.key.pk.as_str()).collect::<Vec<_>>())
            .bind(tallies.iter().map(|tally| tally.key.sk.as_str()).collect::<Vec<_>>())
            .bind(tallies.iter().map(|tally| tally.version).collect::<Vec<_>>())
            .bind(bodies.iter().map(|body| RawJson(body)).collect::<Vec<_>>())
            .execute(connection)
            .await?;
        Ok(())
    }

    fn failed(&self, error: sqlx::Error) -> ReadModelStoreError {
        let code = error.as_database_error().and_then(DatabaseError::code);
        if code.as_deref() != Some(UNDEFINED_TABLE) {
            return error.into();
        }
        ReadModelStoreError::NoGeneration { read_model: self.read_model.clone(), generation: self.generation }
    }

    fn word_search_failed(&self, error: WordSearchFailure) -> WordSearchError {
        match error {
            WordSearchFailure::NoIndex => WordSearchError::NotBuilt,
            WordSearchFailure::Database(error) => self.failed(error).into(),
        }
    }

    async fn write_all(
        &self,
        transaction: &mut PgConnection,
        changes: &[StreamItemChanges],
    ) -> Result<(), sqlx::Error> {
        // Ordered by key, so that all writers lock rows in the same order.
        let mut items: Vec<&Item> = changes.iter().flat_map(StreamItemChanges::items).collect();
        items.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        if changes.iter().all(|change| change.tallies.is_empty()) {
            put(&self.put, &items).execute(transaction).await?;
            return Ok(());
        }
        // A head that was not written was there already: its tallies were added then.
        let rows = put(&self.put_returning, &items).fetch_all(&mut *transaction).await?;
        let written = rows.iter().map(|row| Ok(Key { pk: row.try_get(0)?, sk: row.try_get(1)? }));
        let written = written.collect::<Result<HashSet<Key>, sqlx::Error>>()?;
        let new_changes = changes.iter().filter(|change| written.contains(&change.head.key));
        let tallies = TallyAddition::summed(new_changes.flat_map(|change| &change.tallies));
        self.add(transaction, &tallies).await
    }
}

#[async_trait]
impl GenerationTable for PostgresTable {
    async fn get(&self, connection: &mut PgConnection, keys: &[Key]) -> Result<Vec<Item>, ReadModelStoreError> {
        let keys = valid_keys(keys);
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (pks, sks): (Vec<&str>, Vec<&str>) = keys.iter().map(|key| (key.pk.as_str(), key.sk.as_str())).unzip();
        let rows = sqlx::query(&self.get).bind(pks).bind(sks).fetch_all(connection).await;
        let rows = rows.map_err(|error| self.failed(error))?;
        items(&rows)
    }

    async fn write(
        &self,
        transaction: &mut PgConnection,
        changes: &[StreamItemChanges],
    ) -> Result<(), ReadModelStoreError> {
        for change in changes {
            change.items().try_for_each(Item::check)?;
            change.tallies.iter().try_for_each(|tally| tally.key.check())?;
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.write_all(transaction, changes).await.map_err(|error| self.failed(error))
    }

    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, ReadModelStoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.get(&mut *self.pool.acquire().await?, keys).await
    }

    async fn collection(&self, pk: &str) -> Result<Vec<Item>, ReadModelStoreError> {
        if !is_valid_part(pk) {
            return Ok(Vec::new());
        }
        let read = |pks: Vec<String>| async move {
            let rows = sqlx::query(&self.collections).bind(pks).fetch_all(&self.pool).await;
            items(&rows.map_err(|error| self.failed(error))?)
        };
        self.readers.collection(pk, read).await
    }

    async fn query(&self, query: &Query<'_>) -> Result<ItemPage, QueryError> {
        let after = query.after()?;
        let select = SelectStatement::of(&self.name, query, after.as_ref());
        // One more than the limit tells whether there is a next page.
        let mut found = sqlx::query(&select.statement).bind(query.partitions()).bind(i64::from(query.limit) + 1);
        for value in select.values {
            found = found.bind(value);
        }
        let items = take_within(found.fetch(&self.pool), query.budget()).await.map_err(|error| self.failed(error))?;
        Ok(query.page(items))
    }

    async fn find_by_words(&self, query: &WordQuery<'_>) -> Result<WordMatches, WordSearchError> {
        let found = self.by_words.find(&self.pool, query).await;
        found.map_err(|error| self.word_search_failed(error))
    }

    async fn with_words(&self, keys: &[Key], words: &Words) -> Result<HashSet<Key>, WordSearchError> {
        let found = self.by_words.among(&self.pool, &valid_keys(keys), words).await;
        found.map_err(|error| self.word_search_failed(error))
    }

    async fn scan(&self, after: Option<&Key>, limit: u16) -> Result<ScanPage, ReadModelStoreError> {
        let (pk, sk) = after.map_or(("", ""), |key| (&key.pk, &key.sk));
        let (mut budget, found) = (Budget::of(usize::from(limit)), sqlx::query(&self.scan).bind(pk).bind(sk));
        let found = take_within(found.bind(i64::from(limit)).fetch(&self.pool), budget).await;
        let mut items = found.map_err(|error| self.failed(error))?;
        let fit = items.iter().take_while(|item| budget.take(item.size())).count();
        let more = items.len() > fit || budget.is_used_up();
        items.truncate(fit);
        let after = items.last().filter(|_| more).map(|last| last.key.clone());
        Ok(ScanPage { items, after })
    }
}

/// The rows that fit into a budget, and one more. Later rows are not kept.
async fn take_within(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    mut budget: Budget,
) -> Result<Vec<Item>, sqlx::Error> {
    let mut items = Vec::new();
    while let Some(row) = rows.try_next().await? {
        items.push(item(&row)?);
        if items.last().is_some_and(|last| !budget.take(last.size())) {
            break;
        }
    }
    Ok(items)
}

fn put<'q>(statement: &'q str, items: &[&'q Item]) -> sqlx::query::Query<'q, sqlx::Postgres, PgArguments> {
    let mut query = sqlx::query(statement);
    query = query.bind(items.iter().map(|item| item.key.pk.as_str()).collect::<Vec<_>>());
    query = query.bind(items.iter().map(|item| item.key.sk.as_str()).collect::<Vec<_>>());
    for index in 0..3 {
        let keys = || items.iter().map(move |item| item.index_keys[index].as_ref());
        query = query.bind(keys().map(|key| key.map(|key| key.pk.as_str())).collect::<Vec<_>>());
        query = query.bind(keys().map(|key| key.map(|key| key.sk.as_str())).collect::<Vec<_>>());
    }
    query = query.bind(items.iter().map(|item| item.version).collect::<Vec<_>>());
    // As text: sqlx would send jsonb, which does not keep the JSON to the letter.
    query = query.bind(items.iter().map(|item| item.body.get()).collect::<Vec<_>>());
    query.bind(items.iter().map(|item| item.words.as_ref().map(Words::to_vector)).collect::<Vec<_>>())
}

fn items(rows: &[PgRow]) -> Result<Vec<Item>, ReadModelStoreError> {
    rows.iter().map(item).collect::<Result<_, _>>().map_err(ReadModelStoreError::from)
}

fn item(row: &PgRow) -> Result<Item, sqlx::Error> {
    let index_key = |at: usize| -> Result<Option<Key>, sqlx::Error> {
        let (pk, sk): (Option<String>, Option<String>) = (row.try_get(at)?, row.try_get(at + 1)?);
        Ok(pk.zip(sk).map(|(pk, sk)| Key { pk, sk }))
    };
    Ok(Item {
        key: Key { pk: row.try_get(0)?, sk: row.try_get(1)? },
        index_keys: [index_key(2)?, index_key(4)?, index_key(6)?],
        version: row.try_get(8)?,
        body: row.try_get::<Json<Box<_>>, _>(9)?.0,
        words: None,
    })
}
