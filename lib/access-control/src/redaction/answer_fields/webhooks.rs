//! What auditors see of webhooks: nobody else than operators and they asks for them.

use super::Content::{Object, Value};
use super::{ByReader, Content, FieldRow, MASK, NO, OPERATIONS};

const MASKED: ByReader = [NO, NO, MASK];

pub(super) const ENDPOINTS: Content = Object(&[("items", OPERATIONS, ENDPOINT)]);
pub(super) const ENDPOINT: Content = Object(ENDPOINT_FIELDS);
pub(super) const DELIVERIES: Content =
    Object(&[("items", OPERATIONS, Object(DELIVERY)), ("cursor", OPERATIONS, Value)]);
pub(super) const REPLAYS: Content = Object(&[("items", OPERATIONS, Object(REPLAY))]);

#[rustfmt::skip]
const ENDPOINT_FIELDS: &[FieldRow] = &[
    ("id",                  OPERATIONS,          Value),
    // Some receivers take a secret in the path.
    ("url",                 MASKED,              Value),
    ("description",         MASKED,              Value),
    ("eventTypes",          OPERATIONS,          Value),
    ("role",                OPERATIONS,          Value),
    ("enabled",             OPERATIONS,          Value),
    ("createdAt",           OPERATIONS,          Value),
    ("fromPosition",        OPERATIONS,          Value),
    ("disabledAt",          OPERATIONS,          Value),
    ("disabledBecause",     OPERATIONS,          Value),
    ("missedFrom",          OPERATIONS,          Value),
    ("failingSince",        OPERATIONS,          Value),
    ("failures",            OPERATIONS,          Value),
    ("notBefore",           OPERATIONS,          Value),
    ("previousSecretUntil", OPERATIONS,          Value),
    ("secret",              [NO,    NO,    NO],  Value),
];

#[rustfmt::skip]
const DELIVERY: &[FieldRow] = &[
    ("id",                  OPERATIONS,          Value),
    ("position",            OPERATIONS,          Value),
    ("orderId",             OPERATIONS,          Value),
    ("eventId",             OPERATIONS,          Value),
    ("type",                OPERATIONS,          Value),
    ("state",               OPERATIONS,          Value),
    ("attempts",            OPERATIONS,          Value),
    ("createdAt",           OPERATIONS,          Value),
    ("attemptedAt",         OPERATIONS,          Value),
    ("nextAttemptAt",       OPERATIONS,          Value),
    ("endedAt",             OPERATIONS,          Value),
    ("durationMs",          OPERATIONS,          Value),
    ("status",              OPERATIONS,          Value),
    // What a receiver says may be about a person.
    ("answer",              MASKED,              Value),
    ("error",               MASKED,              Value),
];

#[rustfmt::skip]
const REPLAY: &[FieldRow] = &[
    ("id",                  OPERATIONS,          Value),
    ("from",                OPERATIONS,          Value),
    ("to",                  OPERATIONS,          Value),
    ("reached",             OPERATIONS,          Value),
    ("deliveries",          OPERATIONS,          Value),
    ("createdAt",           OPERATIONS,          Value),
    ("endedAt",             OPERATIONS,          Value),
];
