//! Converts items to and from DynamoDB's attributes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;

use super::range::{index_sort_key, sort_of};
use crate::{Index, Item, Key, ReadModelStoreError, TallyAddition};

/// An item as DynamoDB has it: attributes by their names.
pub(super) type DynamodbAttributes = HashMap<String, AttributeValue>;

/// The prefix of the attributes of a tally's numbers. Each number is an attribute of its own, because DynamoDB can only
/// add to those.
pub(super) const NUMBER_PREFIX: &str = "n_";
/// DynamoDB's limit on an item, attribute names included.
const MAX_ITEM_BYTES: usize = 400 * 1_024;
/// An upper bound for the attribute names and numbers of an item.
const OVERHEAD: usize = 200;

const INDEXES: [Index; 3] = [Index::Gsi1, Index::Gsi2, Index::Gsi3];

/// The attribute names of an index's keys.
pub(super) fn index_names(index: Index) -> (&'static str, &'static str) {
    match index {
        Index::Gsi1 => ("gsi1pk", "gsi1sk"),
        Index::Gsi2 => ("gsi2pk", "gsi2sk"),
        Index::Gsi3 => ("gsi3pk", "gsi3sk"),
    }
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn of_key(key: &Key) -> DynamodbAttributes {
    DynamodbAttributes::from([("pk".into(), text(&key.pk)), ("sk".into(), text(&key.sk))])
}

pub(super) fn of_item(item: &Item) -> DynamodbAttributes {
    let mut attributes = of_key(&item.key);
    attributes.insert("version".into(), number(item.version));
    attributes.insert("item".into(), text(item.body.get()));
    for (index, at) in INDEXES.into_iter().zip(&item.index_keys) {
        if let Some(at) = at {
            let (pk, sk) = index_names(index);
            attributes.insert(pk.into(), text(&at.pk));
            attributes.insert(sk.into(), text(index_sort_key(&at.sk, &item.key)));
        }
    }
    attributes
}

pub(super) fn of_tally(tally: &TallyAddition) -> DynamodbAttributes {
    let mut attributes = of_key(&tally.key);
    attributes.insert("version".into(), number(tally.version));
    attributes.extend(tally.add.iter().map(|(name, value)| (format!("{NUMBER_PREFIX}{name}"), number(*value))));
    attributes
}

/// About how many bytes DynamoDB counts.
pub(super) fn size(item: &Item) -> usize {
    let keys = item.index_keys.iter().flatten().map(|at| at.pk.len() + at.sk.len());
    let own = item.key.pk.len() + item.key.sk.len();
    // The sort key of each index holds the item's own key, too.
    own * 4 + keys.sum::<usize>() + item.body.get().len() + OVERHEAD
}

/// Refuses an item that DynamoDB can't keep.
pub(super) fn check(item: &Item) -> Result<(), ReadModelStoreError> {
    item.check()?;
    let size = size(item);
    if size <= MAX_ITEM_BYTES {
        return Ok(());
    }
    let reason = format!("it has about {size} bytes, and DynamoDB takes {MAX_ITEM_BYTES}");
    Err(ReadModelStoreError::Refused { key: item.key.clone(), reason })
}

/// An item that this program did not write.
#[derive(Debug, thiserror::Error)]
#[error("an item in DynamoDB has no readable {0}: {1:?}")]
struct UnreadableItem(&'static str, Option<Key>);

pub(super) fn item(mut attributes: DynamodbAttributes) -> Result<Item, ReadModelStoreError> {
    let key = key(&mut attributes)?;
    let foreign = |what| ReadModelStoreError::Remote(Box::new(UnreadableItem(what, Some(key.clone()))));
    let version = as_number(attributes.remove("version")).ok_or_else(|| foreign("version"))?;
    let index_keys = INDEXES.map(|index| {
        let (pk, sk) = index_names(index);
        let (pk, sk) = (as_text(attributes.remove(pk))?, as_text(attributes.remove(sk))?);
        Some(Key { sk: sort_of(&sk).to_owned(), pk })
    });
    let body = match as_text(attributes.remove("item")) {
        Some(body) => RawValue::from_string(body),
        None => tally_body(attributes),
    };
    Ok(Item { index_keys, version, body: body.map_err(|_| foreign("item"))?, key, words: None })
}

/// Takes the key out of the attributes.
pub(super) fn key(attributes: &mut DynamodbAttributes) -> Result<Key, ReadModelStoreError> {
    let mut part = |name: &'static str| {
        as_text(attributes.remove(name))
            .ok_or_else(|| ReadModelStoreError::Remote(Box::new(UnreadableItem(name, None))))
    };
    Ok(Key { pk: part("pk")?, sk: part("sk")? })
}

/// The body of a tally: its numbers, ordered by name.
fn tally_body(attributes: DynamodbAttributes) -> Result<Box<RawValue>, serde_json::Error> {
    let numbers = attributes.into_iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(NUMBER_PREFIX)?.to_owned();
        Some((name, as_number(Some(value))?))
    });
    serde_json::value::to_raw_value(&numbers.collect::<BTreeMap<_, _>>())
}

fn as_text(value: Option<AttributeValue>) -> Option<String> {
    if let Some(AttributeValue::S(text)) = value { Some(text) } else { None }
}

fn as_number(value: Option<AttributeValue>) -> Option<i64> {
    if let Some(AttributeValue::N(digits)) = value { digits.parse().ok() } else { None }
}
