//! Writes changes. Each is written completely or not at all, and may be written again.
//!
//! A head alone is put if the stored one is older. A head with other items or tallies is a transaction, on the
//! condition that the stored head is the one that the change is based on. If it is not, the change was written before,
//! or has to be folded again. The same condition makes sure that tallies are added once. Changes that add to the same
//! tallies would conflict: so they share transactions, which run one after another.

mod transaction;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use futures_util::future;

use self::transaction::{DynamodbTransactionOutcome, MAX_ITEMS, is_too_large, transact};
use super::attributes::{self, number, of_item, of_key};
use super::retry::{DynamodbOverloaded, ThrottleBackoff, is_transient};
use super::tables::{PhysicalTable, concurrently};
use crate::{Item, ReadModelStoreError, StreamItemChanges};

/// Writes changes, at most one of each stream. If it fails, some may be written.
pub(super) async fn all(table: &PhysicalTable, changes: &[StreamItemChanges]) -> Result<(), ReadModelStoreError> {
    // Before anything is written, so that a refused change leaves nothing behind.
    for change in changes {
        change.items().try_for_each(attributes::check)?;
        change.tallies.iter().try_for_each(|tally| tally.key.check())?;
    }
    let (with_tallies, plain): (Vec<&StreamItemChanges>, Vec<&StreamItemChanges>) =
        changes.iter().partition(|change| !change.tallies.is_empty());
    let plain = concurrently(plain.into_iter().map(|change| write_one(table, change)).collect());
    let with_tallies = async {
        for group in transaction_groups(&with_tallies) {
            write_together(table, group).await?;
        }
        Ok(())
    };
    future::try_join(plain, with_tallies).await.map(drop)
}

/// Splits changes into groups that fit into a transaction each, in their order.
fn transaction_groups<'a, 'c>(
    mut changes: &'a [&'c StreamItemChanges],
) -> impl Iterator<Item = &'a [&'c StreamItemChanges]> {
    std::iter::from_fn(move || {
        let many =
            (1..=changes.len().min(MAX_ITEMS)).rev().find(|many| *many == 1 || !is_too_large(&changes[..*many]))?;
        let group;
        (group, changes) = changes.split_at(many);
        Some(group)
    })
}

/// Writes several changes in one transaction; one by one if any of them is stale.
async fn write_together(table: &PhysicalTable, changes: &[&StreamItemChanges]) -> Result<(), ReadModelStoreError> {
    if changes.len() > 1 && matches!(transact(table, changes, true).await?, DynamodbTransactionOutcome::Done) {
        return Ok(());
    }
    for change in changes {
        write_one(table, change).await?;
    }
    Ok(())
}

async fn write_one(table: &PhysicalTable, change: &StreamItemChanges) -> Result<(), ReadModelStoreError> {
    if change.others.is_empty() && change.tallies.is_empty() {
        return put_newer(table, &change.head).await;
    }
    let fits = !is_too_large(&[change]);
    if !fits {
        // The head comes last. Until it is written, the whole change may come again, and the other items are not read.
        concurrently(change.others.iter().map(|item| put_newer(table, item)).collect()).await?;
    }
    match transact(table, &[change], fits).await? {
        DynamodbTransactionOutcome::Done => Ok(()),
        DynamodbTransactionOutcome::Stale => check_written(table, change).await,
    }
}

/// The stored head is not the one that the change is based on: either the change was written before, or it is a
/// conflict.
async fn check_written(table: &PhysicalTable, change: &StreamItemChanges) -> Result<(), ReadModelStoreError> {
    let key = &change.head.key;
    let get = table.client.get_item().table_name(&table.name).consistent_read(true).set_key(Some(of_key(key)));
    let stored = get.send().await.map_err(|error| table.failed(error))?.item.map(attributes::item).transpose()?;
    let is_written = stored.is_some_and(|stored| stored.version >= change.head.version);
    if is_written { Ok(()) } else { Err(ReadModelStoreError::Conflict(key.clone())) }
}

/// Puts an item, unless the stored one is as new.
async fn put_newer(table: &PhysicalTable, item: &Item) -> Result<(), ReadModelStoreError> {
    let mut backoff = ThrottleBackoff::default();
    loop {
        let put = table.client.put_item().table_name(&table.name).set_item(Some(of_item(item)));
        let put = put.condition_expression("attribute_not_exists(pk) or #version < :version");
        let put = put.expression_attribute_names("#version", "version");
        match put.expression_attribute_values(":version", number(item.version)).send().await {
            Ok(_) => return Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => return Ok(()),
            Err(error) if error.code().is_some_and(is_transient) => {}
            Err(error) => return Err(table.failed(error)),
        }
        if !backoff.pause().await {
            return Err(DynamodbOverloaded.into());
        }
    }
}
