//! What auditors see of sagas.

use super::Content::{Object, Value};
use super::{FieldRow, MASK, NO, OPERATIONS};

#[rustfmt::skip]
pub(super) const SAGAS_OF_ORDER: &[FieldRow] = &[
    ("orderId",           OPERATIONS,          Value),
    ("state",             OPERATIONS,          Value),
    ("stage",             OPERATIONS,          Value),
    ("waitsFor",          OPERATIONS,          Value),
    ("sagas",             OPERATIONS,          Object(&[
        ("saga",          OPERATIONS,          Value),
        ("state",         OPERATIONS,          Value),
        ("steps",         OPERATIONS,          Object(SAGA_STEP)),
    ])),
    ("remedies",          OPERATIONS,          Object(&[
        ("step",          OPERATIONS,          Value),
        ("verbs",         OPERATIONS,          Value),
        ("inputs",        OPERATIONS,          Value),
        ("paymentNumber", OPERATIONS,          Value),
    ])),
];

#[rustfmt::skip]
const SAGA_STEP: &[FieldRow] = &[
    ("step",              OPERATIONS,          Value),
    ("kind",              OPERATIONS,          Value),
    ("state",             OPERATIONS,          Value),
    ("at",                OPERATIONS,          Value),
    ("attempts",          OPERATIONS,          Value),
    ("since",             OPERATIONS,          Value),
    ("nextTryAt",         OPERATIONS,          Value),
    ("lastError",         [NO,    NO,    MASK], Value),
    ("messages",          OPERATIONS,          Object(SAGA_EVENT)),
    ("undo",              OPERATIONS,          Object(SAGA_UNDO)),
];

#[rustfmt::skip]
const SAGA_UNDO: &[FieldRow] = &[
    ("step",              OPERATIONS,          Value),
    ("state",             OPERATIONS,          Value),
    ("at",                OPERATIONS,          Value),
    ("attempts",          OPERATIONS,          Value),
    ("since",             OPERATIONS,          Value),
    ("nextTryAt",         OPERATIONS,          Value),
    ("lastError",         [NO,    NO,    MASK], Value),
    ("messages",          OPERATIONS,          Object(SAGA_EVENT)),
];

#[rustfmt::skip]
const SAGA_EVENT: &[FieldRow] = &[
    ("version",           OPERATIONS,          Value),
    ("at",                OPERATIONS,          Value),
    ("event",             OPERATIONS,          Value),
    ("actor",             OPERATIONS,          Value),
    ("text",              [NO,    NO,    MASK], Value),
];

#[rustfmt::skip]
pub(super) const WAITING_SAGA: &[FieldRow] = &[
    ("saga",              OPERATIONS,          Value),
    ("orderId",           OPERATIONS,          Value),
    ("step",              OPERATIONS,          Value),
    ("state",             OPERATIONS,          Value),
    ("attempts",          OPERATIONS,          Value),
    ("since",             OPERATIONS,          Value),
    ("nextTryAt",         OPERATIONS,          Value),
    ("reservationEndsAt", OPERATIONS,          Value),
    ("lastError",         [NO,    NO,    MASK], Value),
];
