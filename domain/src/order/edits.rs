//! Edits: what an order becomes by one, what it would cost or give back, and how far it is.
//!
//! An edit never changes what was shipped, nor what that costs. So it never changes what was captured. `preview` checks that, and says
//! what an edit would do.

mod outcome;
mod preview;
mod units;

use serde::{Deserialize, Serialize};

pub use self::outcome::{EditOutcome, EditedQuantity};
pub use self::preview::EditPreview;
use super::command::{MeansOfPayment, RequestEdit};
use super::error::OrderError;
use super::event::{
    EditRejectionReason, LineChange, OrderChanges, OrderCreated, OrderEditRejected, OrderEditRequested, OrderEdited,
    OrderEvent, OrderLine, SkuQuantity,
};
use super::payments::Payment;
use super::state::PlacedOrder;
use super::transitions::{OrderAction, OrderStage};
use crate::ids::EditId;

/// An edit of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderEdit {
    /// The id of the edit.
    pub id: EditId,
    /// How far it is.
    pub status: OrderEditStatus,
    /// The payment that it adds. `None`: the order's payments are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
    /// What was asked for. Not stored: only commands and sagas need it, and they fold orders from their events.
    #[serde(skip)]
    pub requested: Option<Box<OrderEditRequested>>,
    /// What it changed, once it is applied. Not stored: only sagas need it, and they fold orders from their events.
    #[serde(skip)]
    pub outcome: Option<Box<EditOutcome>>,
    /// Whether the customer gets a mail about what it changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mails_customer: bool,
    /// About how many bytes it takes in the log.
    pub bytes: u64,
}

/// How far an edit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderEditStatus {
    /// Its units and its money are not there yet.
    Requested,
    /// The order was changed.
    Applied,
    /// The order was not changed.
    Rejected,
}

/// Mostly one event, or none if nothing changes.
type OrderDecision = Result<Vec<OrderEvent>, OrderError>;

impl OrderCreated {
    /// Makes the changes. They are known to fit.
    pub(super) fn apply_changes(&mut self, changes: OrderChanges, total_minor: i64) {
        let OrderChanges { lines, added_lines, shipping, discounts, billing_address, shipping_address } = changes;
        for change in lines {
            let at = usize::try_from(change.line_number).ok().and_then(|number| number.checked_sub(1));
            if let Some(line) = at.and_then(|at| self.lines.get_mut(at)) {
                line.apply_change(change);
            }
        }
        self.lines.extend(added_lines);
        self.shipping = shipping.or(self.shipping.take());
        self.billing_address = billing_address.or(self.billing_address.take());
        self.shipping_address = shipping_address.or(self.shipping_address.take());
        if let Some(discounts) = discounts {
            self.discounts = discounts;
        }
        self.total_minor = total_minor;
    }
}

impl OrderLine {
    /// Makes a change. A line without units has neither discounts nor taxes.
    pub(super) fn apply_change(&mut self, change: LineChange) {
        let LineChange { line_number: _, quantity, unit_price_minor, unit_price_ten_thousandths, discounts, taxes } =
            change;
        self.quantity = quantity.unwrap_or(self.quantity);
        if let Some(minor) = unit_price_minor {
            (self.unit_price_minor, self.unit_price_ten_thousandths) = (minor, unit_price_ten_thousandths);
        }
        if let Some(discounts) = discounts {
            self.discounts = discounts;
        }
        if let Some(taxes) = taxes {
            self.taxes = taxes;
        }
        if self.quantity == 0 {
            self.discounts.clear();
            self.taxes.clear();
        }
    }
}

impl PlacedOrder {
    /// The edit that is in work. There is one at most.
    pub fn open_edit(&self) -> Option<&OrderEdit> {
        self.edits.iter().find(|edit| edit.status == OrderEditStatus::Requested)
    }

    /// Whether an edit is in work.
    pub fn is_editing(&self) -> bool {
        matches!(self.stage(), OrderStage::Editing | OrderStage::PartiallyShippedEditing)
    }

    /// Whether the order was ever changed by an edit.
    pub(super) fn is_edited(&self) -> bool {
        self.edits.iter().any(|edit| edit.status == OrderEditStatus::Applied)
    }

    /// The edits that the customer is told of, in the order in which they were made.
    pub fn edits_to_mail(&self) -> impl Iterator<Item = &OrderEdit> {
        self.edits.iter().filter(|edit| edit.mails_customer)
    }

    /// What was posted, before any edit. Only a fold of all events has it.
    pub fn as_posted(&self) -> &OrderCreated {
        self.posted.as_deref().unwrap_or(&self.content)
    }

    pub(super) fn request_edit(&self, command: &RequestEdit) -> OrderDecision {
        if let Some(known) = self.edits.iter().find(|edit| edit.id == command.edit_id) {
            let is_same = known.requested.as_ref().is_some_and(|it| command.is_the_same(it));
            return if is_same { Ok(vec![]) } else { Err(OrderError::IdTaken { what: "edit" }) };
        }
        self.check(OrderAction::Edit)?;
        let EditPreview { totals, payment, .. } = self.preview_edit(command)?;
        Ok(vec![OrderEvent::OrderEditRequested(OrderEditRequested {
            edit_id: command.edit_id.clone(),
            changes: command.changes.clone(),
            total_minor: totals.total_minor,
            payment,
            reason: command.reason.clone(),
        })])
    }

    /// The order is as the edit wants it, once its units are reserved in the same append.
    pub(super) fn record_edited(&self, edit_id: &EditId, units: Vec<SkuQuantity>) -> OrderDecision {
        let Some(edit) = self.edits.iter().find(|edit| edit.id == *edit_id) else { return Err(OrderError::Stale) };
        match (edit.status, &edit.requested) {
            (OrderEditStatus::Applied, _) => Ok(vec![]),
            (OrderEditStatus::Requested, Some(requested)) if self.undoing.is_none() && self.is_paid_for() => {
                Ok(vec![OrderEvent::OrderEdited(OrderEdited {
                    edit_id: edit_id.clone(),
                    changes: requested.changes.clone(),
                    total_minor: requested.total_minor,
                    units_before: self.units_before(&units),
                    units,
                    mail_customer: true,
                })])
            }
            (OrderEditStatus::Requested | OrderEditStatus::Rejected, _) => Err(OrderError::Stale),
        }
    }

    pub(super) fn record_edit_rejected(&self, rejected: OrderEditRejected) -> OrderDecision {
        match self.edits.iter().find(|edit| edit.id == rejected.edit_id).map(|edit| edit.status) {
            Some(OrderEditStatus::Requested) => Ok(vec![OrderEvent::OrderEditRejected(rejected)]),
            Some(OrderEditStatus::Rejected) => Ok(vec![]),
            Some(OrderEditStatus::Applied) | None => Err(OrderError::Stale),
        }
    }

    /// The end of the edit that is in work, if there is one.
    pub(super) fn rejection_of_edit(&self, reason: EditRejectionReason) -> Option<OrderEvent> {
        let edit_id = self.open_edit()?.id.clone();
        Some(OrderEvent::OrderEditRejected(OrderEditRejected { edit_id, reason }))
    }

    pub(super) fn apply_edit_requested(&mut self, requested: OrderEditRequested) {
        if let Some(added) = &requested.payment {
            // From here on an amount is not what was posted: the total changes, and each payment keeps its own.
            self.payments.iter_mut().for_each(|payment| payment.stated_minor = Some(payment.amount_minor));
            self.payments.push(Payment::added(added));
        }
        self.edits.push(OrderEdit {
            id: requested.edit_id.clone(),
            status: OrderEditStatus::Requested,
            payment_number: requested.payment.as_ref().map(|payment| payment.payment_number),
            bytes: requested.bytes(),
            requested: Some(Box::new(requested)),
            outcome: None,
            mails_customer: false,
        });
    }

    pub(super) fn apply_edited(&mut self, edited: OrderEdited) {
        let Some(at) = self.edits.iter().position(|edit| edit.id == edited.edit_id) else { return };
        let before = self.before_edit();
        if self.posted.is_none() {
            self.posted = Some(Box::new(self.content.clone()));
        }
        self.payments.iter_mut().for_each(|payment| payment.stated_minor = Some(payment.amount_minor));
        self.allocate_at_default(&edited.units_before);
        self.content.apply_changes(edited.changes, edited.total_minor);
        self.counts.resize_with(self.content.lines.len(), Default::default);
        self.count_reserved(&edited.units);
        let outcome = self.outcome_of_edit(before);
        if let Some(edit) = self.edits.get_mut(at) {
            (edit.status, edit.mails_customer) = (OrderEditStatus::Applied, edited.mail_customer);
            edit.outcome = Some(Box::new(outcome));
        }
    }

    pub(super) fn apply_edit_rejected(&mut self, rejected: &OrderEditRejected) {
        let Some(edit) = self.edits.iter_mut().find(|edit| edit.id == rejected.edit_id) else { return };
        edit.status = OrderEditStatus::Rejected;
        let number = edit.payment_number;
        let added = self.payments.iter_mut().find(|payment| Some(payment.number) == number);
        added.into_iter().for_each(|payment| payment.abandoned = true);
    }
}

impl RequestEdit {
    /// Whether it asks for what was asked for before.
    fn is_the_same(&self, requested: &OrderEditRequested) -> bool {
        let is_paid_so = |means: &MeansOfPayment| {
            requested
                .payment
                .as_ref()
                .is_none_or(|it| it.method.as_ref() == Some(&means.method) && it.token == means.token)
        };
        (&self.changes, &self.reason) == (&requested.changes, &requested.reason)
            && self.payment.as_ref().is_none_or(is_paid_so)
    }
}

impl OrderEditRequested {
    /// About how many bytes it takes in the log, where the event that makes the changes says them again.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |json: serde_json::Result<String>| json.map_or(0, |text| text.len() as u64);
        bytes(serde_json::to_string(self)) + bytes(serde_json::to_string(&self.changes))
    }
}
