//! Goods that come back: announced as a return, received all at once or in parts, or cancelled as far as they did not come.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::command::{NewReceipt, ReceiveReturn};
use super::error::OrderError;
use super::event::{LineQuantity, OrderEvent, ReceivedLine, ReturnCancelled, ReturnReceived, ReturnRequested};
use super::lines::{count, uncount};
use super::state::PlacedOrder;
use super::transitions::OrderAction;
use crate::ids::{LocationId, ReceiptId, RefundId, ReturnId, Sku};
use crate::quantity::Quantity;

/// A return of goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The id of the return.
    pub id: ReturnId,
    /// What was announced.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Option<String>,
    /// Whether all of it has arrived.
    pub received: bool,
    /// What arrived of it so far, oldest first. Empty if it arrived all at once and no more was said about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<ReturnReceipt>,
    /// Whether the rest of it is not coming any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<String>,
}

/// Goods of a return that arrived together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReceipt {
    /// The id of the receipt.
    pub id: ReceiptId,
    /// What arrived.
    pub lines: Vec<ReceivedLine>,
    /// Where it is, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
}

impl Return {
    /// Whether some of it can still arrive.
    pub(super) fn is_open(&self) -> bool {
        !self.received && !self.cancelled
    }

    /// What has arrived of it.
    pub(super) fn arrived(&self) -> Vec<LineQuantity> {
        if self.receipts.is_empty() {
            return if self.received { self.lines.clone() } else { vec![] };
        }
        units_of(self.receipts.iter().flat_map(|receipt| &receipt.lines))
    }

    /// What was announced and has not arrived.
    pub(super) fn not_arrived(&self) -> Vec<LineQuantity> {
        let arrived: BTreeMap<u32, u32> = self.arrived().into_iter().map(|it| (it.line_number, it.quantity)).collect();
        let left = self.lines.iter().map(|&LineQuantity { line_number, quantity }| LineQuantity {
            line_number,
            quantity: quantity.saturating_sub(arrived.get(&line_number).copied().unwrap_or(0)),
        });
        left.filter(|it| it.quantity > 0).collect()
    }

    /// What has arrived of it, or will.
    pub(super) fn arrived_or_expected(&self) -> Vec<LineQuantity> {
        if self.cancelled { self.arrived() } else { self.lines.clone() }
    }

    /// Whether these lines are all that has not arrived.
    pub(super) fn is_rest(&self, lines: &[ReceivedLine]) -> bool {
        let left: u64 = self.not_arrived().iter().map(|it| u64::from(it.quantity)).sum();
        lines.iter().map(|it| u64::from(it.quantity)).sum::<u64>() == left
    }
}

/// The units of each line, in whatever condition they are.
fn units_of<'a>(lines: impl IntoIterator<Item = &'a ReceivedLine>) -> Vec<LineQuantity> {
    let mut units: BTreeMap<u32, u32> = BTreeMap::new();
    for line in lines {
        let quantity = units.entry(line.line_number).or_default();
        *quantity = quantity.saturating_add(line.quantity);
    }
    units.into_iter().map(|(line_number, quantity)| LineQuantity { line_number, quantity }).collect()
}

/// Mostly one event, or none if nothing changes.
type OrderDecision = Result<Vec<OrderEvent>, OrderError>;

impl PlacedOrder {
    pub(super) fn request_return(&self, requested: ReturnRequested) -> OrderDecision {
        if let Some(known) = self.returns.iter().find(|back| back.id == requested.return_id) {
            let same = (&known.lines, &known.reason) == (&requested.lines, &requested.reason);
            return if same { Ok(vec![]) } else { Err(OrderError::IdTaken { what: "return" }) };
        }
        self.check(OrderAction::RequestReturn)?;
        // The refund of a return has the return's id.
        if self.refund_demand(&RefundId::of_return(&requested.return_id)).is_some() {
            return Err(OrderError::IdTaken { what: "refund" });
        }
        self.check_lines(&requested.lines, |line_number, _| self.shipped(line_number) - self.returned(line_number))?;
        Ok(vec![OrderEvent::ReturnRequested(requested)])
    }

    pub(super) fn receive_return(&self, ReceiveReturn { return_id, receipt }: ReceiveReturn) -> OrderDecision {
        let Some(back) = self.returns.iter().find(|back| back.id == return_id) else {
            self.check(OrderAction::ReceiveReturn)?;
            return Err(OrderError::NoSuchReturn(return_id));
        };
        match &receipt {
            None if back.received => return Ok(vec![]),
            None => {}
            Some(NewReceipt { receipt_id, lines, location }) => {
                if let Some(known) = back.receipts.iter().find(|known| known.id == *receipt_id) {
                    let same = lines.as_ref().is_none_or(|lines| *lines == known.lines)
                        && (location.is_none() || *location == known.location);
                    return if same { Ok(vec![]) } else { Err(OrderError::IdTaken { what: "receipt" }) };
                }
            }
        }
        self.check(OrderAction::ReceiveReturn)?;
        check_open(back)?;
        let rest = || back.not_arrived().into_iter().map(ReceivedLine::from).collect();
        let (receipt_id, lines, location) = match receipt {
            None if back.receipts.is_empty() => (None, vec![], None),
            None => (Some(ReceiptId::of_the_rest()), rest(), None),
            Some(NewReceipt { receipt_id, lines: None, location }) => (Some(receipt_id), rest(), location),
            Some(NewReceipt { receipt_id, lines: Some(lines), location }) => {
                self.check_received(back, &lines)?;
                (Some(receipt_id), lines, location)
            }
        };
        // The first refund of a return has the return's id.
        let further = receipt_id.as_ref().filter(|_| !back.receipts.is_empty());
        let refund_id = further.map(|receipt_id| RefundId::of_receipt(&return_id, receipt_id));
        if refund_id.as_ref().is_some_and(|refund_id| self.refund_demand(refund_id).is_some()) {
            return Err(OrderError::IdTaken { what: "refund" });
        }
        let units = if receipt_id.is_none() { back.lines.clone() } else { units_of(&lines) };
        let refund_minor = self.refund_for_goods_back(&units);
        let received = ReturnReceived { return_id, refund_minor, receipt_id, lines, refund_id, location };
        Ok(vec![OrderEvent::ReturnReceived(received)])
    }

    /// How many units of each SKU were to be put back into its stock after they had come back.
    pub(super) fn restocked_by_sku(&self) -> BTreeMap<&Sku, u32> {
        let receipts = self.returns.iter().flat_map(|back| &back.receipts);
        self.units_to_restock(receipts.flat_map(|receipt| &receipt.lines))
    }

    /// How many units of each SKU are to be put back, of goods that came back.
    pub(super) fn units_to_restock<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a ReceivedLine>,
    ) -> BTreeMap<&Sku, u32> {
        let mut by_sku: BTreeMap<&Sku, u32> = BTreeMap::new();
        for it in lines.into_iter().filter(|it| it.restock) {
            if let Some(line) = self.line(it.line_number) {
                let units = by_sku.entry(&line.sku).or_default();
                *units = units.saturating_add(it.quantity);
            }
        }
        by_sku
    }

    /// What goes back to the customer for goods that come back now: what was paid for them, or will be, as far as it was not refunded.
    fn refund_for_goods_back(&self, units: &[LineQuantity]) -> i64 {
        self.worth_of_goods_back(units).min(self.refundable_minor(true)).max(0)
    }

    /// Refuses lines that the return does not have, or of which fewer are still to come. The units of a line can be in several
    /// conditions.
    fn check_received(&self, back: &Return, lines: &[ReceivedLine]) -> Result<(), OrderError> {
        let mut named = HashSet::with_capacity(lines.len());
        for &ReceivedLine { line_number, condition, restock, .. } in lines {
            if self.line(line_number).is_none() {
                return Err(OrderError::NoSuchLine { line_number });
            }
            if !named.insert((line_number, condition, restock)) {
                return Err(OrderError::LineTwice { line_number });
            }
        }
        let left = back.not_arrived();
        for LineQuantity { line_number, quantity } in units_of(lines) {
            let left = left.iter().find(|it| it.line_number == line_number).map_or(0, |it| it.quantity);
            if quantity > left {
                let unit = self.line(line_number).and_then(|line| line.unit);
                return Err(OrderError::TooMany { line_number, left: Quantity::of(left, unit) });
            }
        }
        Ok(())
    }

    pub(super) fn cancel_return(&self, cancelled: ReturnCancelled) -> OrderDecision {
        let Some(back) = self.returns.iter().find(|back| back.id == cancelled.return_id) else {
            self.check(OrderAction::CancelReturn)?;
            return Err(OrderError::NoSuchReturn(cancelled.return_id));
        };
        // The first reason stands.
        if back.cancelled {
            return Ok(vec![]);
        }
        self.check(OrderAction::CancelReturn)?;
        check_open(back)?;
        Ok(vec![OrderEvent::ReturnCancelled(cancelled)])
    }

    pub(super) fn apply_return_requested(&mut self, requested: ReturnRequested) {
        count(&mut self.counts, &requested.lines, |it| &mut it.returned);
        self.returns.push(Return {
            id: requested.return_id,
            lines: requested.lines,
            reason: requested.reason,
            received: false,
            receipts: vec![],
            cancelled: false,
            cancellation_reason: None,
        });
    }

    pub(super) fn apply_return_received(&mut self, received: ReturnReceived) {
        let refund_id = received.refund();
        let ReturnReceived { return_id, refund_minor, receipt_id, lines, refund_id: _, location } = received;
        if let Some(back) = self.returns.iter_mut().find(|back| back.is_open() && back.id == return_id) {
            let arrived = match receipt_id {
                None => back.lines.clone(),
                Some(id) => {
                    let arrived = units_of(&lines);
                    back.receipts.push(ReturnReceipt { id, lines, location });
                    arrived
                }
            };
            back.received = back.receipts.is_empty() || back.not_arrived().is_empty();
            count(&mut self.counts, &arrived, |it| &mut it.received);
        }
        if refund_minor > 0 {
            self.promise_refund(&refund_id, refund_minor, None, true);
        }
    }

    pub(super) fn apply_return_cancelled(&mut self, cancelled: ReturnCancelled) {
        let is_it = |back: &&mut Return| back.is_open() && back.id == cancelled.return_id;
        if let Some(back) = self.returns.iter_mut().find(is_it) {
            uncount(&mut self.counts, &back.not_arrived(), |it| &mut it.returned);
            (back.cancelled, back.cancellation_reason) = (true, cancelled.reason);
        }
    }
}

fn check_open(back: &Return) -> Result<(), OrderError> {
    if back.is_open() {
        return Ok(());
    }
    let was = if back.cancelled { "cancelled" } else { "received" };
    Err(OrderError::ReturnIsClosed { return_id: back.id.clone(), was })
}

impl From<LineQuantity> for ReceivedLine {
    /// Nobody said in which condition they are.
    fn from(LineQuantity { line_number, quantity }: LineQuantity) -> Self {
        Self { line_number, quantity, condition: None, restock: false }
    }
}
