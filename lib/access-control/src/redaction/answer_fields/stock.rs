//! Where the units of an order are.

use super::Content::Value;
use super::{ALL, FieldRow, NO, SHOW};

#[rustfmt::skip]
pub(super) const ALLOCATION: &[FieldRow] = &[
    ("sku",               [NO,    SHOW,  SHOW], Value),
    ("location",          [NO,    SHOW,  SHOW], Value),
    ("quantity",          [NO,    SHOW,  SHOW], Value),
    ("shipped",           [NO,    SHOW,  SHOW], Value),
];

#[rustfmt::skip]
pub(super) const SHIPPED_UNITS: &[FieldRow] = &[
    ("sku",               [NO,    SHOW,  SHOW], Value),
    ("location",          [NO,    SHOW,  SHOW], Value),
    ("quantity",          [NO,    SHOW,  SHOW], Value),
];

#[rustfmt::skip]
pub(super) const BACKORDER: &[FieldRow] = &[
    ("sku",               ALL,                 Value),
    ("quantity",          ALL,                 Value),
    ("availableAt",       ALL,                 Value),
    ("location",          [NO,    SHOW,  SHOW], Value),
];
