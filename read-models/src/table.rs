//! A read model's items in Postgres.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, Row};

use crate::cursor::Cursor;
use crate::{Index, InvalidCursor, Item, Key};

/// The items of one read model, in the table of its name.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    get: String,
    put: String,
    collection: String,
}

/// Some items of a query, and how to go on.
#[derive(Debug)]
pub struct Page {
    /// The items, in the query's order.
    pub items: Vec<Item>,
    /// Where the next page begins; `None`: this was the last.
    pub cursor: Option<String>,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor belongs to another query.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// A cursor could not be written.
    #[error("a cursor could not be written")]
    Encode(#[from] serde_json::Error),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

const COLUMNS: &str = "t.pk, t.sk, t.gsi1pk, t.gsi1sk, t.gsi2pk, t.gsi2sk, t.gsi3pk, t.gsi3sk, t.version, t.item";

impl Table {
    /// The table of a read model. Names come from the program, never from a client.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            get: format!(
                "select {COLUMNS} from unnest($1::text[], $2::text[]) as k(pk, sk) join {name} t using (pk, sk)"
            ),
            // A rebuilt or redelivered older version is no news.
            put: format!(
                "insert into {name} as t
                 select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                                      $8::text[], $9::bigint[], $10::json[])
                 on conflict (pk, sk) do update set (gsi1pk, gsi1sk, gsi2pk, gsi2sk, gsi3pk, gsi3sk, version, item) =
                    (excluded.gsi1pk, excluded.gsi1sk, excluded.gsi2pk, excluded.gsi2sk, excluded.gsi3pk,
                     excluded.gsi3sk, excluded.version, excluded.item)
                 where t.version < excluded.version"
            ),
            collection: format!("select {COLUMNS} from {name} t where pk = $1 order by sk"),
            name,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the table if there is none.
    pub async fn create(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("select create_read_model($1)").bind(&self.name).execute(connection).await?;
        Ok(())
    }

    /// Those of the items that there are.
    pub async fn get(&self, connection: &mut PgConnection, keys: &[Key]) -> Result<Vec<Item>, sqlx::Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (pks, sks): (Vec<&str>, Vec<&str>) = keys.iter().map(|key| (key.pk.as_str(), key.sk.as_str())).unzip();
        let rows = sqlx::query(&self.get).bind(pks).bind(sks).fetch_all(connection).await?;
        rows.iter().map(item).collect()
    }

    /// Writes items, each key at most once. An item whose stored version is the same or newer stays as it is.
    pub async fn put(&self, connection: &mut PgConnection, items: &[Item]) -> Result<(), sqlx::Error> {
        if items.is_empty() {
            return Ok(());
        }
        let mut query = sqlx::query(&self.put);
        query = query.bind(items.iter().map(|item| item.key.pk.as_str()).collect::<Vec<_>>());
        query = query.bind(items.iter().map(|item| item.key.sk.as_str()).collect::<Vec<_>>());
        for index in 0..3 {
            let keys = || items.iter().map(move |item| item.index_keys[index].as_ref());
            query = query.bind(keys().map(|key| key.map(|key| key.pk.as_str())).collect::<Vec<_>>());
            query = query.bind(keys().map(|key| key.map(|key| key.sk.as_str())).collect::<Vec<_>>());
        }
        query = query.bind(items.iter().map(|item| item.version).collect::<Vec<_>>());
        query = query.bind(items.iter().map(|item| Json(&*item.body)).collect::<Vec<_>>());
        query.execute(connection).await?;
        Ok(())
    }

    /// All items of a collection, by their sort keys.
    pub async fn collection(&self, executor: impl PgExecutor<'_>, pk: &str) -> Result<Vec<Item>, sqlx::Error> {
        let rows = sqlx::query(&self.collection).bind(pk).fetch_all(executor).await?;
        rows.iter().map(item).collect()
    }

    /// A page of what an index has under a partition, the largest sort key first.
    pub async fn query_newest_first(
        &self,
        executor: impl PgExecutor<'_>,
        index: Index,
        partition: &str,
        limit: u16,
        cursor: Option<&str>,
    ) -> Result<Page, QueryError> {
        let gsi = match index {
            Index::Gsi1 => "gsi1",
            Index::Gsi2 => "gsi2",
            Index::Gsi3 => "gsi3",
        };
        let made_by = format!("{}/{gsi}/{partition}", self.name);
        let after = cursor.map(|text| Cursor::decode(text, &made_by)).transpose()?;
        let name = &self.name;
        let from = if after.is_some() { format!("and ({gsi}sk, pk, sk) < ($3, $4, $5)") } else { String::new() };
        let query = format!(
            "select {COLUMNS} from {name} t where {gsi}pk = $1 {from} order by {gsi}sk desc, pk desc, sk desc limit $2"
        );
        // One more than asked for tells whether there is a next page.
        let mut query = sqlx::query(&query).bind(partition).bind(i64::from(limit) + 1);
        if let Some(after) = after {
            query = query.bind(after.sort).bind(after.pk).bind(after.sk);
        }
        let rows = query.fetch_all(executor).await?;
        let mut items = rows.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > usize::from(limit);
        items.truncate(usize::from(limit));
        let cursor = match items.last() {
            Some(last) if more => {
                let sort = last.index_keys[index as usize].as_ref().map_or_else(String::new, |key| key.sk.clone());
                Some(Cursor::after(made_by, sort, last.key.pk.clone(), last.key.sk.clone()).encode()?)
            }
            Some(_) | None => None,
        };
        Ok(Page { items, cursor })
    }

    /// Puts this table in the place of another, which goes away. Takes both for the rest of the transaction.
    pub async fn replace(self, connection: &mut PgConnection, other: &Self) -> Result<(), sqlx::Error> {
        let (new, old) = (&self.name, &other.name);
        sqlx::query(&format!("drop table {old}")).execute(&mut *connection).await?;
        sqlx::query(&format!("alter table {new} rename to {old}")).execute(&mut *connection).await?;
        for gsi in ["gsi1", "gsi2", "gsi3"] {
            let rename = format!("alter index {new}_{gsi} rename to {old}_{gsi}");
            sqlx::query(&rename).execute(&mut *connection).await?;
        }
        sqlx::query(&format!("alter index {new}_pkey rename to {old}_pkey")).execute(connection).await?;
        Ok(())
    }

    /// Removes the table and all its items, if there is one.
    pub async fn drop(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(&format!("drop table if exists {}", self.name)).execute(connection).await?;
        Ok(())
    }
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
    })
}
