//! Tables in DynamoDB, and the reading of one generation.

mod physical;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::PgConnection;

use super::attributes::{Attributes, index_names, item, key, of_key, text};
use super::numbers::{Lookup, Numbers};
use super::patience::{Overloaded, Patience, is_passing};
use super::range::Range;
use super::{Dynamodb, write};
use crate::sound::{distinct, is_sound};
use crate::{Change, Generation, Item, Key, Order, Page, Query, QueryError, Scanned, StoreError, Table};

pub(super) use self::physical::Physical;

/// The most keys of one BatchGetItem.
const BATCH: usize = 100;
/// How many calls are under way at once.
const AT_ONCE: usize = 32;

/// Does all of these, some at a time; the first that fails ends it.
pub(super) async fn side_by_side<T>(
    calls: Vec<impl Future<Output = Result<T, StoreError>>>,
) -> Result<Vec<T>, StoreError> {
    stream::iter(calls).buffered(AT_ONCE).try_collect().await
}

/// One generation of a read model, whichever table that is at the moment.
#[derive(Debug)]
pub(super) struct DynamodbTable {
    store: Dynamodb,
    read_model: String,
    generation: Generation,
    lookup: Lookup,
}

impl DynamodbTable {
    pub(super) fn new(store: Dynamodb, read_model: &str, generation: Generation) -> Self {
        let lookup = Lookup::new(read_model, store.pool.clone());
        Self { store, read_model: read_model.to_owned(), generation, lookup }
    }

    /// The table to read from.
    async fn to_read(&self) -> Result<Physical, StoreError> {
        let number = self.lookup.number(self.generation).await?;
        Ok(self.store.physical(&self.read_model, self.generation, number))
    }

    /// The table to write to, as the transaction has it in which the checkpoint moves: whoever lost its share of the work to a
    /// rebuild may write to the old one, but does not move a checkpoint.
    async fn to_write(&self, connection: &mut PgConnection) -> Result<Physical, StoreError> {
        let numbers = Numbers::seen_by(&self.read_model, connection).await?;
        let number = numbers.needed(&self.read_model, self.generation)?;
        Ok(self.store.physical(&self.read_model, self.generation, number))
    }
}

#[async_trait]
impl Table for DynamodbTable {
    async fn get(&self, connection: &mut PgConnection, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        self.to_write(connection).await?.find(keys).await
    }

    async fn write(&self, transaction: &mut PgConnection, changes: &[Change]) -> Result<(), StoreError> {
        write::all(&self.to_write(transaction).await?, changes).await
    }

    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.to_read().await?.find(keys).await
    }

    async fn collection(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
        if !is_sound(pk) {
            return Ok(Vec::new());
        }
        self.to_read().await?.part(pk, Range::whole(), usize::MAX).await
    }

    async fn query(&self, query: &Query<'_>) -> Result<Page, QueryError> {
        let range = Range::of(query)?;
        let table = self.to_read().await?;
        // One more than asked for tells whether there is a next page.
        let wanted = usize::from(query.limit) + 1;
        let mut parts = Vec::new();
        for partition in query.partitions() {
            parts.push(table.part(partition, range.clone(), wanted));
        }
        let mut found = side_by_side(parts).await?.concat();
        found.sort_by(|one, other| query.place(one).cmp(&query.place(other)));
        if query.order == Order::Descending {
            found.reverse();
        }
        found.truncate(wanted);
        Ok(query.page(found))
    }

    async fn scan(&self, after: Option<&Key>, limit: u16) -> Result<Scanned, StoreError> {
        let table = self.to_read().await?;
        let scan = table.client.scan().table_name(&table.name).consistent_read(true);
        let scan = scan.limit(i32::from(limit.max(1))).set_exclusive_start_key(after.map(of_key));
        let answer = scan.send().await.map_err(|error| table.failed(error))?;
        let items = answer.items.unwrap_or_default().into_iter().map(item).collect::<Result<_, _>>()?;
        let after = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Scanned { items, after: after.map(|mut after| key(&mut after)).transpose()? })
    }
}

impl Physical {
    /// Those of the items that there are, as they were written last.
    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        let keys: Vec<Attributes> = distinct(keys).into_iter().map(of_key).collect();
        let batches = keys.chunks(BATCH).map(|batch| self.batch(batch.to_vec())).collect();
        Ok(side_by_side(batches).await?.concat())
    }

    /// As many as one call takes. What it leaves undone is asked for again.
    async fn batch(&self, mut keys: Vec<Attributes>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut patience = Patience::default();
        loop {
            let asked = KeysAndAttributes::builder().set_keys(Some(keys.clone())).consistent_read(true).build();
            let asked = asked.map_err(|error| StoreError::Remote(Box::new(error)))?;
            match self.client.batch_get_item().request_items(&self.name, asked).send().await {
                Ok(answer) => {
                    for attributes in answer.responses.unwrap_or_default().remove(&self.name).unwrap_or_default() {
                        found.push(item(attributes)?);
                    }
                    keys = match answer.unprocessed_keys.unwrap_or_default().remove(&self.name) {
                        Some(left) if !left.keys.is_empty() => left.keys,
                        Some(_) | None => return Ok(found),
                    };
                }
                Err(error) if error.code().is_some_and(is_passing) => {}
                Err(error) => return Err(self.failed(error)),
            }
            if !patience.pause().await {
                return Err(Overloaded.into());
            }
        }
    }

    /// The first items of a partition that are in the range, in its order.
    async fn part(&self, partition: &str, mut range: Range, wanted: usize) -> Result<Vec<Item>, StoreError> {
        let (pk, sk) = range.index.map_or(("pk", "sk"), index_names);
        let mut found = Vec::new();
        while !range.is_empty() {
            let condition = match (&range.least, &range.most) {
                (None, None) => "#pk = :pk",
                (Some(_), None) => "#pk = :pk and #sk >= :least",
                (None, Some(_)) => "#pk = :pk and #sk <= :most",
                (Some(_), Some(_)) => "#pk = :pk and #sk between :least and :most",
            };
            let mut asked = self.client.query().table_name(&self.name).key_condition_expression(condition);
            asked = asked.expression_attribute_names("#pk", pk).expression_attribute_values(":pk", text(partition));
            if range.least.is_some() || range.most.is_some() {
                asked = asked.expression_attribute_names("#sk", sk);
            }
            if let Some(least) = &range.least {
                asked = asked.expression_attribute_values(":least", text(least));
            }
            if let Some(most) = &range.most {
                asked = asked.expression_attribute_values(":most", text(most));
            }
            asked = match range.index {
                // An index gives no consistent reads.
                Some(index) => asked.index_name(index.name()),
                None => asked.consistent_read(true),
            };
            // One of them may be the end that is left out.
            let limit = (wanted - found.len()).saturating_add(1);
            asked = asked.scan_index_forward(range.order == Order::Ascending);
            let answer = asked.limit(i32::try_from(limit).unwrap_or(i32::MAX)).send().await;
            let answer = answer.map_err(|error| self.failed(error))?;
            let items = answer.items.unwrap_or_default().into_iter().map(item).collect::<Result<Vec<_>, _>>()?;
            let more = answer.last_evaluated_key.is_some_and(|key| !key.is_empty());
            let Some(last) = items.last() else { break };
            // By what was found, not by DynamoDB's own mark: items that have moved meanwhile are no matter then.
            let mut rest = range.clone();
            rest.go_on_after(last);
            found.extend(items.into_iter().filter(|item| !range.leaves_out(item)));
            range = rest;
            if !more || found.len() >= wanted {
                break;
            }
        }
        found.truncate(wanted);
        Ok(found)
    }
}
