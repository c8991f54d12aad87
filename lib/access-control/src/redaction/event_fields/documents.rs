//! What is seen of invoices and credit notes. They are nothing for warehouse.

use super::FieldRow;
use crate::redaction::FieldVisibility::{LeftOut as NO, Masked as MASK, Shown as SHOW};

#[rustfmt::skip]
pub(super) const INVOICE_ISSUED: &[FieldRow] = &[
    ("documentId",                  [SHOW,  NO,    SHOW]),
    ("number",                      [SHOW,  NO,    SHOW]),
    ("series",                      [SHOW,  NO,    SHOW]),
    ("sequence",                    [SHOW,  NO,    SHOW]),
    ("issuedOn",                    [SHOW,  NO,    SHOW]),
    ("shipmentId",                  [SHOW,  NO,    SHOW]),
    ("totalMinor",                  [SHOW,  NO,    SHOW]),
];

#[rustfmt::skip]
pub(super) const CREDIT_NOTE_ISSUED: &[FieldRow] = &[
    ("documentId",                  [SHOW,  NO,    SHOW]),
    ("number",                      [SHOW,  NO,    SHOW]),
    ("series",                      [SHOW,  NO,    SHOW]),
    ("sequence",                    [SHOW,  NO,    SHOW]),
    ("issuedOn",                    [SHOW,  NO,    SHOW]),
    ("refundId",                    [SHOW,  NO,    SHOW]),
    ("totalMinor",                  [SHOW,  NO,    SHOW]),
];

#[rustfmt::skip]
pub(super) const DOCUMENT_ISSUED: &[FieldRow] = &[
    ("documentId",                   [SHOW,  NO,    SHOW]),
    ("kind",                         [SHOW,  NO,    SHOW]),
    ("series",                       [SHOW,  NO,    SHOW]),
    ("sequence",                     [SHOW,  NO,    SHOW]),
    ("number",                       [SHOW,  NO,    SHOW]),
    ("issuedOn",                     [SHOW,  NO,    SHOW]),
    ("suppliedOn",                   [SHOW,  NO,    SHOW]),
    ("orderId",                      [SHOW,  NO,    SHOW]),
    ("orderNumber",                  [SHOW,  NO,    SHOW]),
    ("shipmentId",                   [SHOW,  NO,    SHOW]),
    ("refundId",                     [SHOW,  NO,    SHOW]),
    ("invoices",                     [SHOW,  NO,    SHOW]),
    ("reason",                       [SHOW,  NO,    MASK]),
    ("seller",                       [SHOW,  NO,    SHOW]),
    ("seller.name",                  [SHOW,  NO,    SHOW]),
    ("seller.address",               [SHOW,  NO,    SHOW]),
    ("seller.taxId",                 [SHOW,  NO,    SHOW]),
    ("buyer",                        [SHOW,  NO,    SHOW]),
    ("buyer.name",                   [SHOW,  NO,    MASK]),
    ("buyer.email",                  [SHOW,  NO,    MASK]),
    ("buyer.taxId",                  [SHOW,  NO,    MASK]),
    ("buyer.address",                [SHOW,  NO,    SHOW]),
    ("buyer.address.name",           [SHOW,  NO,    MASK]),
    ("buyer.address.company",        [SHOW,  NO,    MASK]),
    ("buyer.address.line1",          [SHOW,  NO,    MASK]),
    ("buyer.address.line2",          [SHOW,  NO,    MASK]),
    ("buyer.address.postalCode",     [SHOW,  NO,    MASK]),
    ("buyer.address.city",           [SHOW,  NO,    MASK]),
    ("buyer.address.region",         [SHOW,  NO,    MASK]),
    ("buyer.address.phone",          [SHOW,  NO,    MASK]),
    ("buyer.address.country",        [SHOW,  NO,    SHOW]),
    ("currency",                     [SHOW,  NO,    SHOW]),
    ("lines",                        [SHOW,  NO,    SHOW]),
    ("lines.sku",                    [SHOW,  NO,    SHOW]),
    ("lines.title",                  [SHOW,  NO,    SHOW]),
    ("lines.variant",                [SHOW,  NO,    SHOW]),
    ("lines.quantity",               [SHOW,  NO,    SHOW]),
    ("lines.unit",                   [SHOW,  NO,    SHOW]),
    ("lines.taxes",                  [SHOW,  NO,    SHOW]),
    ("lines.taxes.name",             [SHOW,  NO,    SHOW]),
    ("lines.taxes.rate",             [SHOW,  NO,    SHOW]),
    ("lines.taxes.netMinor",         [SHOW,  NO,    SHOW]),
    ("lines.taxes.amountMinor",      [SHOW,  NO,    SHOW]),
    ("lines.netMinor",               [SHOW,  NO,    SHOW]),
    ("lines.totalMinor",             [SHOW,  NO,    SHOW]),
    ("taxes",                        [SHOW,  NO,    SHOW]),
    ("taxes.name",                   [SHOW,  NO,    SHOW]),
    ("taxes.rate",                   [SHOW,  NO,    SHOW]),
    ("taxes.netMinor",               [SHOW,  NO,    SHOW]),
    ("taxes.amountMinor",            [SHOW,  NO,    SHOW]),
    ("netMinor",                     [SHOW,  NO,    SHOW]),
    ("taxMinor",                     [SHOW,  NO,    SHOW]),
    ("totalMinor",                   [SHOW,  NO,    SHOW]),
];
