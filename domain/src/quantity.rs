//! Quantities as people write them: pieces, or up to three decimals of a unit such as kilograms. Elsewhere they are integers: pieces, or
//! thousandths of the unit.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as JsonValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::body::{BodyReader, JsonField};
use crate::decimal::{parse_decimal, parse_signed_decimal, shortest_decimal};

/// A quantity by measure has no more decimals.
pub(crate) const DECIMALS: u8 = 3;
/// The largest quantity by measure, in thousandths: a million of the unit.
pub(crate) const MAX_THOUSANDTHS: u32 = 1_000_000_000;
/// How a quantity by measure is written.
const PATTERN: &str = "^-?(0|[1-9][0-9]*)([.][0-9]{1,3})?$";

/// By weight, length, area and volume.
const UNITS: [&str; 19] =
    ["mg", "g", "kg", "t", "oz", "lb", "mm", "cm", "m", "in", "ft", "yd", "m2", "ft2", "ml", "cl", "l", "m3", "gal"];

/// The unit of measure of goods that are not sold by the piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(with = "String", extend("enum" = UNITS)))]
#[serde(transparent)]
pub struct UnitOfMeasure(&'static str);

/// A text that is no such unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a unit of measure: {}", UNITS.join(", "))]
pub struct InvalidUnit;

impl UnitOfMeasure {
    /// The unit with a symbol such as `kg`.
    pub fn parse(symbol: &str) -> Result<Self, InvalidUnit> {
        UNITS.iter().find(|known| **known == symbol).map(|known| Self(known)).ok_or(InvalidUnit)
    }
}

impl fmt::Display for UnitOfMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de> Deserialize<'de> for UnitOfMeasure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for UnitOfMeasure {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(UNITS)).build().into()
    }
}

impl ToSchema for UnitOfMeasure {}

/// A quantity as it is shown: a number of pieces, or a text that holds the decimal of a quantity by measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    /// Pieces, or thousandths.
    count: i64,
    is_by_measure: bool,
}

impl Quantity {
    /// So many pieces, or so many thousandths of a unit.
    pub fn of(count: impl Into<i64>, unit: Option<UnitOfMeasure>) -> Self {
        Self { count: count.into(), is_by_measure: unit.is_some() }
    }

    /// Whether there is nothing of it.
    pub fn is_zero(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.is_by_measure { DECIMALS } else { 0 };
        f.write_str(&shortest_decimal(self.count, decimals))
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_by_measure { serializer.collect_str(self) } else { serializer.serialize_i64(self.count) }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

impl From<Quantity> for JsonValue {
    fn from(quantity: Quantity) -> Self {
        if quantity.is_by_measure { Self::from(quantity.to_string()) } else { Self::from(quantity.count) }
    }
}

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or a text that holds a decimal of at most 3 decimals")
    }

    fn visit_i64<E>(self, count: i64) -> Result<Quantity, E> {
        Ok(Quantity { count, is_by_measure: false })
    }

    fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Quantity, E> {
        let count = i64::try_from(count).map_err(|_| E::invalid_value(Unexpected::Unsigned(count), &self))?;
        Ok(Quantity { count, is_by_measure: false })
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
        let count = parse_signed_decimal(text, DECIMALS).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
        Ok(Quantity { count, is_by_measure: true })
    }
}

impl PartialSchema for Quantity {
    fn schema() -> RefOr<Schema> {
        let pieces = ObjectBuilder::new().schema_type(Type::Integer).description(Some("Pieces."));
        let by_measure = ObjectBuilder::new().schema_type(Type::String).pattern(Some(PATTERN));
        let by_measure = by_measure.description(Some("Of the line's or the SKU's unit of measure."));
        Schema::OneOf(OneOfBuilder::new().item(pieces).item(by_measure).build()).into()
    }
}

impl ToSchema for Quantity {}

/// Reads pieces, at most so many, or a decimal of the unit. The result is in pieces, or in thousandths of the unit.
pub(crate) fn read_quantity(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    unit: Option<UnitOfMeasure>,
    most_pieces: u32,
) -> Option<u32> {
    if unit.is_none() {
        return reader.integer(field, 1..=most_pieces);
    }
    let text = reader.number_text(field)?;
    let read = parse_decimal(&text, DECIMALS).ok().and_then(|thousandths| u32::try_from(thousandths).ok());
    let read = read.filter(|thousandths| (1..=MAX_THOUSANDTHS).contains(thousandths));
    if read.is_none() {
        let most = Quantity { count: MAX_THOUSANDTHS.into(), is_by_measure: true };
        let message = format!("must be a number from 0.001 to {most} with at most {DECIMALS} decimals");
        reader.violation_at(field, "out_of_range", message);
    }
    read
}

/// The same of what is added, or taken away where it is below zero.
pub(crate) fn read_difference(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    unit: Option<UnitOfMeasure>,
    most_pieces: u32,
) -> Option<i64> {
    if unit.is_none() {
        let most = i64::from(most_pieces);
        return reader.integer(field, -most..=most);
    }
    let text = reader.number_text(field)?;
    let most = i64::from(MAX_THOUSANDTHS);
    let read = parse_signed_decimal(&text, DECIMALS).ok().filter(|thousandths| (-most..=most).contains(thousandths));
    if read.is_none() {
        let most = Quantity { count: most, is_by_measure: true };
        let message = format!("must be a number from -{most} to {most} with at most {DECIMALS} decimals");
        reader.violation_at(field, "out_of_range", message);
    }
    read
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kg() -> Option<UnitOfMeasure> {
        Some(UnitOfMeasure::parse("kg").unwrap())
    }

    #[test]
    fn a_unit_is_one_that_is_known_by_its_symbol() {
        for symbol in UNITS {
            assert_eq!(UnitOfMeasure::parse(symbol).unwrap().to_string(), symbol);
        }
        for symbol in ["", "KG", "kilo", "kg ", "piece", "m²", "k"] {
            assert_eq!(UnitOfMeasure::parse(symbol), Err(InvalidUnit), "{symbol}");
        }
        assert!(serde_json::from_str::<UnitOfMeasure>("\"stone\"").is_err());
    }

    #[test]
    fn pieces_are_a_number_and_what_is_measured_is_a_text() {
        for (count, unit, json) in [
            (3, None, "3"),
            (1_235, kg(), "\"1.235\""),
            (12_500, kg(), "\"12.5\""),
            (2_000, kg(), "\"2\""),
            (0, kg(), "\"0\""),
            (-500, kg(), "\"-0.5\""),
        ] {
            let quantity = Quantity::of(count, unit);
            assert_eq!(serde_json::to_string(&quantity).unwrap(), json);
            assert_eq!(serde_json::from_str::<Quantity>(json).unwrap(), quantity);
        }
        for json in ["1.5", "\"x\"", "\"1.2345\"", "null", "[]", "18446744073709551615"] {
            assert!(serde_json::from_str::<Quantity>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_quantity_is_read_as_it_is_shown(count in -i64::MAX..=i64::MAX, is_by_measure: bool) {
            let quantity = Quantity { count, is_by_measure };
            let json = serde_json::to_string(&quantity).unwrap();
            prop_assert_eq!(serde_json::from_str::<Quantity>(&json).unwrap(), quantity);
        }
    }
}
