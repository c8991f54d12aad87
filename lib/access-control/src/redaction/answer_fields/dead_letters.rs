//! What auditors see of dead letters: nobody else than operators and they asks for them.

use super::Content::{Object, Value};
use super::{ByReader, Content, FieldRow, MASK, NO, OPERATIONS};

/// What whoever sent the message wrote, and errors that quote it.
const MASKED: ByReader = [NO, NO, MASK];

#[rustfmt::skip]
pub(super) const LIST: Content = Object(&[
    ("at",                OPERATIONS,          Value),
    ("queues",            OPERATIONS,          Object(&[
        ("queue",         OPERATIONS,          Value),
        ("read",          OPERATIONS,          Value),
        ("unseen",        OPERATIONS,          Value),
    ])),
    ("errors",            OPERATIONS,          Object(&[
        ("queue",         OPERATIONS,          Value),
        ("error",         MASKED,              Value),
        ("count",         OPERATIONS,          Value),
    ])),
    ("items",             OPERATIONS,          Object(LETTER)),
]);
pub(super) const DEAD_LETTER: Content = Object(LETTER);

#[rustfmt::skip]
const LETTER: &[FieldRow] = &[
    ("id",                OPERATIONS,          Value),
    ("originalId",        OPERATIONS,          Value),
    ("queue",             OPERATIONS,          Value),
    // A message that is not genuine may say anything there.
    ("orderId",           MASKED,              Value),
    ("type",              MASKED,              Value),
    ("error",             MASKED,              Value),
    ("since",             OPERATIONS,          Value),
    ("attempt",           OPERATIONS,          Value),
    ("redriven",          OPERATIONS,          Value),
    ("groupId",           MASKED,              Value),
    ("attributes",        MASKED,              Value),
    ("body",              MASKED,              Value),
    ("forged",            MASKED,              Value),
    ("broken",            OPERATIONS,          Object(&[
        ("pointer",       MASKED,              Value),
        ("line",          OPERATIONS,          Value),
        ("column",        OPERATIONS,          Value),
        ("message",       MASKED,              Value),
    ])),
];
