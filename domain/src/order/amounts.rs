//! What the parts of an order come to, in minor units of its currency. This is the one place where they are added up, and shared out
//! over lines and units. It is exact: integers that are wide enough, no floats.
//!
//! What the customer pays for a line is its price, less its discounts, and the taxes on top. The order's own discounts are shared out
//! over its lines and the postage. What is then paid for a line is shared out over its units. Each share is the difference of two
//! running sums that are rounded down, so all shares together are always the whole.

use super::event::{Discount, OrderCreated, OrderLine, Shipping, Tax};
use crate::unit_price::price_of_thousandths;

/// The parts of an order's total, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderTotals {
    /// Quantity × unit price of all lines.
    pub items_minor: i64,
    /// All discounts, of lines and of the order.
    pub discounts_minor: i64,
    /// Postage.
    pub shipping_minor: i64,
    /// The taxes that are paid on top.
    pub taxes_minor: i64,
    /// The taxes that are in the prices already.
    pub included_taxes_minor: i64,
    /// What the customer owes: items − discounts + shipping + taxes.
    pub total_minor: i64,
}

impl OrderTotals {
    /// The totals of an order. `None`: they are more than any amount that can be kept.
    pub fn of(content: &OrderCreated) -> Option<Self> {
        let lines = &content.lines;
        let shipping = content.shipping.as_deref();
        let taxes = |included: bool| -> i128 {
            let of_lines = lines.iter().map(|line| taxes_of(&line.taxes, included));
            let of_shipping = shipping.map_or(0, |shipping| taxes_of(&shipping.taxes, included));
            of_lines.sum::<i128>() + of_shipping
        };
        let items: i128 = lines.iter().map(OrderLine::price).sum();
        let of_lines: i128 = lines.iter().map(|line| discounts_of(&line.discounts)).sum();
        let discounts = of_lines + discounts_of(&content.discounts);
        let postage = shipping.map_or(0, |shipping| i128::from(shipping.amount_minor));
        // Sharing out is exact as long as this fits.
        i64::try_from(content.before_order_discounts()).ok()?;
        let fits = |sum: i128| i64::try_from(sum).ok();
        Some(Self {
            items_minor: fits(items)?,
            discounts_minor: fits(discounts)?,
            shipping_minor: fits(postage)?,
            taxes_minor: fits(taxes(false))?,
            included_taxes_minor: fits(taxes(true))?,
            total_minor: fits(items - discounts + postage + taxes(false))?,
        })
    }
}

impl OrderTotals {
    /// Whether there are discounts, postage or taxes.
    pub fn has_more_than_items(self) -> bool {
        let Self { items_minor, discounts_minor, shipping_minor, taxes_minor, included_taxes_minor, total_minor } =
            self;
        [discounts_minor, shipping_minor, taxes_minor, included_taxes_minor] != [0; 4] || items_minor != total_minor
    }
}

impl OrderCreated {
    /// What the customer pays for all parts, before the order's own discounts.
    fn before_order_discounts(&self) -> i128 {
        let lines: i128 = self.lines.iter().map(OrderLine::payable).sum();
        lines + self.shipping.as_deref().map_or(0, Shipping::payable)
    }

    /// Whether the order's own discounts are more than what they are taken from.
    pub(super) fn is_discounted_too_much(&self) -> bool {
        discounts_of(&self.discounts) > self.before_order_discounts()
    }

    /// What the customer pays for each part, with its share of the order's discounts.
    pub(super) fn shares(&self) -> OrderShares {
        let discount = discounts_of(&self.discounts);
        let whole = self.before_order_discounts();
        let mut before: i128 = 0;
        let mut less_discount = |payable: i128| {
            let after = before.saturating_add(payable);
            let share = portion(discount, after, whole) - portion(discount, before, whole);
            before = after;
            payable - share
        };
        let lines = self.lines.iter().map(|line| less_discount(line.payable())).collect();
        let shipping = self.shipping.as_deref().map_or(0, |shipping| less_discount(shipping.payable()));
        OrderShares { lines, shipping }
    }

    /// Makes the discounts of each part one, and its taxes one of each kind, without texts. No amount changes by it.
    pub fn merge_amounts(&mut self) {
        for line in &mut self.lines {
            merge_discounts(&mut line.discounts);
            merge_taxes(&mut line.taxes);
        }
        merge_discounts(&mut self.discounts);
        if let Some(shipping) = &mut self.shipping {
            merge_taxes(&mut shipping.taxes);
            **shipping = Shipping {
                amount_minor: shipping.amount_minor,
                taxes: std::mem::take(&mut shipping.taxes),
                ..Shipping::default()
            };
        }
    }
}

/// What the customer pays for each part of an order.
pub(super) struct OrderShares {
    lines: Vec<i128>,
    /// Postage.
    pub(super) shipping: i128,
}

impl OrderShares {
    /// What the units of a line from one to another are worth, of so many. Lines count from 1, units from 0.
    pub(super) fn of_units(&self, line_number: u32, units: std::ops::Range<u32>, of: u32) -> i128 {
        let line = usize::try_from(line_number).ok().and_then(|number| self.lines.get(number.checked_sub(1)?));
        let until = |unit: u32| line.map_or(0, |line| portion(*line, unit.into(), of.into()));
        until(units.end) - until(units.start)
    }
}

impl OrderLine {
    /// Quantity × unit price.
    pub(super) fn price(&self) -> i128 {
        self.price_of(self.quantity)
    }

    /// What so many of it cost: pieces, or thousandths of its unit. The latter is rounded half to even.
    pub(super) fn price_of(&self, quantity: u32) -> i128 {
        match self.unit {
            None => i128::from(self.unit_price_minor) * i128::from(quantity),
            Some(_) => price_of_thousandths(self.unit_price_minor, self.unit_price_ten_thousandths, quantity),
        }
    }

    /// The price less the line's discounts.
    pub(super) fn net(&self) -> i128 {
        self.price() - discounts_of(&self.discounts)
    }

    /// What the customer pays for it, before the order's discounts.
    fn payable(&self) -> i128 {
        self.net() + taxes_of(&self.taxes, false)
    }
}

impl Shipping {
    /// What the customer pays for it, before the order's discounts.
    fn payable(&self) -> i128 {
        i128::from(self.amount_minor) + taxes_of(&self.taxes, false)
    }
}

/// The sum of some discounts.
pub(super) fn discounts_of(discounts: &[Discount]) -> i128 {
    discounts.iter().map(|discount| i128::from(discount.amount_minor)).sum()
}

/// The sum of the taxes that are in the price, or of those that are on top of it.
pub(super) fn taxes_of(taxes: &[Tax], included: bool) -> i128 {
    taxes.iter().filter(|tax| tax.included == included).map(|tax| i128::from(tax.amount_minor)).sum()
}

/// An amount as it is stored. A sum that does not fit was never posted.
pub(super) fn clamped(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

/// `amount` × `part` ⁄ `whole`, rounded down.
pub(super) fn portion(amount: i128, part: i128, whole: i128) -> i128 {
    amount.saturating_mul(part).checked_div_euclid(whole).unwrap_or(0)
}

fn merge_discounts(discounts: &mut Vec<Discount>) {
    let sum = clamped(discounts_of(discounts));
    discounts.clear();
    if sum != 0 {
        discounts.push(Discount { amount_minor: sum, ..Discount::default() });
    }
}

fn merge_taxes(taxes: &mut Vec<Tax>) {
    let sums = [false, true].map(|included| (included, clamped(taxes_of(taxes, included))));
    taxes.clear();
    let some = sums.into_iter().filter(|(_, sum)| *sum != 0);
    taxes.extend(some.map(|(included, amount_minor)| Tax { amount_minor, included, ..Tax::default() }));
}
