//! What the total of an order is made of.

use serde::Deserialize;

use crate::display::Text;
use crate::pages::Amount;

/// How the goods go to the customer, and the postage.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct Shipping {
    pub(in crate::pages::order) method: Text,
    pub(in crate::pages::order) carrier: Option<Text>,
    pub(in crate::pages::order) amount: Amount,
    #[serde(default)]
    pub(in crate::pages::order) taxes: Vec<Tax>,
    pub(in crate::pages::order) estimated_delivery: Option<Text>,
}

#[derive(Deserialize)]
pub(in crate::pages::order) struct Discount {
    pub(in crate::pages::order) code: Option<Text>,
    pub(in crate::pages::order) reason: Option<Text>,
    pub(in crate::pages::order) amount: Amount,
}

#[derive(Deserialize)]
pub(in crate::pages::order) struct Tax {
    pub(in crate::pages::order) name: Text,
    /// 0.19 for 19 %.
    pub(in crate::pages::order) rate: Text,
    pub(in crate::pages::order) amount: Amount,
    /// Whether the price has it in it.
    pub(in crate::pages::order) included: bool,
}

/// The parts of a total that has more than items.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct Totals {
    items: Amount,
    discounts: Amount,
    shipping: Amount,
    taxes: Amount,
    included_taxes: Amount,
}

impl Totals {
    /// Its parts, each with its name.
    pub(in crate::pages::order) fn parts(&self) -> [(&'static str, &Amount); 5] {
        [
            ("Items", &self.items),
            ("Discounts", &self.discounts),
            ("Postage", &self.shipping),
            ("Taxes on top", &self.taxes),
            ("Taxes in the prices", &self.included_taxes),
        ]
    }
}
