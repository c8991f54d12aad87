//! What auditors see of rebuilds of read models.

use super::Content::{ByName, Object, Value};
use super::{FieldRow, NO, OPERATIONS};

#[rustfmt::skip]
pub(super) const REPLAY: &[FieldRow] = &[
    ("id",                OPERATIONS,          Value),
    ("projections",       OPERATIONS,          Value),
    ("compare",           OPERATIONS,          Value),
    ("phase",             OPERATIONS,          Value),
    ("running",           OPERATIONS,          Value),
    ("events",            OPERATIONS,          Value),
    ("total",             OPERATIONS,          Value),
    ("position",          OPERATIONS,          Value),
    ("eventsPerSecond",   OPERATIONS,          Value),
    ("secondsLeft",       OPERATIONS,          Value),
    ("swapped",           OPERATIONS,          Value),
    ("comparison",        OPERATIONS,          ByName(COMPARISON)),
    ("error",             OPERATIONS,          Value),
    ("beganAt",           OPERATIONS,          Value),
    ("updatedAt",         OPERATIONS,          Value),
];

/// The comparison of two generations of a read model. Its schema does not say what is in it.
#[rustfmt::skip]
const COMPARISON: &[FieldRow] = &[
    ("alike",             OPERATIONS,          Value),
    ("onlyInOld",         OPERATIONS,          Value),
    ("onlyInNew",         OPERATIONS,          Value),
    ("different",         OPERATIONS,          Value),
    ("onTheMove",         OPERATIONS,          Value),
    ("examples",          OPERATIONS,          Object(&[
        ("pk",            OPERATIONS,          Value),
        ("sk",            OPERATIONS,          Value),
        // Rows of the read model.
        ("old",           [NO,    NO,    NO],  Value),
        ("new",           [NO,    NO,    NO],  Value),
    ])),
];
