//! A line of an order, as it was posted, or as an edit left it.

use std::collections::BTreeMap;

use domain::json_text::JsonObjectText;
use domain::money::Currency;
use domain::order::event::{LineChange, OrderLine};
use domain::quantity::{Quantity, UnitOfMeasure};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::price_rows::{DiscountRow, TaxRow};
use crate::amount_view::AmountView;

/// A line as it was posted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LineContent)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct LineRow {
    pub(in crate::orders) line_number: u32,
    sku: String,
    title: String,
    quantity: Quantity,
    /// The unit of measure of goods that are not sold by the piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::orders) unit: Option<UnitOfMeasure>,
    unit_price: AmountView,
    /// Quantity × unit price, before discounts and taxes.
    line_total: AmountView,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<JsonObjectText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    /// There, and false, if nothing is sent for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires_shipping: Option<bool>,
    /// There, and true, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gift_card: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    discounts: Vec<DiscountRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    taxes: Vec<TaxRow>,
}

impl LineRow {
    pub(in crate::orders) fn new(line_number: u32, line: &OrderLine, currency: Currency) -> Self {
        Self {
            line_number,
            sku: line.sku.to_string(),
            title: line.title.clone(),
            quantity: Quantity::of(line.quantity, line.unit),
            unit: line.unit,
            unit_price: AmountView { amount: line.unit_price(currency).to_string(), currency },
            line_total: line.total(currency).into(),
            metadata: line.metadata.clone(),
            variant: line.variant.clone(),
            attributes: line.attributes.clone(),
            requires_shipping: (!line.requires_shipping).then_some(false),
            gift_card: line.gift_card.then_some(true),
            discounts: DiscountRow::all(&line.discounts, currency),
            taxes: TaxRow::all(&line.taxes, currency),
        }
    }

    /// Makes a change. `line` is the line after it.
    pub(in crate::orders) fn change(&mut self, change: &LineChange, line: &OrderLine, currency: Currency) {
        self.quantity = Quantity::of(line.quantity, line.unit);
        self.unit_price = AmountView { amount: line.unit_price(currency).to_string(), currency };
        self.line_total = line.total(currency).into();
        if let Some(discounts) = &change.discounts {
            self.discounts = DiscountRow::all(discounts, currency);
        }
        if let Some(taxes) = &change.taxes {
            self.taxes = TaxRow::all(taxes, currency);
        }
        if line.quantity == 0 {
            self.discounts.clear();
            self.taxes.clear();
        }
    }
}
