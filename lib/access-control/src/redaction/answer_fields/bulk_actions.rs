//! What auditors see of bulk actions: nobody else than operators and they asks for them.

use super::Content::{Object, Value};
use super::{ByReader, Content, FieldRow, MASK, NO, OPERATIONS};

/// What people wrote, and errors, which may be about a person.
const MASKED: ByReader = [NO, NO, MASK];

pub(super) const PAGE: Content = Object(&[("items", OPERATIONS, Object(FIELDS)), ("cursor", OPERATIONS, Value)]);
pub(super) const BULK_ACTION: Content = Object(FIELDS);

#[rustfmt::skip]
const FIELDS: &[FieldRow] = &[
    ("id",                OPERATIONS,          Value),
    ("kind",              OPERATIONS,          Value),
    ("filter",            OPERATIONS,          Object(FILTER)),
    ("reason",            MASKED,              Value),
    ("actor",             OPERATIONS,          Value),
    ("rate",              OPERATIONS,          Value),
    ("state",             OPERATIONS,          Value),
    ("running",           OPERATIONS,          Value),
    ("matched",           OPERATIONS,          Value),
    ("done",              OPERATIONS,          Value),
    ("movedOn",           OPERATIONS,          Value),
    ("failed",            OPERATIONS,          Value),
    ("errors",            OPERATIONS,          Object(&[
        ("id",            OPERATIONS,          Value),
        ("error",         MASKED,              Value),
    ])),
    ("note",              MASKED,              Value),
    ("createdAt",         OPERATIONS,          Value),
    ("updatedAt",         OPERATIONS,          Value),
    ("endedAt",           OPERATIONS,          Value),
];

#[rustfmt::skip]
const FILTER: &[FieldRow] = &[
    ("step",              OPERATIONS,          Value),
    ("error",             MASKED,              Value),
    ("until",             OPERATIONS,          Value),
    ("orderIds",          OPERATIONS,          Value),
    ("queue",             OPERATIONS,          Value),
    ("type",              OPERATIONS,          Value),
    ("ids",               OPERATIONS,          Value),
    ("subscription",      OPERATIONS,          Value),
    ("eventType",         OPERATIONS,          Value),
    ("streamIds",         OPERATIONS,          Value),
];
