//! Items as DynamoDB's attributes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;

use super::range::{entry, sort_of};
use crate::{Index, Item, Key, StoreError, Tally};

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// What the names of a tally's numbers begin with. They are attributes, because DynamoDB adds to nothing else.
pub(super) const NUMBER: &str = "n_";
/// DynamoDB's own bound on an item, names included.
const MOST: usize = 400 * 1_024;
/// More than the names and numbers of an item take.
const OVERHEAD: usize = 200;

const INDEXES: [Index; 3] = [Index::Gsi1, Index::Gsi2, Index::Gsi3];

/// The attributes of an index's keys.
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

pub(super) fn of_key(key: &Key) -> Attributes {
    Attributes::from([("pk".into(), text(&key.pk)), ("sk".into(), text(&key.sk))])
}

pub(super) fn of_item(item: &Item) -> Attributes {
    let mut attributes = of_key(&item.key);
    attributes.insert("version".into(), number(item.version));
    attributes.insert("item".into(), text(item.body.get()));
    for (index, at) in INDEXES.into_iter().zip(&item.index_keys) {
        if let Some(at) = at {
            let (pk, sk) = index_names(index);
            attributes.insert(pk.into(), text(&at.pk));
            attributes.insert(sk.into(), text(entry(&at.sk, &item.key)));
        }
    }
    attributes
}

pub(super) fn of_tally(tally: &Tally) -> Attributes {
    let mut attributes = of_key(&tally.key);
    attributes.insert("version".into(), number(tally.version));
    attributes.extend(tally.add.iter().map(|(name, value)| (format!("{NUMBER}{name}"), number(*value))));
    attributes
}

/// About how many bytes DynamoDB counts.
pub(super) fn size(item: &Item) -> usize {
    let keys = item.index_keys.iter().flatten().map(|at| at.pk.len() + at.sk.len());
    let own = item.key.pk.len() + item.key.sk.len();
    // The sort key of each index holds it, too.
    own * 4 + keys.sum::<usize>() + item.body.get().len() + OVERHEAD
}

/// Refuses what DynamoDB would not take, before anything is written.
pub(super) fn check(item: &Item) -> Result<(), StoreError> {
    item.check()?;
    let size = size(item);
    if size <= MOST {
        return Ok(());
    }
    let reason = format!("it has about {size} bytes, and DynamoDB takes {MOST}");
    Err(StoreError::Refused { key: item.key.clone(), reason })
}

/// An item of a table that somebody else wrote to.
#[derive(Debug, thiserror::Error)]
#[error("an item in DynamoDB has no readable {0}: {1:?}")]
struct Foreign(&'static str, Option<Key>);

/// The item that these attributes are.
pub(super) fn item(mut attributes: Attributes) -> Result<Item, StoreError> {
    let key = key(&mut attributes)?;
    let foreign = |what| StoreError::Remote(Box::new(Foreign(what, Some(key.clone()))));
    let version = numeric(attributes.remove("version")).ok_or_else(|| foreign("version"))?;
    let index_keys = INDEXES.map(|index| {
        let (pk, sk) = index_names(index);
        let (pk, sk) = (textual(attributes.remove(pk))?, textual(attributes.remove(sk))?);
        Some(Key { sk: sort_of(&sk).to_owned(), pk })
    });
    let body = match textual(attributes.remove("item")) {
        Some(body) => RawValue::from_string(body),
        None => tallied(attributes),
    };
    Ok(Item { index_keys, version, body: body.map_err(|_| foreign("item"))?, key })
}

/// Takes the key out of an item's attributes.
pub(super) fn key(attributes: &mut Attributes) -> Result<Key, StoreError> {
    let mut part = |name: &'static str| {
        textual(attributes.remove(name)).ok_or_else(|| StoreError::Remote(Box::new(Foreign(name, None))))
    };
    Ok(Key { pk: part("pk")?, sk: part("sk")? })
}

/// The body of a tally: its numbers in the order of their names.
fn tallied(attributes: Attributes) -> Result<Box<RawValue>, serde_json::Error> {
    let numbers = attributes.into_iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(NUMBER)?.to_owned();
        Some((name, numeric(Some(value))?))
    });
    serde_json::value::to_raw_value(&numbers.collect::<BTreeMap<_, _>>())
}

fn textual(value: Option<AttributeValue>) -> Option<String> {
    if let Some(AttributeValue::S(text)) = value { Some(text) } else { None }
}

fn numeric(value: Option<AttributeValue>) -> Option<i64> {
    if let Some(AttributeValue::N(digits)) = value { digits.parse().ok() } else { None }
}
