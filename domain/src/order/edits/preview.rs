//! What an edit would do to an order: the order as it would be, and the money that this takes or sets free.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::body::BodyViolation;
use crate::ids::Sku;
use crate::order::amounts::{OrderTotals, portion, taxes_of};
use crate::order::command::RequestEdit;
use crate::order::error::OrderError;
use crate::order::event::{AddedPayment, OrderChanges, OrderCreated, OrderLine, TaxRate};
use crate::order::parse::MAX_ITEMS;
use crate::order::state::PlacedOrder;
use crate::order::transitions::OrderAction;
use crate::quantity::{MAX_THOUSANDTHS, Quantity, UnitOfMeasure};

/// What an edit would do to an order.
#[derive(Debug, Clone, PartialEq)]
pub struct EditPreview {
    /// The order as it would be.
    pub content: OrderCreated,
    /// What its parts would come to.
    pub totals: OrderTotals,
    /// The payment that would be added. `None`: the order's payments are enough.
    pub payment: Option<AddedPayment>,
    /// How much less would be captured of what the provider holds, in minor units. It is let go of once all is shipped.
    pub released_minor: i64,
    /// How much less would be taken of what was paid elsewhere, in minor units. A person gives it back once all is shipped.
    pub refunded_minor: i64,
}

impl PlacedOrder {
    /// What an edit would do. It is what [`OrderCommand::RequestEdit`](super::super::OrderCommand::RequestEdit) then asks for.
    ///
    /// # Errors
    /// The order takes no edit now, or this one does not fit it.
    pub(in crate::order) fn preview_edit(&self, command: &RequestEdit) -> Result<EditPreview, OrderError> {
        self.check(OrderAction::Edit)?;
        let (after, totals) = self.edited(&command.changes)?;
        let owed = after.owed_minor();
        let of_payments: i64 = self.counted_payments().map(|payment| payment.amount_minor).sum();
        let payment = match owed.saturating_sub(of_payments) {
            ..=0 => None,
            amount_minor => Some(self.added_payment(command, amount_minor)?),
        };
        let (released_minor, refunded_minor) = self.less_to_pay(self.owed_minor(), owed);
        Ok(EditPreview { released_minor, refunded_minor, content: after.content, totals, payment })
    }

    /// How the difference is paid: as the edit says, or with the first means of payment that the provider knows.
    fn added_payment(&self, command: &RequestEdit, amount_minor: i64) -> Result<AddedPayment, OrderError> {
        let payment_number = u32::try_from(self.payments.len()).unwrap_or(u32::MAX).saturating_add(1);
        if let Some(means) = &command.payment {
            let (method, token) = (Some(means.method.clone()), means.token.clone());
            return Ok(AddedPayment { payment_number, method, token, amount_minor });
        }
        let first = self.counted_payments().find(|payment| !payment.is_paid_elsewhere());
        let Some(first) = first else {
            return Err(invalid(
                "/payment",
                "required",
                "is required: the order was paid elsewhere, and costs more now",
            ));
        };
        let at = usize::try_from(first.number).ok().and_then(|number| number.checked_sub(1));
        let method = at.and_then(|at| self.content.payments.get(at)).map(|posted| posted.method.clone());
        Ok(AddedPayment { payment_number, method, token: first.token.clone(), amount_minor })
    }

    /// The order as changes leave it, with what its parts then come to. All that does not fit is named.
    fn edited(&self, changes: &OrderChanges) -> Result<(Self, OrderTotals), OrderError> {
        let mut violations = Vec::new();
        let mut wrong = |pointer: String, code: &'static str, message: &str| {
            violations.push(BodyViolation { pointer, code, message: message.to_owned() });
        };
        let mut named = HashSet::with_capacity(changes.lines.len());
        for (index, change) in changes.lines.iter().enumerate() {
            let at = |field: &str| format!("/lines/{index}/{field}");
            let Some(line) = self.line(change.line_number) else {
                wrong(at("lineNumber"), "no_such_line", "the order has no such line");
                continue;
            };
            if !named.insert(change.line_number) {
                wrong(at("lineNumber"), "line_twice", "is named twice");
            }
            let counts = self.counts(change.line_number);
            let least = counts.shipped.saturating_add(counts.cancelled);
            if change.quantity.is_some_and(|quantity| quantity < least) {
                let least = Quantity::of(least, line.unit);
                let message = format!("must be at least {least}: so many were shipped or cancelled");
                wrong(at("quantity"), "too_few", &message);
            }
            let mut after = line.clone();
            after.apply_change(change.clone());
            let price = |line: &OrderLine| (line.quantity, line.unit_price_minor, line.unit_price_ten_thousandths);
            let is_other_price = price(&after) != price(line);
            if is_other_price && after.quantity > 0 && change.taxes.is_none() && !line.taxes.is_empty() {
                wrong(at("taxes"), "required", "are required where a line with taxes gets another quantity or price");
            }
            if after.net() < 0 {
                wrong(at("discounts"), "more_than_the_price", "are more than quantity × unit price");
            } else if taxes_of(&after.taxes, true) > after.net() {
                wrong(at("taxes"), "more_than_the_price", "are said to be in a price that is less than them");
            }
        }
        if self.content.lines.len() + changes.added_lines.len() > MAX_ITEMS {
            wrong("/addedLines".to_owned(), "too_many", &format!("an order has at most {MAX_ITEMS} lines"));
        }
        let has_shipped = !self.shipments.is_empty();
        if has_shipped && changes.shipping_address.is_some() {
            wrong("/shippingAddress".to_owned(), "shipped", "can't change any more: something was shipped");
        }
        if has_shipped && changes.shipping.is_some() {
            wrong("/shipping".to_owned(), "shipped", "can't change any more: it was paid with the first shipment");
        }
        if !violations.is_empty() {
            return Err(OrderError::InvalidEdit(violations));
        }
        let mut after = self.clone();
        after.content.apply_changes(changes.clone(), self.content.total_minor);
        after.counts.resize_with(after.content.lines.len(), Default::default);
        if after.content == self.content {
            return Err(invalid("", "changes_nothing", "changes nothing about the order"));
        }
        after.content.check_measures(self.content.lines.len())?;
        if after.content.is_discounted_too_much() {
            let message = "are more than all that they are taken from";
            return Err(invalid("/discounts", "more_than_the_price", message));
        }
        let Some(totals) = OrderTotals::of(&after.content) else {
            return Err(invalid("", "too_large", "the parts add up to more than any amount"));
        };
        if totals.total_minor < 0 {
            return Err(invalid("/discounts", "more_than_the_price", "are more than all that they are taken from"));
        }
        after.content.total_minor = totals.total_minor;
        if after.is_all_shipped() {
            return Err(invalid("/lines", "all_of_it", "nothing would be left to ship: cancel the order, or the rest"));
        }
        self.check_shipped_worth(&after, changes)?;
        Ok((after, totals))
    }

    /// Refuses another price of what was shipped.
    fn check_shipped_worth(&self, after: &Self, changes: &OrderChanges) -> Result<(), OrderError> {
        if self.shipments.is_empty() {
            return Ok(());
        }
        let (shares, shares_after) = (self.content.shares(), after.content.shares());
        let mut units: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let mut until: BTreeMap<u32, u32> = BTreeMap::new();
        for it in self.shipments.iter().flat_map(|shipment| &shipment.lines) {
            let shipped = until.entry(it.line_number).or_default();
            *shipped = shipped.saturating_add(it.quantity);
            let ends = units.entry(it.line_number).or_default();
            ends.extend([*shipped, self.counts(it.line_number).received]);
        }
        for (line_number, ends) in units {
            let of = |order: &Self| order.line(line_number).map_or(0, |line| line.quantity);
            let index = changes.lines.iter().position(|change| change.line_number == line_number);
            let pointer = index.map_or_else(|| "/lines".to_owned(), |index| format!("/lines/{index}"));
            // Documents say it too, and those about goods that come back say what those about shipments said.
            if ends.iter().any(|end| self.taxes_until(line_number, *end) != after.taxes_until(line_number, *end)) {
                let message = format!("what was shipped of line {line_number} would have other taxes");
                return Err(invalid(&pointer, "shipped", &message));
            }
            let worth = |end: &u32| {
                let before = shares.of_units(line_number, 0..*end, of(self));
                (before, shares_after.of_units(line_number, 0..*end, of(after)))
            };
            if ends.iter().map(worth).any(|(before, after)| before != after) {
                let message = format!("what was shipped of line {line_number} would cost something else");
                return Err(invalid(&pointer, "shipped", &message));
            }
        }
        if shares.shipping != shares_after.shipping {
            return Err(invalid("/discounts", "shipped", "the postage was paid, and would cost something else"));
        }
        Ok(())
    }

    /// The taxes of the first units of a line, by name, rate and whether they are in the price.
    fn taxes_until(&self, line_number: u32, end: u32) -> BTreeMap<(&str, TaxRate, bool), i128> {
        let mut taxes = BTreeMap::new();
        let Some(line) = self.line(line_number) else { return taxes };
        for tax in &line.taxes {
            let until = portion(tax.amount_minor.into(), end.into(), line.quantity.into());
            if until != 0 {
                *taxes.entry((tax.name.as_str(), tax.rate, tax.included)).or_default() += until;
            }
        }
        taxes
    }
}

impl OrderCreated {
    /// Refuses lines of one SKU in several units, and more of it than can be counted. The lines from `added` on are new.
    fn check_measures(&self, added: usize) -> Result<(), OrderError> {
        let mut by_sku: BTreeMap<&Sku, (Option<UnitOfMeasure>, u32)> = BTreeMap::new();
        for (at, line) in self.lines.iter().enumerate() {
            let (unit, sum) = by_sku.entry(&line.sku).or_insert((line.unit, 0));
            *sum = sum.saturating_add(line.quantity);
            let new = at.checked_sub(added);
            let pointer =
                |field: &str| new.map_or_else(|| "/lines".to_owned(), |nth| format!("/addedLines/{nth}/{field}"));
            if *unit != line.unit {
                let message = "must be that of the other lines of this SKU";
                return Err(invalid(&pointer("unit"), "contradiction", message));
            }
            if *sum > MAX_THOUSANDTHS {
                let message = "must be at most 1000000 with the other lines of this SKU";
                return Err(invalid(&pointer("quantity"), "out_of_range", message));
            }
        }
        Ok(())
    }
}

fn invalid(pointer: &str, code: &'static str, message: &str) -> OrderError {
    let (pointer, message) = (pointer.to_owned(), message.to_owned());
    OrderError::InvalidEdit(vec![BodyViolation { pointer, code, message }])
}
