//! What is seen of invoices and credit notes. They are nothing for warehouse.

use super::Content::{Object, Value};
use super::{ADDRESS, AMOUNT, FieldRow};
use crate::redaction::FieldVisibility::{LeftOut as NO, Masked as MASK, Shown as SHOW};

#[rustfmt::skip]
pub(super) const SUMMARY: &[FieldRow] = &[
    ("documentId",         [SHOW,  NO,    SHOW], Value),
    ("kind",               [SHOW,  NO,    SHOW], Value),
    ("number",             [SHOW,  NO,    SHOW], Value),
    ("issuedOn",           [SHOW,  NO,    SHOW], Value),
    ("shipmentId",         [SHOW,  NO,    SHOW], Value),
    ("refundId",           [SHOW,  NO,    SHOW], Value),
    ("total",              [SHOW,  NO,    SHOW], Object(AMOUNT)),
];

#[rustfmt::skip]
pub(super) const DOCUMENT: &[FieldRow] = &[
    ("documentId",         [SHOW,  NO,    SHOW], Value),
    ("kind",               [SHOW,  NO,    SHOW], Value),
    ("number",             [SHOW,  NO,    SHOW], Value),
    ("issuedOn",           [SHOW,  NO,    SHOW], Value),
    ("shipmentId",         [SHOW,  NO,    SHOW], Value),
    ("refundId",           [SHOW,  NO,    SHOW], Value),
    ("total",              [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("orderId",            [SHOW,  NO,    SHOW], Value),
    ("orderNumber",        [SHOW,  NO,    SHOW], Value),
    ("suppliedOn",         [SHOW,  NO,    SHOW], Value),
    ("invoices",           [SHOW,  NO,    SHOW], Value),
    ("reason",             [SHOW,  NO,    MASK], Value),
    ("seller",             [SHOW,  NO,    SHOW], Object(SELLER)),
    ("buyer",              [SHOW,  NO,    SHOW], Object(BUYER)),
    ("locale",             [SHOW,  NO,    SHOW], Value),
    ("lines",              [SHOW,  NO,    SHOW], Object(LINE)),
    ("taxes",              [SHOW,  NO,    SHOW], Object(TAX)),
    ("net",                [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("tax",                [SHOW,  NO,    SHOW], Object(AMOUNT)),
];

#[rustfmt::skip]
const SELLER: &[FieldRow] = &[
    ("name",               [SHOW,  NO,    SHOW], Value),
    ("address",            [SHOW,  NO,    SHOW], Value),
    ("taxId",              [SHOW,  NO,    SHOW], Value),
];

#[rustfmt::skip]
const BUYER: &[FieldRow] = &[
    ("name",               [SHOW,  NO,    MASK], Value),
    ("email",              [SHOW,  NO,    MASK], Value),
    ("taxId",              [SHOW,  NO,    MASK], Value),
    ("address",            [SHOW,  NO,    MASK], Object(ADDRESS)),
];

#[rustfmt::skip]
const LINE: &[FieldRow] = &[
    ("sku",                [SHOW,  NO,    SHOW], Value),
    ("title",              [SHOW,  NO,    SHOW], Value),
    ("variant",            [SHOW,  NO,    SHOW], Value),
    ("quantity",           [SHOW,  NO,    SHOW], Value),
    ("unit",               [SHOW,  NO,    SHOW], Value),
    ("unitPrice",          [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("discount",           [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("taxes",              [SHOW,  NO,    SHOW], Object(TAX)),
    ("net",                [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("total",              [SHOW,  NO,    SHOW], Object(AMOUNT)),
];

#[rustfmt::skip]
const TAX: &[FieldRow] = &[
    ("name",               [SHOW,  NO,    SHOW], Value),
    ("rate",               [SHOW,  NO,    SHOW], Value),
    ("net",                [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("amount",             [SHOW,  NO,    SHOW], Object(AMOUNT)),
];
