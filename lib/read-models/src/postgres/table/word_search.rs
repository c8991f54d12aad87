//! The SQL that finds items by words.

use std::collections::HashSet;

use sqlx::error::DatabaseError;
use sqlx::{Acquire, PgConnection, PgPool};

use crate::{Index, Key, SortOrder, WordMatches, WordQuery, Words};

/// The statements of a table.
#[derive(Debug)]
pub(super) struct WordSearchStatements {
    table: String,
    has_index: String,
    among: String,
}

/// Why a search failed.
#[derive(Debug)]
pub(super) enum WordSearchFailure {
    /// The table has no index of words, so not all of its items have theirs.
    NoIndex,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for WordSearchFailure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// An item with how many there are; all but the number is null where none is beyond the place.
type FoundRow = (i64, Option<String>, Option<String>, Option<String>);

/// How many times as many items have frequent words as are taken.
const FREQUENT: f64 = 10.0;

/// Postgres's error code for a statement that took too long.
const QUERY_CANCELED: &str = "57014";

impl WordSearchStatements {
    pub(super) fn of(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            has_index: format!("select to_regclass('{table}_words') is not null"),
            among: format!(
                "select pk, sk from unnest($1::text[], $2::text[]) as k(pk, sk) join {table} t using (pk, sk)
                  where t.words @@ $3::text::tsquery"
            ),
        }
    }

    pub(super) async fn find(&self, pool: &PgPool, query: &WordQuery<'_>) -> Result<WordMatches, WordSearchFailure> {
        if query.words.is_empty() {
            return Ok(WordMatches::Found(Vec::new()));
        }
        let mut connection = pool.acquire().await?;
        self.check_index(&mut connection).await?;
        let mut transaction = connection.begin().await?;
        // The planner may take a rare word for a frequent one, and look at every item. So long as this is allowed it may take.
        for bound in ["enable_seqscan = off", "statement_timeout = '5s'"] {
            sqlx::query(&format!("set local {bound}")).execute(&mut *transaction).await?;
        }
        if query.after.is_none() && self.is_frequent(&mut transaction, query).await? {
            return Ok(WordMatches::TooMany);
        }
        let rows = sqlx::query_as(&self.find_statement(query))
            .bind(query.words.to_query())
            .bind(i64::from(query.most) + 1)
            .bind(query.from)
            .bind(query.until)
            .bind(query.after)
            .bind(i64::from(query.limit))
            .fetch_all(&mut *transaction)
            .await;
        let rows: Vec<FoundRow> = match rows {
            Ok(rows) => rows,
            // A search that goes on can't change to another way. It may be tried again.
            Err(error) if query.after.is_none() && code(&error).as_deref() == Some(QUERY_CANCELED) => {
                return Ok(WordMatches::TooMany);
            }
            Err(error) => return Err(error.into()),
        };
        transaction.commit().await?;
        if rows.first().is_some_and(|(count, ..)| *count > i64::from(query.most)) {
            return Ok(WordMatches::TooMany);
        }
        let found = rows.into_iter().filter_map(|(_, pk, sk, place)| Some((Key { pk: pk?, sk: sk? }, place?)));
        Ok(WordMatches::Found(found.collect()))
    }

    pub(super) async fn among(
        &self,
        pool: &PgPool,
        keys: &[&Key],
        words: &Words,
    ) -> Result<HashSet<Key>, WordSearchFailure> {
        if words.is_empty() || keys.is_empty() {
            return Ok(HashSet::new());
        }
        let mut connection = pool.acquire().await?;
        self.check_index(&mut connection).await?;
        let (pks, sks): (Vec<&str>, Vec<&str>) = keys.iter().map(|key| (key.pk.as_str(), key.sk.as_str())).unzip();
        let rows = sqlx::query_as(&self.among).bind(pks).bind(sks).bind(words.to_query());
        let rows: Vec<(String, String)> = rows.fetch_all(&mut *connection).await?;
        Ok(rows.into_iter().map(|(pk, sk)| Key { pk, sk }).collect())
    }

    async fn check_index(&self, connection: &mut PgConnection) -> Result<(), WordSearchFailure> {
        let has_index: bool = sqlx::query_scalar(&self.has_index).fetch_one(connection).await?;
        if has_index { Ok(()) } else { Err(WordSearchFailure::NoIndex) }
    }

    /// Whether the planner's statistics know the one word as that of many more items than are taken. The index would list all of these
    /// first, which takes a tenth of a second for a million. Of several words they do not know how often they come together.
    async fn is_frequent(&self, connection: &mut PgConnection, query: &WordQuery<'_>) -> Result<bool, sqlx::Error> {
        let mut wanted = query.words.iter();
        let (Some(beginning), None) = (wanted.next(), wanted.next()) else { return Ok(false) };
        let known = "select (c.reltuples * (1 - s.null_frac))::float8, s.most_common_elems::text::text[], s.most_common_elem_freqs
                       from pg_class c join pg_namespace n on n.oid = c.relnamespace
                       join pg_stats s on (s.schemaname, s.tablename, s.attname) = (n.nspname, c.relname, 'words')
                      where c.oid = to_regclass($1) and s.most_common_elems is not null";
        let known: Option<(f64, Vec<String>, Vec<f32>)> =
            sqlx::query_as(known).bind(&self.table).fetch_optional(connection).await?;
        let Some((items, words, shares)) = known else { return Ok(false) };
        // Of the words that begin so, the most frequent one.
        let those = words.iter().zip(&shares).filter(|(word, _)| word.starts_with(beginning));
        let share = those.map(|(_, share)| f64::from(*share)).fold(0.0, f64::max);
        Ok(items * share > f64::from(query.most) * FREQUENT)
    }

    /// Takes so many of the items with the words as there may be, and of these the first ones beyond the place.
    fn find_statement(&self, query: &WordQuery<'_>) -> String {
        let sort = match query.index {
            Index::Gsi1 => "gsi1sk",
            Index::Gsi2 => "gsi2sk",
            Index::Gsi3 => "gsi3sk",
        };
        let (direction, beyond) = match query.order {
            SortOrder::Ascending => ("asc", ">"),
            SortOrder::Descending => ("desc", "<"),
        };
        format!(
            "with found as materialized (
                select pk, sk, {sort} as place from {} where words @@ $1::text::tsquery and words is not null limit $2
             )
             select n.count, p.pk, p.sk, p.place
               from (select count(*) from found) as n
               left join lateral (
                    select * from found
                     where place is not null and ($3::text is null or place >= $3) and ($4::text is null or place < $4)
                       and ($5::text is null or place {beyond} $5)
                     order by place {direction}, pk {direction}, sk {direction} limit $6
               ) as p on true
              order by p.place {direction}, p.pk {direction}, p.sk {direction}",
            self.table
        )
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(DatabaseError::code).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_of_very_many_items_are_known_before_they_are_looked_up() {
        let database = testkit::database().await;
        let fill = "insert into read_model_things
                    select 'THING#' || n, '#META', null, null, null, null, null, null, n, '{}',
                           case when n = 7 then 'headphones zither' else 'headphones' end::tsvector
                      from generate_series(1, 5000) as n";
        sqlx::query("select create_read_model('read_model_things')").execute(database.pool()).await.unwrap();
        sqlx::query(fill).execute(database.pool()).await.unwrap();
        sqlx::query("analyze read_model_things").execute(database.pool()).await.unwrap();
        let statements = WordSearchStatements::of("read_model_things");
        for (words, most, is_frequent) in [
            (&["headph"][..], 10, true),
            (&["headphones", "head"], 10, false),
            (&["headph"], 1_000, false),
            (&["zither"], 1, false),
            (&["headph", "zither"], 1, false),
            (&["nobody"], 1, false),
        ] {
            let words: Words = words.iter().collect();
            let (index, order) = (Index::Gsi1, SortOrder::Ascending);
            let query = WordQuery { words: &words, index, from: None, until: None, after: None, order, limit: 1, most };
            let mut connection = database.pool().acquire().await.unwrap();
            assert_eq!(statements.is_frequent(&mut connection, &query).await.unwrap(), is_frequent, "{words:?} {most}");
            let found = statements.find(database.pool(), &query).await.unwrap();
            assert_eq!(matches!(found, WordMatches::TooMany), words.iter().all(|word| word.starts_with("head")));
        }
    }
}
