//! What is seen of the edits of an order.

use super::Content::{Object, Value};
use super::{ALL, AMOUNT, FieldRow};
use crate::redaction::FieldVisibility::{LeftOut as NO, Masked as MASK, Shown as SHOW};

/// Why an edit was rejected may be in the words of a provider or of operators.
#[rustfmt::skip]
pub(super) const EDIT: &[FieldRow] = &[
    ("editId",            ALL,                 Value),
    ("status",            ALL,                 Value),
    ("total",             ALL,                 Object(AMOUNT)),
    ("paymentNumber",     [SHOW,  NO,    SHOW], Value),
    ("reason",            [SHOW,  SHOW,  MASK], Value),
    ("requestedAt",       ALL,                 Value),
    ("endedAt",           ALL,                 Value),
    ("rejection",         [NO,    NO,    MASK], Value),
];
