//! What auditors see of what people did.

use super::Content::{Object, Value};
use super::{Content, FieldRow, NO, OPERATIONS};
use crate::redaction::FieldVisibility::Masked as MASK;

pub(super) const AUDIT: Content = Object(&[("items", OPERATIONS, Object(ENTRY)), ("cursor", OPERATIONS, Value)]);

/// Why is in the words of whoever did it.
#[rustfmt::skip]
const ENTRY: &[FieldRow] = &[
    ("actor",             OPERATIONS,          Value),
    ("recordedAt",        OPERATIONS,          Value),
    ("type",              OPERATIONS,          Value),
    ("verb",              OPERATIONS,          Value),
    ("step",              OPERATIONS,          Value),
    ("reason",            [NO,    NO,    MASK], Value),
    ("streamType",        OPERATIONS,          Value),
    ("streamId",          OPERATIONS,          Value),
    ("version",           OPERATIONS,          Value),
    ("position",          OPERATIONS,          Value),
    ("eventId",           OPERATIONS,          Value),
];
