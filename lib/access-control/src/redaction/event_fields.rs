//! What is seen of each event by those who may not see all of it.
//!
//! What has no row here is left out for all of them: a new event, a new field, and what a later build wrote. A test asks for a row for
//! each field of each event.

mod documents;
mod edits;
mod reservations;

use super::FieldVisibility::{self, LeftOut as NO, Masked as MASK, Shown as SHOW, Whole as WHOLE};
use super::{ByReader, Redaction};

/// A field by its path below the event, and what customers, warehouse and auditors see of it.
type FieldRow = (&'static str, ByReader);

/// For customers: nothing of providers, of operators, or of how much there is in stock. For warehouse: nothing of payments. For
/// auditors: no customers and no words of people.
#[rustfmt::skip]
const EVENTS: &[(&str, &[FieldRow])] = &[
    //                                   customer warehouse auditor
    ("OrderCreated", &[
        ("customerId",                  [SHOW,  SHOW,  MASK]),
        ("customerEmail",               [SHOW,  SHOW,  MASK]),
        ("paymentToken",                [NO,    NO,    NO]),
        ("currency",                    [SHOW,  SHOW,  SHOW]),
        ("totalMinor",                  [SHOW,  SHOW,  SHOW]),
        ("lines",                       [SHOW,  SHOW,  SHOW]),
        ("lines.sku",                   [SHOW,  SHOW,  SHOW]),
        ("lines.title",                 [SHOW,  SHOW,  SHOW]),
        ("lines.quantity",              [SHOW,  SHOW,  SHOW]),
        ("lines.unitPriceMinor",        [SHOW,  SHOW,  SHOW]),
        ("lines.unit",                  [SHOW,  SHOW,  SHOW]),
        ("lines.unitPriceTenThousandths", [SHOW, SHOW, SHOW]),
        ("lines.metadata",              [WHOLE, WHOLE, MASK]),
        ("lines.variant",               [SHOW,  SHOW,  SHOW]),
        ("lines.attributes",            [WHOLE, WHOLE, MASK]),
        ("lines.requiresShipping",      [SHOW,  SHOW,  SHOW]),
        ("lines.giftCard",              [SHOW,  SHOW,  SHOW]),
        ("lines.discounts",             [SHOW,  SHOW,  SHOW]),
        ("lines.discounts.code",        [SHOW,  SHOW,  MASK]),
        ("lines.discounts.reason",      [SHOW,  SHOW,  MASK]),
        ("lines.discounts.amountMinor", [SHOW,  SHOW,  SHOW]),
        ("lines.taxes",                 [SHOW,  SHOW,  SHOW]),
        ("lines.taxes.name",            [SHOW,  SHOW,  SHOW]),
        ("lines.taxes.rate",            [SHOW,  SHOW,  SHOW]),
        ("lines.taxes.amountMinor",     [SHOW,  SHOW,  SHOW]),
        ("lines.taxes.included",        [SHOW,  SHOW,  SHOW]),
        ("notes",                       [SHOW,  SHOW,  MASK]),
        ("metadata",                    [WHOLE, WHOLE, MASK]),
        ("placedAt",                    [SHOW,  SHOW,  SHOW]),
        ("customer",                    [SHOW,  SHOW,  SHOW]),
        ("customer.name",               [SHOW,  SHOW,  MASK]),
        ("customer.phone",              [SHOW,  SHOW,  MASK]),
        ("customer.taxId",              [SHOW,  SHOW,  MASK]),
        ("customer.locale",             [SHOW,  SHOW,  SHOW]),
        ("billingAddress",              [SHOW,  SHOW,  SHOW]),
        ("billingAddress.name",         [SHOW,  SHOW,  MASK]),
        ("billingAddress.company",      [SHOW,  SHOW,  MASK]),
        ("billingAddress.line1",        [SHOW,  SHOW,  MASK]),
        ("billingAddress.line2",        [SHOW,  SHOW,  MASK]),
        ("billingAddress.postalCode",   [SHOW,  SHOW,  MASK]),
        ("billingAddress.city",         [SHOW,  SHOW,  MASK]),
        ("billingAddress.region",       [SHOW,  SHOW,  MASK]),
        ("billingAddress.phone",        [SHOW,  SHOW,  MASK]),
        ("billingAddress.country",      [SHOW,  SHOW,  SHOW]),
        ("shippingAddress",             [SHOW,  SHOW,  SHOW]),
        ("shippingAddress.name",        [SHOW,  SHOW,  MASK]),
        ("shippingAddress.company",     [SHOW,  SHOW,  MASK]),
        ("shippingAddress.line1",       [SHOW,  SHOW,  MASK]),
        ("shippingAddress.line2",       [SHOW,  SHOW,  MASK]),
        ("shippingAddress.postalCode",  [SHOW,  SHOW,  MASK]),
        ("shippingAddress.city",        [SHOW,  SHOW,  MASK]),
        ("shippingAddress.region",      [SHOW,  SHOW,  MASK]),
        ("shippingAddress.phone",       [SHOW,  SHOW,  MASK]),
        ("shippingAddress.country",     [SHOW,  SHOW,  SHOW]),
        ("channel",                     [SHOW,  SHOW,  SHOW]),
        ("source",                      [SHOW,  SHOW,  SHOW]),
        ("tags",                        [SHOW,  SHOW,  SHOW]),
        ("shipping",                    [SHOW,  SHOW,  SHOW]),
        ("shipping.method",             [SHOW,  SHOW,  SHOW]),
        ("shipping.carrier",            [SHOW,  SHOW,  SHOW]),
        ("shipping.amountMinor",        [SHOW,  SHOW,  SHOW]),
        ("shipping.taxes",              [SHOW,  SHOW,  SHOW]),
        ("shipping.taxes.name",         [SHOW,  SHOW,  SHOW]),
        ("shipping.taxes.rate",         [SHOW,  SHOW,  SHOW]),
        ("shipping.taxes.amountMinor",  [SHOW,  SHOW,  SHOW]),
        ("shipping.taxes.included",     [SHOW,  SHOW,  SHOW]),
        ("shipping.estimatedDelivery",  [SHOW,  SHOW,  SHOW]),
        ("discounts",                   [SHOW,  SHOW,  SHOW]),
        ("discounts.code",              [SHOW,  SHOW,  MASK]),
        ("discounts.reason",            [SHOW,  SHOW,  MASK]),
        ("discounts.amountMinor",       [SHOW,  SHOW,  SHOW]),
        ("payments",                    [SHOW,  NO,    SHOW]),
        ("payments.method",             [SHOW,  NO,    SHOW]),
        ("payments.token",              [NO,    NO,    NO]),
        ("payments.amountMinor",        [SHOW,  NO,    SHOW]),
        ("payments.reference",          [SHOW,  NO,    MASK]),
        ("payments.paidAt",             [SHOW,  NO,    SHOW]),
        ("exchangeFor",                 [SHOW,  SHOW,  SHOW]),
        ("exchangeFor.orderId",         [SHOW,  SHOW,  SHOW]),
        ("exchangeFor.returnId",        [SHOW,  SHOW,  SHOW]),
    ]),
    ("OrderConfirmed", &[("mailStaff",  [NO,    SHOW,  SHOW])]),
    ("OrderRejected", &[
        ("reason",                      [SHOW,  NO,    SHOW]),
        ("reason.outOfStock",           [SHOW,  NO,    SHOW]),
        ("reason.outOfStock.shortages", [SHOW,  NO,    SHOW]),
        ("reason.outOfStock.shortages.sku",       [SHOW, NO, SHOW]),
        ("reason.outOfStock.shortages.requested", [SHOW, NO, SHOW]),
        ("reason.outOfStock.shortages.available", [NO,   NO, SHOW]),
        ("reason.outOfStock.shortages.unit", [SHOW, NO, SHOW]),
        ("reason.otherUnit",            [SHOW,  NO,    SHOW]),
        ("reason.otherUnit.skus",       [SHOW,  NO,    SHOW]),
        ("reason.otherUnit.skus.sku",   [SHOW,  NO,    SHOW]),
        ("reason.otherUnit.skus.ordered", [SHOW, NO,   SHOW]),
        ("reason.otherUnit.skus.stocked", [NO,  NO,    SHOW]),
        ("reason.paymentDeclined",      [SHOW,  NO,    SHOW]),
        ("reason.paymentDeclined.message", [NO, NO,    MASK]),
        ("reason.givenUp",              [SHOW,  NO,    SHOW]),
        ("reason.givenUp.reason",       [NO,    NO,    MASK]),
    ]),
    // Its reason is for the customer.
    ("CancellationRequested", &[
        ("reason",                      [SHOW,  SHOW,  MASK]),
    ]),
    // Its reason may be that of an operator.
    ("OrderCancelled", &[
        ("reason",                      [NO,    NO,    MASK]),
    ]),
    ("OrderEditRequested", edits::REQUESTED),
    ("OrderEdited", edits::EDITED),
    ("OrderEditRejected", edits::REJECTED),
    ("LinesCancelled", &[
        ("cancellationId",              [SHOW,  SHOW,  SHOW]),
        ("lines",                       [SHOW,  SHOW,  SHOW]),
        ("lines.lineNumber",            [SHOW,  SHOW,  SHOW]),
        ("lines.quantity",              [SHOW,  SHOW,  SHOW]),
        ("reason",                      [SHOW,  SHOW,  MASK]),
    ]),
    ("OrderShipped", &[
        ("shipmentId",                  [SHOW,  SHOW,  SHOW]),
        ("lines",                       [SHOW,  SHOW,  SHOW]),
        ("lines.lineNumber",            [SHOW,  SHOW,  SHOW]),
        ("lines.quantity",              [SHOW,  SHOW,  SHOW]),
        ("parcels",                     [SHOW,  SHOW,  SHOW]),
        ("parcels.carrier",             [SHOW,  SHOW,  SHOW]),
        ("parcels.tracking",            [SHOW,  SHOW,  MASK]),
        ("location",                    [NO,    SHOW,  SHOW]),
        // As earlier builds wrote it.
        ("carrier",                     [SHOW,  SHOW,  SHOW]),
        ("tracking",                    [SHOW,  SHOW,  MASK]),
    ]),
    ("ShipmentDelivered", &[
        ("shipmentId",                  [SHOW,  SHOW,  SHOW]),
        ("deliveredAt",                 [SHOW,  SHOW,  SHOW]),
    ]),
    ("ShipmentTrackingChanged", &[
        ("shipmentId",                  [SHOW,  SHOW,  SHOW]),
        ("parcels",                     [SHOW,  SHOW,  SHOW]),
        ("parcels.carrier",             [SHOW,  SHOW,  SHOW]),
        ("parcels.tracking",            [SHOW,  SHOW,  MASK]),
    ]),
    // Its reason may be a suspicion about the customer.
    ("OrderHeld", &[
        ("holdId",                      [NO,    SHOW,  SHOW]),
        ("reason",                      [NO,    SHOW,  MASK]),
    ]),
    ("OrderReleased", &[
        ("holdId",                      [NO,    SHOW,  SHOW]),
    ]),
    ("OrderDelivered", &[]),
    ("StockReserved", &[
        ("units",                       [SHOW,  SHOW,  SHOW]),
        ("units.sku",                   [SHOW,  SHOW,  SHOW]),
        ("units.quantity",              [SHOW,  SHOW,  SHOW]),
        ("units.location",              [NO,    SHOW,  SHOW]),
        ("expiresAt",                   [SHOW,  SHOW,  SHOW]),
        ("backorders",                  [SHOW,  SHOW,  SHOW]),
        ("backorders.sku",              [SHOW,  SHOW,  SHOW]),
        ("backorders.quantity",         [SHOW,  SHOW,  SHOW]),
        ("backorders.location",         [NO,    SHOW,  SHOW]),
        ("backorders.availableAt",      [SHOW,  SHOW,  SHOW]),
    ]),
    ("StockReservationFailed", &[
        ("shortages",                   [SHOW,  SHOW,  SHOW]),
        ("shortages.sku",               [SHOW,  SHOW,  SHOW]),
        ("shortages.requested",         [SHOW,  SHOW,  SHOW]),
        ("shortages.available",         [NO,    SHOW,  SHOW]),
        ("shortages.unit",              [SHOW,  SHOW,  SHOW]),
        ("otherUnits",                  [SHOW,  SHOW,  SHOW]),
        ("otherUnits.sku",              [SHOW,  SHOW,  SHOW]),
        ("otherUnits.ordered",          [SHOW,  SHOW,  SHOW]),
        ("otherUnits.stocked",          [NO,    SHOW,  SHOW]),
    ]),
    ("StockReleased", &[
        ("expired",                     [SHOW,  SHOW,  SHOW]),
    ]),
    ("PaymentAuthorized", &[
        ("reference",                   [NO,    NO,    SHOW]),
        ("amountMinor",                 [SHOW,  NO,    SHOW]),
        ("paymentNumber",               [SHOW,  NO,    SHOW]),
    ]),
    // A code such as `stolen_card` is not to be told to who pays.
    ("PaymentDeclined", &[
        ("code",                        [NO,    NO,    SHOW]),
        ("message",                     [NO,    NO,    MASK]),
        ("paymentNumber",               [SHOW,  NO,    SHOW]),
    ]),
    ("PaymentOutcomeUnknown", &[
        ("reason",                      [NO,    NO,    MASK]),
        ("paymentNumber",               [SHOW,  NO,    SHOW]),
    ]),
    ("PaymentVoided", &[
        ("paymentNumber",               [SHOW,  NO,    SHOW]),
        ("releasedMinor",               [SHOW,  NO,    SHOW]),
    ]),
    ("PaymentCaptured", &[
        ("shipmentId",                  [SHOW,  NO,    SHOW]),
        ("amountMinor",                 [SHOW,  NO,    SHOW]),
        ("reference",                   [NO,    NO,    SHOW]),
        ("paymentNumber",               [SHOW,  NO,    SHOW]),
    ]),
    ("RefundRequested", &[
        ("refundId",                    [SHOW,  NO,    SHOW]),
        ("amountMinor",                 [SHOW,  NO,    SHOW]),
        ("reason",                      [SHOW,  NO,    MASK]),
    ]),
    ("PaymentRefunded", &[
        ("refundId",                    [SHOW,  NO,    SHOW]),
        ("amountMinor",                 [SHOW,  NO,    SHOW]),
        ("reference",                   [NO,    NO,    SHOW]),
        ("paymentNumber",               [SHOW,  NO,    SHOW]),
    ]),
    ("ReturnRequested", &[
        ("returnId",                    [SHOW,  SHOW,  SHOW]),
        ("lines",                       [SHOW,  SHOW,  SHOW]),
        ("lines.lineNumber",            [SHOW,  SHOW,  SHOW]),
        ("lines.quantity",              [SHOW,  SHOW,  SHOW]),
        ("reason",                      [SHOW,  SHOW,  MASK]),
    ]),
    ("ReturnReceived", &[
        ("returnId",                    [SHOW,  SHOW,  SHOW]),
        ("refundMinor",                 [SHOW,  NO,    SHOW]),
        ("receiptId",                   [SHOW,  SHOW,  SHOW]),
        ("lines",                       [SHOW,  SHOW,  SHOW]),
        ("lines.lineNumber",            [SHOW,  SHOW,  SHOW]),
        ("lines.quantity",              [SHOW,  SHOW,  SHOW]),
        ("lines.condition",             [SHOW,  SHOW,  SHOW]),
        ("lines.restock",               [NO,    SHOW,  SHOW]),
        ("refundId",                    [SHOW,  NO,    SHOW]),
        ("location",                    [NO,    SHOW,  SHOW]),
    ]),
    ("ReturnCancelled", &[
        ("returnId",                    [SHOW,  SHOW,  SHOW]),
        ("reason",                      [SHOW,  SHOW,  MASK]),
    ]),
    ("NoteAdded", &[
        ("noteId",                      [SHOW,  SHOW,  SHOW]),
        ("text",                        [SHOW,  SHOW,  MASK]),
        ("author",                      [SHOW,  SHOW,  MASK]),
    ]),
    // The template may be that of a refund.
    ("NotificationSent", &[
        ("notificationId",              [SHOW,  SHOW,  SHOW]),
        ("template",                    [SHOW,  NO,    SHOW]),
        ("recipient",                   [SHOW,  SHOW,  MASK]),
        ("providerMessageId",           [NO,    SHOW,  SHOW]),
        ("nth",                         [SHOW,  SHOW,  SHOW]),
    ]),
    ("NotificationFailed", &[
        ("notificationId",              [SHOW,  SHOW,  SHOW]),
        ("template",                    [SHOW,  NO,    SHOW]),
        ("reason",                      [NO,    SHOW,  MASK]),
        ("nth",                         [SHOW,  SHOW,  SHOW]),
    ]),
    ("MailResendRequested", &[
        ("notificationId",              [SHOW,  SHOW,  SHOW]),
        ("template",                    [SHOW,  NO,    SHOW]),
        ("nth",                         [SHOW,  SHOW,  SHOW]),
    ]),
    ("OperatorIntervened", &[
        ("verb",                        [NO,    NO,    SHOW]),
        ("verb.retry",                  [NO,    NO,    SHOW]),
        ("verb.retry.paymentToken",     [NO,    NO,    NO]),
        ("verb.markSucceeded",          [NO,    NO,    SHOW]),
        ("verb.markSucceeded.reference", [NO,   NO,    SHOW]),
        ("step",                        [NO,    NO,    SHOW]),
        ("actor",                       [NO,    NO,    SHOW]),
        ("reason",                      [NO,    NO,    MASK]),
        ("customerMessage",             [NO,    NO,    MASK]),
        ("notificationId",              [NO,    NO,    SHOW]),
        ("paymentNumber",               [NO,    NO,    SHOW]),
    ]),
    ("OrderNumbered", &[
        ("orderNumber",                 [SHOW,  SHOW,  SHOW]),
        ("series",                      [SHOW,  SHOW,  SHOW]),
        ("sequence",                    [SHOW,  SHOW,  SHOW]),
    ]),
    ("InvoiceIssued", documents::INVOICE_ISSUED),
    ("CreditNoteIssued", documents::CREDIT_NOTE_ISSUED),
    ("DocumentIssued", documents::DOCUMENT_ISSUED),
    ("OrderNumberIssued", &[
        ("orderNumber",                 [SHOW,  NO,    SHOW]),
        ("sequence",                    [SHOW,  NO,    SHOW]),
        ("orderId",                     [SHOW,  NO,    SHOW]),
    ]),
    // What operators decided about dead letters.
    ("DeadLetterDecided", &[
        ("verb",                        [NO,    NO,    SHOW]),
        ("queue",                       [NO,    NO,    SHOW]),
        ("deadLetterId",                [NO,    NO,    SHOW]),
        ("orderId",                     [NO,    NO,    SHOW]),
        ("messageType",                 [NO,    NO,    SHOW]),
        ("reason",                      [NO,    NO,    MASK]),
    ]),
    ("DeadLetterSettled", &[
        ("verb",                        [NO,    NO,    SHOW]),
    ]),
    // A SKU's events. Customers see no stock.
    ("StockReceived", &[
        ("quantity",                    [NO,    SHOW,  SHOW]),
        ("location",                    [NO,    SHOW,  SHOW]),
        ("unit",                        [NO,    SHOW,  SHOW]),
    ]),
    ("StockAdjusted", &[
        ("delta",                       [NO,    SHOW,  SHOW]),
        ("reason",                      [NO,    SHOW,  MASK]),
        ("location",                    [NO,    SHOW,  SHOW]),
        ("unit",                        [NO,    SHOW,  SHOW]),
    ]),
    ("StockReturned", &[
        ("orderId",                     [NO,    SHOW,  SHOW]),
        ("returnId",                    [NO,    SHOW,  SHOW]),
        ("quantity",                    [NO,    SHOW,  SHOW]),
        ("location",                    [NO,    SHOW,  SHOW]),
        ("unit",                        [NO,    SHOW,  SHOW]),
    ]),
    ("StockTransferred", &[
        ("from",                        [NO,    SHOW,  SHOW]),
        ("to",                          [NO,    SHOW,  SHOW]),
        ("quantity",                    [NO,    SHOW,  SHOW]),
        ("unit",                        [NO,    SHOW,  SHOW]),
    ]),
    ("BackorderLimitSet", &[
        ("limit",                       [NO,    SHOW,  SHOW]),
        ("availableAt",                 [NO,    SHOW,  SHOW]),
        ("location",                    [NO,    SHOW,  SHOW]),
        ("unit",                        [NO,    SHOW,  SHOW]),
    ]),
    ("LowStockThresholdSet", reservations::THRESHOLD),
    ("StockRanLow", reservations::LEVEL),
    ("StockRecovered", reservations::LEVEL),
    ("ReservationMade", reservations::MADE),
    ("ReservationIncreased", reservations::INCREASED),
    ("ReservationCommitted", reservations::MOVED),
    ("ReservationReleased", reservations::MOVED),
];

/// What is shown, masked or left out of an event of one type, field by field and role by role. Of an unknown event,
/// everything is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventRedactionRules(&'static [FieldRow]);

impl EventRedactionRules {
    pub(super) fn of(event_type: &str) -> Self {
        Self(EVENTS.iter().find(|(known, _)| *known == event_type).map_or(&[], |(_, fields)| fields))
    }

    /// What is seen of the field with a path such as `lines.sku`.
    pub(super) fn visibility(self, path: &str, redaction: Redaction) -> FieldVisibility {
        self.0.iter().find(|(known, _)| *known == path).map_or(NO, |(_, by_reader)| redaction.of_reader(by_reader))
    }
}

#[cfg(test)]
mod tests;
