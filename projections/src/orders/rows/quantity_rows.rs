//! How much of an order's lines, as answers have it: pieces, or a decimal of the line's unit of measure.

use domain::order::Order;
use domain::order::event::{ItemCondition, LineQuantity, OrderLine, ReceivedLine};
use domain::quantity::{Quantity, UnitOfMeasure};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::OrderRow;

/// How much of a line.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LineQuantity)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineQuantityRow {
    /// The number of the line, from 1.
    line_number: u32,
    quantity: Quantity,
}

/// How much of a line came back together, in one condition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceivedLine)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReceivedLineRow {
    /// The number of the line, from 1.
    line_number: u32,
    quantity: Quantity,
    /// In which condition it is, if somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<ItemCondition>,
    /// Whether it is put back into the stock of its SKU.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    restock: bool,
}

/// The units of measure of an order's lines. Empty if all are sold by the piece.
pub(in crate::orders) struct LineUnits(Vec<Option<UnitOfMeasure>>);

impl OrderRow {
    pub(in crate::orders) fn line_units(&self) -> LineUnits {
        let lines: &[OrderLine] = match &self.folded {
            Some(Order::Placed(placed)) => &placed.content.lines,
            Some(Order::Absent) | None => &[],
        };
        let by_measure = lines.iter().any(|line| line.unit.is_some());
        LineUnits(if by_measure { lines.iter().map(|line| line.unit).collect() } else { vec![] })
    }
}

impl LineUnits {
    pub(super) fn rows(&self, lines: &[LineQuantity]) -> Vec<LineQuantityRow> {
        let row = |it: &LineQuantity| LineQuantityRow {
            line_number: it.line_number,
            quantity: self.quantity(it.line_number, it.quantity),
        };
        lines.iter().map(row).collect()
    }

    pub(super) fn received_rows(&self, lines: &[ReceivedLine]) -> Vec<ReceivedLineRow> {
        let row = |it: &ReceivedLine| ReceivedLineRow {
            line_number: it.line_number,
            quantity: self.quantity(it.line_number, it.quantity),
            condition: it.condition,
            restock: it.restock,
        };
        lines.iter().map(row).collect()
    }

    fn quantity(&self, line_number: u32, quantity: u32) -> Quantity {
        let index = usize::try_from(line_number).ok().and_then(|number| number.checked_sub(1));
        Quantity::of(quantity, index.and_then(|index| self.0.get(index).copied().flatten()))
    }
}
