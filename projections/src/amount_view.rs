//! Amounts as answers have them.

use domain::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A decimal string with its currency.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Amount)]
pub(crate) struct AmountView {
    #[schema(example = "129.99")]
    pub(crate) amount: String,
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    pub(crate) currency: Currency,
}

impl From<Money> for AmountView {
    fn from(money: Money) -> Self {
        Self { amount: money.to_string(), currency: money.currency() }
    }
}
