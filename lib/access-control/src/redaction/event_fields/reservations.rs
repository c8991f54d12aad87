//! What is seen of the events of reservations, and of SKUs that are low.

use super::FieldRow;
use crate::redaction::FieldVisibility::{LeftOut as NO, Shown as SHOW};

#[rustfmt::skip]
pub(super) const MADE: &[FieldRow] = &[
    ("orderId",                     [NO,    SHOW,  SHOW]),
    ("quantity",                    [NO,    SHOW,  SHOW]),
    ("expiresAt",                   [NO,    SHOW,  SHOW]),
    ("location",                    [NO,    SHOW,  SHOW]),
    ("unit",                        [NO,    SHOW,  SHOW]),
];

#[rustfmt::skip]
pub(super) const INCREASED: &[FieldRow] = &[
    ("orderId",                     [NO,    SHOW,  SHOW]),
    ("quantity",                    [NO,    SHOW,  SHOW]),
    ("shipped",                     [NO,    SHOW,  SHOW]),
    ("expiresAt",                   [NO,    SHOW,  SHOW]),
    ("location",                    [NO,    SHOW,  SHOW]),
];

/// Units that were released, or have shipped.
#[rustfmt::skip]
pub(super) const MOVED: &[FieldRow] = &[
    ("orderId",                     [NO,    SHOW,  SHOW]),
    ("quantity",                    [NO,    SHOW,  SHOW]),
    ("location",                    [NO,    SHOW,  SHOW]),
];

/// Below how many units a SKU is low.
#[rustfmt::skip]
pub(super) const THRESHOLD: &[FieldRow] = &[
    ("threshold",                   [NO,    SHOW,  SHOW]),
    ("unit",                        [NO,    SHOW,  SHOW]),
];

/// How many units are available, beside the threshold.
#[rustfmt::skip]
pub(super) const LEVEL: &[FieldRow] = &[
    ("available",                   [NO,    SHOW,  SHOW]),
    ("threshold",                   [NO,    SHOW,  SHOW]),
    ("unit",                        [NO,    SHOW,  SHOW]),
];
