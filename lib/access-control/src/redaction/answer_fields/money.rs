//! What is seen of the payments and the refunds of an order.

use super::Content::{Object, Value};
use super::{AMOUNT, FieldRow};
use crate::redaction::FieldVisibility::{LeftOut as NO, Masked as MASK, Shown as SHOW};

#[rustfmt::skip]
pub(super) const REFUND: &[FieldRow] = &[
    ("refundId",          [SHOW,  NO,    SHOW], Value),
    ("amount",            [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("reason",            [SHOW,  NO,    MASK], Value),
    ("requestedAt",       [SHOW,  NO,    SHOW], Value),
    ("refundedAt",        [SHOW,  NO,    SHOW], Value),
    ("status",            [SHOW,  NO,    SHOW], Value),
    ("payments",          [SHOW,  NO,    SHOW], Object(REFUND_SHARE)),
];

#[rustfmt::skip]
const REFUND_SHARE: &[FieldRow] = &[
    ("paymentNumber",     [SHOW,  NO,    SHOW], Value),
    ("amount",            [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("status",            [SHOW,  NO,    SHOW], Value),
];

/// What was paid elsewhere is known to the customer by its reference. Tokens are in no answer.
#[rustfmt::skip]
pub(super) const PAYMENT: &[FieldRow] = &[
    ("paymentNumber",     [SHOW,  NO,    SHOW], Value),
    ("method",            [SHOW,  NO,    SHOW], Value),
    ("amount",            [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("reference",         [SHOW,  NO,    MASK], Value),
    ("paidAt",            [SHOW,  NO,    SHOW], Value),
    ("status",            [SHOW,  NO,    SHOW], Value),
    ("captured",          [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("refunded",          [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("manualRefund",      [SHOW,  NO,    SHOW], Object(AMOUNT)),
];
