//! What auditors see of what people did, and of what follows the log.

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

pub(super) const SUBSCRIPTIONS: Content = Object(&[("items", OPERATIONS, Object(SUBSCRIPTION))]);

#[rustfmt::skip]
const SUBSCRIPTION: &[FieldRow] = &[
    ("name",              OPERATIONS,          Value),
    ("position",          OPERATIONS,          Value),
    ("head",              OPERATIONS,          Value),
    ("lagEvents",         OPERATIONS,          Value),
    ("lagSeconds",        OPERATIONS,          Value),
    ("parked",            OPERATIONS,          Value),
    ("stops",             OPERATIONS,          Object(STOP)),
    ("owners",            OPERATIONS,          Object(OWNER)),
];

/// An error may repeat what is in an event.
#[rustfmt::skip]
const STOP: &[FieldRow] = &[
    ("partition",         OPERATIONS,          Value),
    ("waitsFrom",         OPERATIONS,          Value),
    ("position",          OPERATIONS,          Value),
    ("streamId",          OPERATIONS,          Value),
    ("eventType",         OPERATIONS,          Value),
    ("eventVersion",      OPERATIONS,          Value),
    ("error",             [NO,    NO,    MASK], Value),
    ("since",             OPERATIONS,          Value),
    ("triedAt",           OPERATIONS,          Value),
];

#[rustfmt::skip]
const OWNER: &[FieldRow] = &[
    ("owner",             OPERATIONS,          Value),
    ("alive",             OPERATIONS,          Value),
    ("rebuild",           OPERATIONS,          Value),
    ("partitions",        OPERATIONS,          Value),
];
