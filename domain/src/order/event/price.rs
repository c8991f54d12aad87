//! What an order costs beside its goods: postage, taxes, and what is taken off. Amounts are minor units of the order's currency.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decimal::{InvalidDecimal, parse_decimal, shortest_decimal};

/// What the customer does not have to pay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Discount {
    /// What the customer entered for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub amount_minor: i64,
}

/// A tax, as the shop worked it out. Its amount is not worked out again from its rate: countries round in different ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tax {
    pub name: String,
    pub rate: TaxRate,
    pub amount_minor: i64,
    /// Whether the price has it in it already. Otherwise it is paid on top.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub included: bool,
}

/// How the goods go to the customer, and what that costs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shipping {
    /// As the customer chose it.
    pub method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    pub amount_minor: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Tax>,
    /// When it should arrive: a date or an instant (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_delivery: Option<String>,
}

/// A tax's rate, such as 0.19 for 19 %: from 0 to 10, with up to six decimals. It is kept as its decimal text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub struct TaxRate {
    millionths: i64,
}

/// A text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 0 to 10 with at most 6 decimals: 0.19 for 19 %")]
pub struct InvalidTaxRate;

impl TaxRate {
    const DECIMALS: u8 = 6;
    const MAX_MILLIONTHS: i64 = 10_000_000;

    /// Reads a decimal exactly.
    pub fn parse(text: &str) -> Result<Self, InvalidTaxRate> {
        match parse_decimal(text, Self::DECIMALS) {
            Ok(millionths) if millionths <= Self::MAX_MILLIONTHS => Ok(Self { millionths }),
            Ok(_)
            | Err(
                InvalidDecimal::NotANumber
                | InvalidDecimal::Negative
                | InvalidDecimal::TooManyDecimals
                | InvalidDecimal::TooLarge,
            ) => Err(InvalidTaxRate),
        }
    }
}

impl fmt::Display for TaxRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortest_decimal(self.millionths, Self::DECIMALS))
    }
}

impl TryFrom<String> for TaxRate {
    type Error = InvalidTaxRate;

    fn try_from(text: String) -> Result<Self, InvalidTaxRate> {
        Self::parse(&text)
    }
}

impl From<TaxRate> for String {
    fn from(rate: TaxRate) -> Self {
        rate.to_string()
    }
}
