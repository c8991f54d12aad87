//! The goods and the postage that documents are about, with their taxes, and what they add up to.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::document::{DocumentLine, DocumentTax};
use crate::ids::{RefundId, ShipmentId};
use crate::money::{Currency, Money};
use crate::order::amounts::{OrderShares, clamped, portion, taxes_of};
use crate::order::event::{LineQuantity, OrderLine, ReceivedLine, Shipping, Tax, TaxRate};
use crate::order::state::{PlacedOrder, Shipment};
use crate::quantity::Quantity;

/// The parts of an order that documents can be about.
pub(super) struct DocumentParts<'a> {
    order: &'a PlacedOrder,
    /// They are worked out once, because each looks at all lines.
    shares: OrderShares,
}

impl<'a> DocumentParts<'a> {
    pub(super) fn of(order: &'a PlacedOrder) -> Self {
        Self { order, shares: order.content.shares() }
    }

    /// The goods of a shipment, and its postage.
    pub(super) fn of_shipment(&self, id: &ShipmentId) -> Vec<DocumentPart<'a>> {
        self.of_shipments().find(|(shipment, _)| shipment.id == *id).map_or_else(Vec::new, |(_, parts)| parts)
    }

    /// The goods for which a refund is. The units of a line come back in the order of their refunds, so that no tax of theirs is taken
    /// back twice.
    fn of_return(&self, id: &RefundId) -> Vec<DocumentPart<'a>> {
        let mut parts = Vec::new();
        self.come_back(|refund, line_number, units| {
            parts.extend(self.part(line_number, units).filter(|_| refund == id));
        });
        parts
    }

    /// The goods that were sent and did not come back, and the postage; or all that was sent, if that is nothing.
    fn kept(&self) -> Vec<DocumentPart<'a>> {
        let mut back: BTreeMap<u32, u32> = BTreeMap::new();
        self.come_back(|_, line_number, units| {
            back.insert(line_number, units.end);
        });
        let invoiced = || self.of_shipments().filter(|(it, _)| it.is_settled());
        let mut sent: BTreeMap<u32, u32> = BTreeMap::new();
        for it in invoiced().flat_map(|(shipment, _)| &shipment.lines) {
            let sum = sent.entry(it.line_number).or_default();
            *sum = sum.saturating_add(it.quantity);
        }
        let goods = sent.into_iter().filter_map(|(line_number, until)| {
            let from = back.get(&line_number).copied().unwrap_or(0);
            self.part(line_number, from..until.max(from))
        });
        let has_postage = self.order.shipments.first().is_some_and(Shipment::is_settled);
        let kept: Vec<DocumentPart<'a>> = goods.chain(self.postage().filter(|_| has_postage)).collect();
        if has_worth(&kept) { kept } else { invoiced().flat_map(|(_, parts)| parts).collect() }
    }

    /// Calls back with the goods of each refund that is for some, by their lines and units, in the order of the refunds.
    fn come_back(&self, mut goods: impl FnMut(&RefundId, u32, Range<u32>)) {
        let (mut back, mut seen) = (BTreeMap::new(), HashSet::new());
        for refund in self.order.refunds.iter().filter(|refund| seen.insert(&refund.id)) {
            for LineQuantity { line_number, quantity } in lines_back(self.order, &refund.id) {
                let from: &mut u32 = back.entry(line_number).or_default();
                let until = from.saturating_add(quantity);
                goods(&refund.id, line_number, *from..until);
                *from = until;
            }
        }
    }

    /// The shipments, oldest first, each with its goods and its postage.
    fn of_shipments(&self) -> impl Iterator<Item = (&'a Shipment, Vec<DocumentPart<'a>>)> {
        let mut before: BTreeMap<u32, u32> = BTreeMap::new();
        self.order.shipments.iter().enumerate().map(move |(nth, shipment)| {
            let goods = shipment.lines.iter().filter_map(|it| {
                let from = before.entry(it.line_number).or_default();
                let until = from.saturating_add(it.quantity);
                let part = self.part(it.line_number, *from..until);
                *from = until;
                part
            });
            let mut parts: Vec<DocumentPart<'a>> = goods.collect();
            if nth == 0 {
                parts.extend(self.postage());
            }
            (shipment, parts)
        })
    }

    /// Units of a line.
    fn part(&self, line_number: u32, units: Range<u32>) -> Option<DocumentPart<'a>> {
        let line = self.order.line(line_number)?;
        let of = line.quantity;
        let share = |amount: i128| {
            let until_unit = |unit: u32| portion(amount, unit.into(), of.into());
            until_unit(units.end) - until_unit(units.start)
        };
        let total = self.shares.of_units(line_number, units.clone(), of);
        let taxes: Vec<_> = line.taxes.iter().map(|tax| (tax, share(tax.amount_minor.into()))).collect();
        let on_top: i128 = taxes.iter().filter(|(tax, _)| !tax.included).map(|(_, share)| share).sum();
        Some(DocumentPart {
            of: PartOf::Line(line, units.end - units.start),
            total,
            // What is left of the price as it is printed, so that a line adds up.
            discount: share(line.price()) + on_top - total,
            taxes,
        })
    }

    fn postage(&self) -> Option<DocumentPart<'a>> {
        let shipping = self.order.content.shipping.as_deref()?;
        let total = self.shares.shipping;
        let taxes = shipping.taxes.iter().map(|tax| (tax, tax.amount_minor.into())).collect();
        let discount = i128::from(shipping.amount_minor) + taxes_of(&shipping.taxes, false) - total;
        (total != 0).then_some(DocumentPart { of: PartOf::Postage(shipping), total, discount, taxes })
    }
}

/// The goods that came back for which a refund is.
fn lines_back(order: &PlacedOrder, id: &RefundId) -> Vec<LineQuantity> {
    for back in &order.returns {
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

fn has_worth(parts: &[DocumentPart<'_>]) -> bool {
    parts.iter().any(|part| part.total > 0)
}

/// Goods or postage, with what the customer pays for it.
pub(super) struct DocumentPart<'a> {
    of: PartOf<'a>,
    /// With taxes.
    total: i128,
    /// What is taken off the price.
    discount: i128,
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
    fn scaled(parts: Vec<Self>, amount_minor: i64) -> Vec<Self> {
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

    fn line(&self, currency: Currency) -> DocumentLine {
        let tax_minor: i128 = self.taxes.iter().map(|(_, amount)| amount).sum();
        let net = self.total - tax_minor;
        let tax = |(tax, amount): &(&Tax, i128)| DocumentTax {
            name: tax.name.clone(),
            rate: tax.rate,
            net_minor: clamped(net),
            amount_minor: clamped(*amount),
        };
        let about = match self.of {
            PartOf::Line(line, quantity) => DocumentLine {
                sku: Some(line.sku.clone()),
                title: line.title.clone(),
                variant: line.variant.clone(),
                quantity: Quantity::of(quantity, line.unit).to_string(),
                unit: line.unit,
                unit_price: Some(line.unit_price(currency).to_string()),
                ..DocumentLine::default()
            },
            PartOf::Postage(shipping) => DocumentLine {
                title: shipping.method.clone(),
                quantity: "1".to_owned(),
                unit_price: Some(Money::from_minor(shipping.amount_minor, currency).to_string()),
                ..DocumentLine::default()
            },
        };
        DocumentLine {
            discount_minor: clamped(self.discount),
            taxes: self.taxes.iter().map(tax).collect(),
            net_minor: clamped(net),
            total_minor: clamped(self.total),
            ..about
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
    /// What a refund takes back of: goods that came back, or else those that did not, and the postage. If it comes to what those goods
    /// are worth, they are its lines.
    pub(super) fn of_refund(parts: &DocumentParts<'_>, id: &RefundId, amount_minor: i64, currency: Currency) -> Self {
        let of_return = parts.of_return(id);
        let has_goods = has_worth(&of_return);
        if has_goods && of_return.iter().map(|part| part.total).sum::<i128>() == i128::from(amount_minor) {
            return Self::of(&of_return, currency);
        }
        let parts = if has_goods { of_return } else { parts.kept() };
        Self { lines: vec![], ..Self::of(&DocumentPart::scaled(parts, amount_minor), currency) }
    }

    pub(super) fn of(parts: &[DocumentPart<'_>], currency: Currency) -> Self {
        let lines: Vec<DocumentLine> = parts.iter().map(|part| part.line(currency)).collect();
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
