//! A TransactWriteItems call.

use std::collections::HashSet;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem, Update};

use crate::dynamodb::attributes::{NUMBER_PREFIX, number, of_item, of_key, size};
use crate::dynamodb::retry::{DynamodbOverloaded, ThrottleBackoff, is_transient};
use crate::dynamodb::tables::PhysicalTable;
use crate::{Item, Key, ReadModelStoreError, StreamItemChanges, TallyAddition};

/// The most items of a transaction.
pub(super) const MAX_ITEMS: usize = 100;
/// DynamoDB's limit is 4 MiB. Item sizes are counted approximately here.
const MAX_BYTES: usize = 3 * 1_024 * 1_024;

/// What a transaction on DynamoDB came to.
pub(super) enum DynamodbTransactionOutcome {
    Done,
    /// One of the stored heads is not the one that its change is based on. Nothing was written.
    Stale,
}

/// Whether these changes do not fit into one transaction.
pub(super) fn is_too_large(changes: &[&StreamItemChanges]) -> bool {
    let tallies: HashSet<&Key> = changes.iter().flat_map(|change| &change.tallies).map(|tally| &tally.key).collect();
    let items: usize = changes.iter().map(|change| 1 + change.others.len()).sum();
    let bytes: usize = changes.iter().flat_map(|change| change.items()).map(size).sum();
    items + tallies.len() > MAX_ITEMS || bytes > MAX_BYTES
}

/// Writes the heads and tallies of changes, and their other items if `others`.
pub(super) async fn transact(
    table: &PhysicalTable,
    changes: &[&StreamItemChanges],
    others: bool,
) -> Result<DynamodbTransactionOutcome, ReadModelStoreError> {
    let tallies = TallyAddition::summed(changes.iter().flat_map(|change| &change.tallies));
    if let ([change], true) = (changes, 1 + tallies.len() > MAX_ITEMS) {
        let reason =
            format!("its change adds to {} tallies, and a transaction has room for {}", tallies.len(), MAX_ITEMS - 1);
        return Err(ReadModelStoreError::Refused { key: change.head.key.clone(), reason });
    }
    // The tallies whose stored version is newer.
    let mut newer: HashSet<usize> = HashSet::new();
    let mut backoff = ThrottleBackoff::default();
    loop {
        let mut actions = Vec::with_capacity(MAX_ITEMS);
        for change in changes {
            actions.push(put_head(table, change).map_err(impossible)?);
        }
        for (nth, tally) in tallies.iter().enumerate() {
            actions.push(add(table, tally, newer.contains(&nth)).map_err(impossible)?);
        }
        if others {
            for item in changes.iter().flat_map(|change| &change.others) {
                actions.push(put(table, item).map_err(impossible)?);
            }
        }
        let error = match table.client.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => return Ok(DynamodbTransactionOutcome::Done),
            Err(error) => error,
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
            _ if error.code().is_some_and(is_transient) => &[],
            _ => return Err(table.failed(error)),
        };
        if reasons.iter().take(changes.len()).any(is_unmet) {
            return Ok(DynamodbTransactionOutcome::Stale);
        }
        let behind = reasons.iter().skip(changes.len()).take(tallies.len()).enumerate();
        let behind: Vec<usize> = behind.filter(|(_, reason)| is_unmet(reason)).map(|(nth, _)| nth).collect();
        let lost: bool = reasons
            .iter()
            .filter_map(CancellationReason::code)
            .any(|code| !["None", CONDITION].contains(&code) && !is_transient(code));
        if lost {
            return Err(table.failed(error));
        }
        // This happens at most once per tally, because versions only grow.
        let known = newer.len();
        newer.extend(behind);
        if newer.len() == known && !backoff.pause().await {
            return Err(DynamodbOverloaded.into());
        }
    }
}

const CONDITION: &str = "ConditionalCheckFailed";

fn is_unmet(reason: &CancellationReason) -> bool {
    reason.code() == Some(CONDITION)
}

/// Puts the head, on the condition that the stored one is the change's base.
fn put_head(table: &PhysicalTable, change: &StreamItemChanges) -> Result<TransactWriteItem, BuildError> {
    let put = Put::builder().table_name(&table.name).set_item(Some(of_item(&change.head)));
    let put = match change.base {
        None => put.condition_expression("attribute_not_exists(pk)"),
        Some(base) => put
            .condition_expression("#version = :base")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":base", number(base)),
    };
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}

fn put(table: &PhysicalTable, item: &Item) -> Result<TransactWriteItem, BuildError> {
    let put = Put::builder().table_name(&table.name).set_item(Some(of_item(item))).build()?;
    Ok(TransactWriteItem::builder().put(put).build())
}

/// Adds to a tally, and sets its version unless the stored one is known to be newer.
fn add(table: &PhysicalTable, tally: &TallyAddition, is_newer: bool) -> Result<TransactWriteItem, BuildError> {
    let mut update = Update::builder().table_name(&table.name).set_key(Some(of_key(&tally.key)));
    let mut sums = Vec::with_capacity(tally.add.len());
    for (nth, (name, amount)) in tally.add.iter().enumerate() {
        sums.push(format!("#n{nth} :n{nth}"));
        update = update.expression_attribute_names(format!("#n{nth}"), format!("{NUMBER_PREFIX}{name}"));
        update = update.expression_attribute_values(format!(":n{nth}"), number(*amount));
    }
    let mut expression = String::new();
    if !is_newer {
        update = update.condition_expression("attribute_not_exists(pk) or #version < :version");
        update = update.expression_attribute_names("#version", "version");
        update = update.expression_attribute_values(":version", number(tally.version));
        expression.push_str("set #version = :version ");
    }
    if !sums.is_empty() {
        expression.push_str(&format!("add {}", sums.join(", ")));
    }
    Ok(TransactWriteItem::builder().update(update.update_expression(expression).build()?).build())
}

/// A request lacks a required field. Its fields never vary, so this can't happen.
fn impossible(error: BuildError) -> ReadModelStoreError {
    ReadModelStoreError::Remote(Box::new(error))
}
