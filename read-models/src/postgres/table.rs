//! A table of items in Postgres.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Row};

use super::json_text::JsonText;
use super::tallies::bodies;
use crate::{Change, Item, Key, Order, Page, Query, QueryError, Scanned, StoreError, Table, Tally, Within};

/// The items of one generation, in the table of its name.
#[derive(Debug)]
pub(super) struct PostgresTable {
    pool: PgPool,
    name: String,
    get: String,
    put: String,
    add: String,
    collection: String,
    scan: String,
}

const COLUMNS: &str = "t.pk, t.sk, t.gsi1pk, t.gsi1sk, t.gsi2pk, t.gsi2sk, t.gsi3pk, t.gsi3sk, t.version, t.item";

impl PostgresTable {
    /// Names come from the program, never from a client.
    pub(super) fn new(pool: PgPool, name: &str) -> Self {
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
            add: format!(
                "insert into {name} as t (pk, sk, version, item)
                 select * from unnest($1::text[], $2::text[], $3::bigint[], $4::json[])
                 on conflict (pk, sk) do update set (version, item) =
                    (greatest(t.version, excluded.version), add_tallies(t.item, excluded.item))"
            ),
            collection: format!("select {COLUMNS} from {name} t where pk = $1 order by sk"),
            scan: format!("select {COLUMNS} from {name} t where (pk, sk) > ($1, $2) order by pk, sk limit $3"),
            name: name.to_owned(),
            pool,
        }
    }

    /// The checkpoint moves in the same transaction: nothing comes twice, and what a change counts is counted once.
    async fn add(&self, connection: &mut PgConnection, tallies: &[&Tally]) -> Result<(), StoreError> {
        let bodies = bodies(tallies.iter().copied())?;
        sqlx::query(&self.add)
            .bind(tallies.iter().map(|tally| tally.key.pk.as_str()).collect::<Vec<_>>())
            .bind(tallies.iter().map(|tally| tally.key.sk.as_str()).collect::<Vec<_>>())
            .bind(tallies.iter().map(|tally| tally.version).collect::<Vec<_>>())
            .bind(bodies.iter().map(|body| JsonText(body)).collect::<Vec<_>>())
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn put(&self, connection: &mut PgConnection, items: &[&Item]) -> Result<(), StoreError> {
        let mut query = sqlx::query(&self.put);
        query = query.bind(items.iter().map(|item| item.key.pk.as_str()).collect::<Vec<_>>());
        query = query.bind(items.iter().map(|item| item.key.sk.as_str()).collect::<Vec<_>>());
        for index in 0..3 {
            let keys = || items.iter().map(move |item| item.index_keys[index].as_ref());
            query = query.bind(keys().map(|key| key.map(|key| key.pk.as_str())).collect::<Vec<_>>());
            query = query.bind(keys().map(|key| key.map(|key| key.sk.as_str())).collect::<Vec<_>>());
        }
        query = query.bind(items.iter().map(|item| item.version).collect::<Vec<_>>());
        query = query.bind(items.iter().map(|item| JsonText(item.body.get())).collect::<Vec<_>>());
        query.execute(connection).await?;
        Ok(())
    }
}

#[async_trait]
impl Table for PostgresTable {
    async fn get(&self, connection: &mut PgConnection, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (pks, sks): (Vec<&str>, Vec<&str>) = keys.iter().map(|key| (key.pk.as_str(), key.sk.as_str())).unzip();
        let rows = sqlx::query(&self.get).bind(pks).bind(sks).fetch_all(connection).await?;
        items(&rows)
    }

    async fn write(&self, transaction: &mut PgConnection, changes: &[Change]) -> Result<(), StoreError> {
        // In the order of their keys, so that all writers of a table lock its rows in one order.
        let mut items: Vec<&Item> = changes.iter().flat_map(Change::items).collect();
        items.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        if !items.is_empty() {
            self.put(transaction, &items).await?;
        }
        let tallies = Tally::summed(changes.iter().flat_map(|change| &change.tallies));
        if !tallies.is_empty() {
            self.add(transaction, &tallies.iter().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.get(&mut *self.pool.acquire().await?, keys).await
    }

    async fn collection(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
        items(&sqlx::query(&self.collection).bind(pk).fetch_all(&self.pool).await?)
    }

    async fn query(&self, query: &Query<'_>) -> Result<Page, QueryError> {
        let after = query.after()?;
        let collection;
        let (partition, sort, partitions) = match query.within {
            Within::Collection(pk) => {
                collection = [pk.to_owned()];
                ("pk".to_owned(), "sk".to_owned(), &collection[..])
            }
            Within::Index(index, partitions) => {
                let gsi = index.name();
                (format!("{gsi}pk"), format!("{gsi}sk"), partitions)
            }
        };
        let (direction, beyond) = match query.order {
            Order::Ascending => ("asc", ">"),
            Order::Descending => ("desc", "<"),
        };
        let mut conditions = Conditions::default();
        if let Some(from) = query.from {
            conditions.and(|n| format!("{sort} >= ${n}"), [from]);
        }
        if let Some(until) = query.until {
            conditions.and(|n| format!("{sort} < ${n}"), [until]);
        }
        if let Some(after) = &after {
            let text = |n| format!("({sort}, pk, sk) {beyond} (${n}, ${}, ${})", n + 1, n + 2);
            conditions.and(text, [after.sort.as_str(), &after.pk, &after.sk]);
        }
        let Conditions { text: conditions, values } = conditions;
        // A few of each partition, along the index, then the first of them all.
        let table = &self.name;
        let order =
            |of: &str| format!("order by {of}{sort} {direction}, {of}pk {direction}, {of}sk {direction} limit $2");
        let statement = format!(
            "select {COLUMNS} from unnest($1::text[]) as p(name) cross join lateral (
                select * from {table} where {partition} = p.name {conditions} {}
             ) as t {}",
            order(""),
            order("t.")
        );
        // One more than asked for tells whether there is a next page.
        let mut found = sqlx::query(&statement).bind(partitions).bind(i64::from(query.limit) + 1);
        for value in values {
            found = found.bind(value);
        }
        let rows = found.fetch_all(&self.pool).await.map_err(StoreError::from)?;
        Ok(query.page(items(&rows)?))
    }

    async fn scan(&self, after: Option<&Key>, limit: u16) -> Result<Scanned, StoreError> {
        let (pk, sk) = after.map_or(("", ""), |key| (&key.pk, &key.sk));
        let rows = sqlx::query(&self.scan).bind(pk).bind(sk).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        let items = items(&rows)?;
        let after = items.last().filter(|_| items.len() == usize::from(limit)).map(|last| last.key.clone());
        Ok(Scanned { items, after })
    }
}

/// What a query asks of the sort key, and the values that it is about.
#[derive(Default)]
struct Conditions<'a> {
    text: String,
    values: Vec<&'a str>,
}

impl<'a> Conditions<'a> {
    /// `text` is told the number of the first of its values.
    fn and<const N: usize>(&mut self, text: impl FnOnce(usize) -> String, values: [&'a str; N]) {
        // After the partitions and the limit.
        self.text.push_str(" and ");
        self.text.push_str(&text(self.values.len() + 3));
        self.values.extend(values);
    }
}

fn items(rows: &[PgRow]) -> Result<Vec<Item>, StoreError> {
    rows.iter().map(item).collect::<Result<_, _>>().map_err(StoreError::from)
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
