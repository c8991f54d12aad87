//! A generation of a read model in DynamoDB.

mod physical_table;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::PgConnection;

use super::attributes::{DynamodbAttributes, index_names, item, key, of_key, text};
use super::range::SortKeyRange;
use super::retry::{DynamodbOverloaded, ThrottleBackoff, is_transient};
use super::table_numbers::{CoalescedTableNumberLookup, GenerationTableNumbers};
use super::{DynamodbReadModels, write};
use crate::key_validation::{is_valid_part, valid_keys};
use crate::{
    Generation, GenerationTable, Item, ItemPage, Key, Query, QueryError, ReadModelStoreError, ScanPage, SortOrder,
    StreamItemChanges,
};

pub(super) use self::physical_table::PhysicalTable;

/// The most keys of one BatchGetItem.
const BATCH: usize = 100;
/// The most concurrent calls.
const MAX_CALLS: usize = 32;

/// Runs calls concurrently. The first error ends it.
pub(super) async fn concurrently<T>(
    calls: Vec<impl Future<Output = Result<T, ReadModelStoreError>>>,
) -> Result<Vec<T>, ReadModelStoreError> {
    stream::iter(calls).buffered(MAX_CALLS).try_collect().await
}

/// One generation of a read model in DynamoDB, whichever table that is at the moment.
#[derive(Debug)]
pub(super) struct DynamodbGenerationTable {
    store: DynamodbReadModels,
    read_model: String,
    generation: Generation,
    lookup: CoalescedTableNumberLookup,
}

impl DynamodbGenerationTable {
    pub(super) fn new(store: DynamodbReadModels, read_model: &str, generation: Generation) -> Self {
        let lookup = CoalescedTableNumberLookup::new(read_model, store.pool.clone());
        Self { store, read_model: read_model.to_owned(), generation, lookup }
    }

    /// The table to read from.
    async fn to_read(&self) -> Result<PhysicalTable, ReadModelStoreError> {
        let number = self.lookup.number(self.generation).await?;
        Ok(self.store.physical_table(&self.read_model, self.generation, number))
    }

    /// The table to write to, as the transaction that moves the checkpoint sees it. A process that lost its partitions
    /// to a replay may write to the old table, but can't move a checkpoint.
    async fn to_write(&self, connection: &mut PgConnection) -> Result<PhysicalTable, ReadModelStoreError> {
        let numbers = GenerationTableNumbers::seen_by(&self.read_model, connection).await?;
        let number = numbers.require(&self.read_model, self.generation)?;
        Ok(self.store.physical_table(&self.read_model, self.generation, number))
    }
}

#[async_trait]
impl GenerationTable for DynamodbGenerationTable {
    async fn get(&self, connection: &mut PgConnection, keys: &[Key]) -> Result<Vec<Item>, ReadModelStoreError> {
        self.to_write(connection).await?.find(keys).await
    }

    async fn write(
        &self,
        transaction: &mut PgConnection,
        changes: &[StreamItemChanges],
    ) -> Result<(), ReadModelStoreError> {
        write::all(&self.to_write(transaction).await?, changes).await
    }

    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, ReadModelStoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.to_read().await?.find(keys).await
    }

    async fn collection(&self, pk: &str) -> Result<Vec<Item>, ReadModelStoreError> {
        if !is_valid_part(pk) {
            return Ok(Vec::new());
        }
        self.to_read().await?.query_partition(pk, SortKeyRange::all(), usize::MAX).await
    }

    async fn query(&self, query: &Query<'_>) -> Result<ItemPage, QueryError> {
        let range = SortKeyRange::of(query)?;
        let table = self.to_read().await?;
        // One more than the limit tells whether there is a next page.
        let limit = usize::from(query.limit) + 1;
        let mut parts = Vec::new();
        for partition in query.partitions() {
            parts.push(table.query_partition(partition, range.clone(), limit));
        }
        let mut found = concurrently(parts).await?.concat();
        found.sort_by(|one, other| query.sort_position(one).cmp(&query.sort_position(other)));
        if query.order == SortOrder::Descending {
            found.reverse();
        }
        found.truncate(limit);
        Ok(query.page(found))
    }

    async fn scan(&self, after: Option<&Key>, limit: u16) -> Result<ScanPage, ReadModelStoreError> {
        let table = self.to_read().await?;
        let scan = table.client.scan().table_name(&table.name).consistent_read(true);
        let scan = scan.limit(i32::from(limit.max(1))).set_exclusive_start_key(after.map(of_key));
        let answer = scan.send().await.map_err(|error| table.failed(error))?;
        let items = answer.items.unwrap_or_default().into_iter().map(item).collect::<Result<_, _>>()?;
        let after = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(ScanPage { items, after: after.map(|mut after| key(&mut after)).transpose()? })
    }
}

impl PhysicalTable {
    /// The items of these keys that exist, as they were written last.
    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, ReadModelStoreError> {
        let keys: Vec<DynamodbAttributes> = valid_keys(keys).into_iter().map(of_key).collect();
        let batches = keys.chunks(BATCH).map(|batch| self.batch(batch.to_vec())).collect();
        Ok(concurrently(batches).await?.concat())
    }

    /// Reads as many items as one call takes. Unprocessed keys are requested again.
    async fn batch(&self, mut keys: Vec<DynamodbAttributes>) -> Result<Vec<Item>, ReadModelStoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut backoff = ThrottleBackoff::default();
        loop {
            let request = KeysAndAttributes::builder().set_keys(Some(keys.clone())).consistent_read(true).build();
            let request = request.map_err(|error| ReadModelStoreError::Remote(Box::new(error)))?;
            match self.client.batch_get_item().request_items(&self.name, request).send().await {
                Ok(answer) => {
                    for attributes in answer.responses.unwrap_or_default().remove(&self.name).unwrap_or_default() {
                        found.push(item(attributes)?);
                    }
                    keys = match answer.unprocessed_keys.unwrap_or_default().remove(&self.name) {
                        Some(left) if !left.keys.is_empty() => left.keys,
                        Some(_) | None => return Ok(found),
                    };
                }
                Err(error) if error.code().is_some_and(is_transient) => {}
                Err(error) => return Err(self.failed(error)),
            }
            if !backoff.pause().await {
                return Err(DynamodbOverloaded.into());
            }
        }
    }

    /// The first items of a partition in a range, in its order.
    async fn query_partition(
        &self,
        partition: &str,
        mut range: SortKeyRange,
        wanted: usize,
    ) -> Result<Vec<Item>, ReadModelStoreError> {
        let (pk, sk) = range.index.map_or(("pk", "sk"), index_names);
        let mut found = Vec::new();
        while !range.is_empty() {
            let condition = match (&range.least, &range.most) {
                (None, None) => "#pk = :pk",
                (Some(_), None) => "#pk = :pk and #sk >= :least",
                (None, Some(_)) => "#pk = :pk and #sk <= :most",
                (Some(_), Some(_)) => "#pk = :pk and #sk between :least and :most",
            };
            let mut request = self.client.query().table_name(&self.name).key_condition_expression(condition);
            request = request.expression_attribute_names("#pk", pk).expression_attribute_values(":pk", text(partition));
            if range.least.is_some() || range.most.is_some() {
                request = request.expression_attribute_names("#sk", sk);
            }
            if let Some(least) = &range.least {
                request = request.expression_attribute_values(":least", text(least));
            }
            if let Some(most) = &range.most {
                request = request.expression_attribute_values(":most", text(most));
            }
            request = match range.index {
                // An index has no consistent reads.
                Some(index) => request.index_name(index.name()),
                None => request.consistent_read(true),
            };
            // One more, because one of them may be the excluded end.
            let limit = (wanted - found.len()).saturating_add(1);
            request = request.scan_index_forward(range.order == SortOrder::Ascending);
            let answer = request.limit(i32::try_from(limit).unwrap_or(i32::MAX)).send().await;
            let answer = answer.map_err(|error| self.failed(error))?;
            let items = answer.items.unwrap_or_default().into_iter().map(item).collect::<Result<Vec<_>, _>>()?;
            let more = answer.last_evaluated_key.is_some_and(|key| !key.is_empty());
            let Some(last) = items.last() else { break };
            // Goes on after the last item found, not at DynamoDB's own cursor, so that it does not matter if items have
            // moved meanwhile.
            let mut rest = range.clone();
            rest.go_on_after(last);
            found.extend(items.into_iter().filter(|item| !range.excludes(item)));
            range = rest;
            if !more || found.len() >= wanted {
                break;
            }
        }
        found.truncate(wanted);
        Ok(found)
    }
}
