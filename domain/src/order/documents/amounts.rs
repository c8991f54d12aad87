//! The goods and the postage that documents are about, with their taxes, and what they add up to.

use std::collections::{BTreeMap, HashSet};

use crate::document::{DocumentLine, DocumentTax};
use crate::ids::{RefundId, ShipmentId};
use crate::order::amounts::{clamped, portion};
use crate::order::event::{LineQuantity, OrderLine, ReceivedLine, Shipping, Tax, TaxRate};
use crate::order::state::{PlacedOrder, Shipment};
use crate::quantity::Quantity;

impl PlacedOrder {
    /// The goods of a shipment, and its postage.
    pub(super) fn parts_of_shipment(&self, id: &ShipmentId) -> Vec<DocumentPart<'_>> {
        self.shipments_with_parts().find(|(shipment, _)| shipment.id == *id).map_or_else(Vec::new, |(_, parts)| parts)
    }

    /// What a refund takes back of: goods that came back, or else those that did not, and the postage. The units of a line come back in
    /// the order of their refunds, so that no tax of theirs is taken back twice.
    pub(super) fn parts_of_refund(&self, id: &RefundId) -> Vec<DocumentPart<'_>> {
        let (mut back, mut seen) = (BTreeMap::new(), HashSet::new());
        let mut of_return = Vec::new();
        for refund in self.refunds.iter().filter(|refund| seen.insert(&refund.id)) {
            for LineQuantity { line_number, quantity } in self.lines_back(&refund.id) {
                let from: &mut u32 = back.entry(line_number).or_default();
                of_return.extend(self.part(line_number, *from, quantity).filter(|_| refund.id == *id));
                *from = from.saturating_add(quantity);
            }
        }
        if has_worth(&of_return) {
            return of_return;
        }
        let invoiced = || self.shipments_with_parts().filter(|(it, _)| it.is_settled());
        let mut units: BTreeMap<u32, u32> = BTreeMap::new();
        for it in invoiced().flat_map(|(shipment, _)| &shipment.lines) {
            let sum = units.entry(it.line_number).or_default();
            *sum = sum.saturating_add(it.quantity);
        }
        let goods = units.into_iter().filter_map(|(line_number, units)| {
            let from = back.get(&line_number).copied().unwrap_or(0);
            self.part(line_number, from, units.saturating_sub(from))
        });
        let has_postage = self.shipments.first().is_some_and(Shipment::is_settled);
        let kept: Vec<DocumentPart<'_>> = goods.chain(self.postage().filter(|_| has_postage)).collect();
        if has_worth(&kept) { kept } else { invoiced().flat_map(|(_, parts)| parts).collect() }
    }

    /// The goods that came back for which a refund is.
    fn lines_back(&self, id: &RefundId) -> Vec<LineQuantity> {
        for back in &self.returns {
            let is_first = RefundId::of_return(&back.id) == *id;
            if is_first && back.receipts.is_empty() {
                return back.lines.clone();
            }
            let mut receipts = back.receipts.iter().enumerate();
            let receipt = receipts.find(|(nth, receipt)| match nth {
                0 => is_first,
                _ => RefundId::of_receipt(&back.id, &receipt.id) == *id,
            });
            if let Some((_, receipt)) = receipt {
                let line = |it: &ReceivedLine| LineQuantity { line_number: it.line_number, quantity: it.quantity };
                return receipt.lines.iter().map(line).collect();
            }
        }
        vec![]
    }

    /// The shipments, oldest first, each with its goods and its postage.
    fn shipments_with_parts(&self) -> impl Iterator<Item = (&Shipment, Vec<DocumentPart<'_>>)> {
        let mut before: BTreeMap<u32, u32> = BTreeMap::new();
        self.shipments.iter().enumerate().map(move |(nth, shipment)| {
            let goods = shipment.lines.iter().filter_map(|it| {
                let from = before.entry(it.line_number).or_default();
                let part = self.part(it.line_number, *from, it.quantity);
                *from = from.saturating_add(it.quantity);
                part
            });
            let mut parts: Vec<DocumentPart<'_>> = goods.collect();
            if nth == 0 {
                parts.extend(self.postage());
            }
            (shipment, parts)
        })
    }

    /// Units of a line, from one on.
    fn part(&self, line_number: u32, from: u32, quantity: u32) -> Option<DocumentPart<'_>> {
        let line = self.line(line_number)?;
        let (until, of) = (from.saturating_add(quantity), line.quantity);
        let share = |tax: &Tax| {
            let until_unit = |unit: u32| portion(tax.amount_minor.into(), unit.into(), of.into());
            until_unit(until) - until_unit(from)
        };
        Some(DocumentPart {
            of: PartOf::Line(line, quantity),
            total: self.content.shares().of_units(line_number, from..until, of),
            taxes: line.taxes.iter().map(|tax| (tax, share(tax))).collect(),
        })
    }

    fn postage(&self) -> Option<DocumentPart<'_>> {
        let shipping = self.content.shipping.as_deref()?;
        let total = self.content.shares().shipping;
        let taxes = shipping.taxes.iter().map(|tax| (tax, tax.amount_minor.into())).collect();
        (total != 0).then_some(DocumentPart { of: PartOf::Postage(shipping), total, taxes })
    }
}

fn has_worth(parts: &[DocumentPart<'_>]) -> bool {
    parts.iter().any(|part| part.total > 0)
}

/// Goods or postage, with what the customer pays for it.
pub(super) struct DocumentPart<'a> {
    of: PartOf<'a>,
    /// With taxes.
    total: i128,
    taxes: Vec<(&'a Tax, i128)>,
}

#[derive(Clone, Copy)]
enum PartOf<'a> {
    /// So many units of a line.
    Line(&'a OrderLine, u32),
    Postage(&'a Shipping),
}

impl<'a> DocumentPart<'a> {
    /// Divides an amount over parts, by what they cost. Parts with the same taxes become one, so that rounding costs little.
    pub(super) fn scaled(parts: Vec<Self>, amount_minor: i64) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for part in parts {
            let is_alike = |it: &&mut Self| {
                let kinds = |it: &Self| it.taxes.iter().map(|(tax, _)| kind_of(tax)).collect::<Vec<_>>();
                kinds(it) == kinds(&part)
            };
            match merged.iter_mut().find(is_alike) {
                Some(into) => {
                    into.total += part.total;
                    into.taxes.iter_mut().zip(&part.taxes).for_each(|(into, (_, tax))| into.1 += tax);
                }
                None => merged.push(part),
            }
        }
        let (amount, whole) = (i128::from(amount_minor), merged.iter().map(|part| part.total).sum());
        let mut before = 0;
        for part in &mut merged {
            let after = before + part.total;
            let share = portion(amount, after, whole) - portion(amount, before, whole);
            before = after;
            part.taxes.iter_mut().for_each(|(_, tax)| *tax = portion(*tax, share, part.total));
            part.total = share;
        }
        merged
    }

    fn line(&self) -> DocumentLine {
        let tax_minor: i128 = self.taxes.iter().map(|(_, amount)| amount).sum();
        let net = self.total - tax_minor;
        let tax = |(tax, amount): &(&Tax, i128)| DocumentTax {
            name: tax.name.clone(),
            rate: tax.rate,
            net_minor: clamped(net),
            amount_minor: clamped(*amount),
        };
        let (sku, title, variant, quantity, unit) = match self.of {
            PartOf::Line(line, quantity) => (
                Some(line.sku.clone()),
                line.title.clone(),
                line.variant.clone(),
                Quantity::of(quantity, line.unit).to_string(),
                line.unit,
            ),
            PartOf::Postage(shipping) => (None, shipping.method.clone(), None, "1".to_owned(), None),
        };
        DocumentLine {
            sku,
            title,
            variant,
            quantity,
            unit,
            taxes: self.taxes.iter().map(tax).collect(),
            net_minor: clamped(net),
            total_minor: clamped(self.total),
        }
    }
}

/// Taxes of the same name and rate are one kind, whether they are in the price or on top of it.
fn kind_of(tax: &Tax) -> (&str, TaxRate) {
    (&tax.name, tax.rate)
}

/// What a document adds up.
pub(super) struct DocumentAmounts {
    pub(super) lines: Vec<DocumentLine>,
    pub(super) taxes: Vec<DocumentTax>,
    pub(super) tax_minor: i64,
}

impl DocumentAmounts {
    pub(super) fn of(parts: &[DocumentPart<'_>]) -> Self {
        let lines: Vec<DocumentLine> = parts.iter().map(DocumentPart::line).collect();
        let mut taxes: Vec<DocumentTax> = Vec::new();
        for tax in lines.iter().flat_map(|line| &line.taxes) {
            match taxes.iter_mut().find(|it| (&it.name, it.rate) == (&tax.name, tax.rate)) {
                Some(sum) => {
                    sum.net_minor = sum.net_minor.saturating_add(tax.net_minor);
                    sum.amount_minor = sum.amount_minor.saturating_add(tax.amount_minor);
                }
                None => taxes.push(tax.clone()),
            }
        }
        let tax_minor = taxes.iter().fold(0_i64, |sum, tax| sum.saturating_add(tax.amount_minor));
        Self { lines, taxes, tax_minor }
    }
}
