//! What an edit changed of an order, for those who are told of it.

use crate::order::payments::{AuthorizationState, Payment};
use crate::order::state::PlacedOrder;

/// What an edit changed of an order. Amounts are minor units of the order's currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditOutcome {
    /// What the order came to before.
    pub total_before_minor: i64,
    /// What it came to after, until the next edit.
    pub total_after_minor: i64,
    /// The lines of which there are more or less now, by their numbers.
    pub quantities: Vec<EditedQuantity>,
    /// How much less will be captured of what the provider holds. It is let go of once all is shipped.
    pub released_minor: i64,
    /// How much less will be taken of what was paid elsewhere. A person gives it back once all is shipped.
    pub refunded_minor: i64,
}

/// How many units there were of a line before an edit, and how many there are after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditedQuantity {
    /// The line, from 1.
    pub line_number: u32,
    /// 0: the edit added the line.
    pub before: u32,
    /// 0: the edit removed the line.
    pub after: u32,
}

/// What is compared with the order after an edit.
pub(super) struct BeforeEdit {
    total_minor: i64,
    owed_minor: i64,
    quantities: Vec<u32>,
}

impl PlacedOrder {
    pub(super) fn before_edit(&self) -> BeforeEdit {
        BeforeEdit {
            total_minor: self.content.total_minor,
            owed_minor: self.owed_minor(),
            quantities: self.content.lines.iter().map(|line| line.quantity).collect(),
        }
    }

    /// What the edit changed that was just made.
    pub(super) fn outcome_of_edit(&self, before: BeforeEdit) -> EditOutcome {
        let BeforeEdit { total_minor, owed_minor, quantities } = before;
        let quantities = quantities.into_iter().chain(std::iter::repeat(0));
        let compared = self.numbered_lines().zip(quantities).map(|((line_number, line), before)| EditedQuantity {
            line_number,
            before,
            after: line.quantity,
        });
        let (released_minor, refunded_minor) = self.less_to_pay(owed_minor, self.owed_minor());
        EditOutcome {
            total_before_minor: total_minor,
            total_after_minor: self.content.total_minor,
            quantities: compared.filter(|it| it.before != it.after).collect(),
            released_minor,
            refunded_minor,
        }
    }

    /// What the customer owes for all that was not cancelled.
    pub(super) fn owed_minor(&self) -> i64 {
        self.content.total_minor - self.cancelled_minor()
    }

    /// How much less is taken of what the provider holds, and how much less of what was paid elsewhere, if less is owed.
    pub(super) fn less_to_pay(&self, owed_before: i64, owed: i64) -> (i64, i64) {
        let less = |is_counted: fn(&Payment) -> bool| -> i64 {
            let of = |payment: &Payment| {
                let taken = |owed| self.share_of_owed_minor(payment.number, owed);
                taken(owed_before) - taken(owed)
            };
            self.counted_payments().filter(|payment| is_counted(payment)).map(of).sum::<i64>().max(0)
        };
        let is_held = |payment: &Payment| matches!(payment.state, AuthorizationState::Authorized { .. });
        (less(is_held), less(Payment::is_paid_elsewhere))
    }
}
