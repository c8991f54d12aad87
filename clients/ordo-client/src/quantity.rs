//! How much of something.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Pieces, or a decimal of the unit of measure in which the goods are sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    Pieces(i64),
    /// With up to three decimals: `1.235`.
    ByMeasure(String),
}

impl Default for Quantity {
    fn default() -> Self {
        Self::Pieces(0)
    }
}

impl From<u32> for Quantity {
    fn from(pieces: u32) -> Self {
        Self::Pieces(pieces.into())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pieces(pieces) => write!(f, "{pieces}"),
            Self::ByMeasure(decimal) => f.write_str(decimal),
        }
    }
}
