//! Changes, each all or nothing, and each such that it can come again.
//!
//! A head alone is put if what is there is older. A head with other items or tallies is a transaction on the condition that the head is
//! still the one that the change was made from; if it is not, the change was done already or has to be made anew. What counts up
//! is counted once by that: its condition is the head's. Changes that count the same would meet at their tallies, so they
//! share transactions, and those go one after another.

mod transaction;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use futures_util::future;

use self::transaction::{ITEMS, Outcome, is_too_much, transact};
use super::attributes::{self, number, of_item, of_key};
use super::patience::{Overloaded, Patience, is_passing};
use super::tables::{Physical, side_by_side};
use crate::{Change, Item, StoreError};

/// Writes changes, of each stream at most one. If that fails, some may be there.
pub(super) async fn all(table: &Physical, changes: &[Change]) -> Result<(), StoreError> {
    // Before anything is written: nobody writes half of what can't be written.
    for change in changes {
        change.items().try_for_each(attributes::check)?;
        change.tallies.iter().try_for_each(|tally| tally.key.check())?;
    }
    let (counting, plain): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| !change.tallies.is_empty());
    let plain = side_by_side(plain.into_iter().map(|change| alone(table, change)).collect());
    let counting = async {
        for pack in packed(&counting) {
            together(table, pack).await?;
        }
        Ok(())
    };
    future::try_join(plain, counting).await.map(drop)
}

/// As many as a transaction takes, again and again, in their order.
fn packed<'a, 'c>(mut changes: &'a [&'c Change]) -> impl Iterator<Item = &'a [&'c Change]> {
    std::iter::from_fn(move || {
        let many = (1..=changes.len().min(ITEMS)).rev().find(|many| *many == 1 || !is_too_much(&changes[..*many]))?;
        let pack;
        (pack, changes) = changes.split_at(many);
        Some(pack)
    })
}

/// Several in one transaction, unless one of them is done already or out of date.
async fn together(table: &Physical, changes: &[&Change]) -> Result<(), StoreError> {
    if changes.len() > 1 && matches!(transact(table, changes, true).await?, Outcome::Done) {
        return Ok(());
    }
    for change in changes {
        alone(table, change).await?;
    }
    Ok(())
}

async fn alone(table: &Physical, change: &Change) -> Result<(), StoreError> {
    if change.others.is_empty() && change.tallies.is_empty() {
        return put_newer(table, &change.head).await;
    }
    let whole = !is_too_much(&[change]);
    if !whole {
        // The head last: until it is there, all of this comes again. The others are not read before it is.
        side_by_side(change.others.iter().map(|item| put_newer(table, item)).collect()).await?;
    }
    match transact(table, &[change], whole).await? {
        Outcome::Done => Ok(()),
        Outcome::Stale => done_or_out_of_date(table, change).await,
    }
}

/// The head was not the one that the change was made from.
async fn done_or_out_of_date(table: &Physical, change: &Change) -> Result<(), StoreError> {
    let key = &change.head.key;
    let get = table.client.get_item().table_name(&table.name).consistent_read(true).set_key(Some(of_key(key)));
    let stored = get.send().await.map_err(|error| table.failed(error))?.item.map(attributes::item).transpose()?;
    let done = stored.is_some_and(|stored| stored.version >= change.head.version);
    if done { Ok(()) } else { Err(StoreError::Conflict(key.clone())) }
}

/// An item, unless the one that is there is as new.
async fn put_newer(table: &Physical, item: &Item) -> Result<(), StoreError> {
    let mut patience = Patience::default();
    loop {
        let put = table.client.put_item().table_name(&table.name).set_item(Some(of_item(item)));
        let put = put.condition_expression("attribute_not_exists(pk) or #version < :version");
        let put = put.expression_attribute_names("#version", "version");
        match put.expression_attribute_values(":version", number(item.version)).send().await {
            Ok(_) => return Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => return Ok(()),
            Err(error) if error.code().is_some_and(is_passing) => {}
            Err(error) => return Err(table.failed(error)),
        }
        if !patience.pause().await {
            return Err(Overloaded.into());
        }
    }
}
