//! What is seen of each answer by those who may not see all of it.
//!
//! What has no row here is left out for all of them, and an answer whose route is not here is empty. A test asks for a row for each
//! field of each answer that one of them can get.

mod bulk_actions;
mod dead_letters;
mod documents;
mod edits;
mod money;
mod operations;
mod replays;
mod sagas;
mod stock;
#[cfg(test)]
mod tests;
mod webhooks;

use super::ByReader;
use super::FieldVisibility::{LeftOut as NO, Masked as MASK, Shown as SHOW, Whole as WHOLE};
use crate::Route;

/// A field of an object, what customers, warehouse and auditors see of it, and what is in it.
pub(super) type FieldRow = (&'static str, ByReader, Content);

/// What is in a value, or in each element of a list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// A text, number or boolean.
    Value,
    /// An object with these fields.
    Object(&'static [FieldRow]),
    /// Objects with these fields, by names that can be anything.
    ByName(&'static [FieldRow]),
    /// An event, of which `event_fields` says what is seen.
    Event,
}

use Content::{Event, Object, Value};
use edits::EDIT;
use money::{PAYMENT, REFUND};
use stock::{ALLOCATION, BACKORDER, SHIPPED_UNITS};

const ALL: ByReader = [SHOW, SHOW, SHOW];

const AMOUNT: &[FieldRow] = &[("amount", ALL, Value), ("currency", ALL, Value)];
const QUANTITY: &[FieldRow] = &[("lineNumber", ALL, Value), ("quantity", ALL, Value)];

/// For customers: nothing of providers, of operators, or of the saga. For warehouse: nothing of payments. For auditors: no customers
/// and no words of people.
#[rustfmt::skip]
const ORDER: &[FieldRow] = &[
    //                    customer warehouse auditor
    ("orderId",           ALL,                 Value),
    ("orderNumber",       ALL,                 Value),
    ("customerId",        [SHOW,  SHOW,  MASK], Value),
    ("status",            ALL,                 Value),
    ("statusSince",       ALL,                 Value),
    ("paymentStatus",     [SHOW,  NO,    SHOW], Value),
    ("fulfilmentStatus",  ALL,                 Value),
    ("returnsStatus",     ALL,                 Value),
    ("undoing",           ALL,                 Value),
    ("holds",             [NO,    SHOW,  SHOW], Object(HOLD)),
    ("edits",             ALL,                 Object(EDIT)),
    ("reason",            [SHOW,  NO,    MASK], Value),
    ("version",           ALL,                 Value),
    ("createdAt",         ALL,                 Value),
    ("updatedAt",         ALL,                 Value),
    ("total",             ALL,                 Object(AMOUNT)),
    ("captured",          [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("refunded",          [SHOW,  NO,    SHOW], Object(AMOUNT)),
    ("cancelled",         ALL,                 Object(AMOUNT)),
    ("customerEmail",     [SHOW,  SHOW,  MASK], Value),
    ("placedAt",          ALL,                 Value),
    ("notes",             [SHOW,  SHOW,  MASK], Value),
    ("metadata",          [WHOLE, WHOLE, MASK], Value),
    ("customer",          [SHOW,  SHOW,  MASK], Object(CUSTOMER)),
    ("billingAddress",    [SHOW,  SHOW,  MASK], Object(ADDRESS)),
    ("shippingAddress",   [SHOW,  SHOW,  MASK], Object(ADDRESS)),
    ("channel",           ALL,                 Value),
    ("source",            ALL,                 Value),
    ("tags",              ALL,                 Value),
    ("exchangeFor",       ALL,                 Object(EXCHANGE)),
    ("shipping",          ALL,                 Object(SHIPPING)),
    ("discounts",         ALL,                 Object(DISCOUNT)),
    ("totals",            ALL,                 Object(TOTALS)),
    ("payments",          [SHOW,  NO,    SHOW], Object(PAYMENT)),
    ("lines",             ALL,                 Object(LINE)),
    ("allocations",       [NO,    SHOW,  SHOW], Object(ALLOCATION)),
    ("backorders",        ALL,                 Object(BACKORDER)),
    ("shipments",         ALL,                 Object(SHIPMENT)),
    ("cancellations",     ALL,                 Object(CANCELLATION)),
    ("returns",           ALL,                 Object(RETURN)),
    ("refunds",           [SHOW,  NO,    SHOW], Object(REFUND)),
    ("addedNotes",        ALL,                 Object(NOTE)),
    ("mails",             ALL,                 Object(MAIL)),
    ("more",              ALL,                 Value),
    ("events",            ALL,                 Object(TIMELINE)),
    ("saga",              [NO,    NO,    SHOW], Object(sagas::SAGAS_OF_ORDER)),
];

#[rustfmt::skip]
const LINE: &[FieldRow] = &[
    ("lineNumber",        ALL,                 Value),
    ("sku",               ALL,                 Value),
    ("title",             ALL,                 Value),
    ("quantity",          ALL,                 Value),
    ("unit",              ALL,                 Value),
    ("unitPrice",         ALL,                 Object(AMOUNT)),
    ("lineTotal",         ALL,                 Object(AMOUNT)),
    ("metadata",          [WHOLE, WHOLE, MASK], Value),
    ("variant",           ALL,                 Value),
    ("attributes",        [WHOLE, WHOLE, MASK], Value),
    ("requiresShipping",  ALL,                 Value),
    ("giftCard",          ALL,                 Value),
    ("discounts",         ALL,                 Object(DISCOUNT)),
    ("taxes",             ALL,                 Object(TAX)),
    ("shipped",           ALL,                 Value),
    ("cancelled",         ALL,                 Value),
    ("returned",          ALL,                 Value),
];

#[rustfmt::skip]
const EXCHANGE: &[FieldRow] = &[
    ("orderId",           ALL,                 Value),
    ("returnId",          ALL,                 Value),
];

#[rustfmt::skip]
const CUSTOMER: &[FieldRow] = &[
    ("name",              ALL,                 Value),
    ("phone",             ALL,                 Value),
    ("locale",            ALL,                 Value),
    ("taxId",             ALL,                 Value),
];

#[rustfmt::skip]
const ADDRESS: &[FieldRow] = &[
    ("name",              ALL,                 Value),
    ("company",           ALL,                 Value),
    ("line1",             ALL,                 Value),
    ("line2",             ALL,                 Value),
    ("postalCode",        ALL,                 Value),
    ("city",              ALL,                 Value),
    ("region",            ALL,                 Value),
    ("country",           ALL,                 Value),
    ("phone",             ALL,                 Value),
];

#[rustfmt::skip]
const SHIPPING: &[FieldRow] = &[
    ("method",            ALL,                 Value),
    ("carrier",           ALL,                 Value),
    ("amount",            ALL,                 Object(AMOUNT)),
    ("taxes",             ALL,                 Object(TAX)),
    ("estimatedDelivery", ALL,                 Value),
];

#[rustfmt::skip]
const TAX: &[FieldRow] = &[
    ("name",              ALL,                 Value),
    ("rate",              ALL,                 Value),
    ("amount",            ALL,                 Object(AMOUNT)),
    ("included",          ALL,                 Value),
];

#[rustfmt::skip]
const DISCOUNT: &[FieldRow] = &[
    ("code",              [SHOW,  SHOW,  MASK], Value),
    ("reason",            [SHOW,  SHOW,  MASK], Value),
    ("amount",            ALL,                 Object(AMOUNT)),
];

#[rustfmt::skip]
const TOTALS: &[FieldRow] = &[
    ("items",             ALL,                 Object(AMOUNT)),
    ("discounts",         ALL,                 Object(AMOUNT)),
    ("shipping",          ALL,                 Object(AMOUNT)),
    ("taxes",             ALL,                 Object(AMOUNT)),
    ("includedTaxes",     ALL,                 Object(AMOUNT)),
    ("total",             ALL,                 Object(AMOUNT)),
];

#[rustfmt::skip]
const SHIPMENT: &[FieldRow] = &[
    ("shipmentId",        ALL,                 Value),
    ("lines",             ALL,                 Object(QUANTITY)),
    ("carrier",           ALL,                 Value),
    ("tracking",          [SHOW,  SHOW,  MASK], Value),
    ("parcels",           ALL,                 Object(PARCEL)),
    ("shippedAt",         ALL,                 Value),
    ("deliveredAt",       ALL,                 Value),
    ("settled",           [SHOW,  NO,    SHOW], Value),
    ("location",          [NO,    SHOW,  SHOW], Value),
    ("allocations",       [NO,    SHOW,  SHOW], Object(SHIPPED_UNITS)),
];

#[rustfmt::skip]
const PARCEL: &[FieldRow] = &[
    ("carrier",           ALL,                 Value),
    ("tracking",          [SHOW,  SHOW,  MASK], Value),
];

#[rustfmt::skip]
const HOLD: &[FieldRow] = &[
    ("holdId",            ALL,                 Value),
    ("reason",            [NO,    SHOW,  MASK], Value),
    ("heldAt",            ALL,                 Value),
];

#[rustfmt::skip]
const CANCELLATION: &[FieldRow] = &[
    ("cancellationId",    ALL,                 Value),
    ("lines",             ALL,                 Object(QUANTITY)),
    ("reason",            [SHOW,  SHOW,  MASK], Value),
    ("cancelledAt",       ALL,                 Value),
];

#[rustfmt::skip]
const RETURN: &[FieldRow] = &[
    ("returnId",          ALL,                 Value),
    ("lines",             ALL,                 Object(QUANTITY)),
    ("reason",            [SHOW,  SHOW,  MASK], Value),
    ("requestedAt",       ALL,                 Value),
    ("receivedAt",        ALL,                 Value),
    ("receipts",          ALL,                 Object(RECEIPT)),
    ("cancelledAt",       ALL,                 Value),
    ("cancellationReason", [SHOW, SHOW,  MASK], Value),
];

#[rustfmt::skip]
const RECEIPT: &[FieldRow] = &[
    ("receiptId",         ALL,                 Value),
    ("lines",             ALL,                 Object(RECEIVED)),
    ("refundId",          [SHOW,  NO,    SHOW], Value),
    ("location",          [NO,    SHOW,  SHOW], Value),
    ("receivedAt",        ALL,                 Value),
];

#[rustfmt::skip]
const RECEIVED: &[FieldRow] = &[
    ("lineNumber",        ALL,                 Value),
    ("quantity",          ALL,                 Value),
    ("condition",         ALL,                 Value),
    ("restock",           [NO,    SHOW,  SHOW], Value),
];

#[rustfmt::skip]
const NOTE: &[FieldRow] = &[
    ("noteId",            ALL,                 Value),
    ("text",              [SHOW,  SHOW,  MASK], Value),
    ("author",            [SHOW,  SHOW,  MASK], Value),
    ("at",                ALL,                 Value),
];

/// The warehouse does not see the mail about a refund at all.
#[rustfmt::skip]
const MAIL: &[FieldRow] = &[
    ("notificationId",    ALL,                 Value),
    ("template",          ALL,                 Value),
    ("status",            ALL,                 Value),
    ("at",                ALL,                 Value),
    ("recipient",         [SHOW,  SHOW,  MASK], Value),
    ("providerMessageId", [NO,    SHOW,  SHOW], Value),
    ("reason",            [NO,    SHOW,  MASK], Value),
];

const TIMELINE: &[FieldRow] = &[("orderId", ALL, Value), ("items", ALL, Event), ("cursor", ALL, Value)];

/// What sagas do is for those who run the platform, of whom auditors do not see all.
const OPERATIONS: ByReader = [NO, NO, SHOW];

/// What a command is answered with. Others than customers see all of it.
#[rustfmt::skip]
const ACCEPTED: &[FieldRow] = &[
    ("status",            ALL,                 Value),
    ("orderId",           ALL,                 Value),
    ("version",           ALL,                 Value),
    ("position",          ALL,                 Value),
    ("shipmentId",        ALL,                 Value),
    ("cancellationId",    ALL,                 Value),
    ("editId",            ALL,                 Value),
    ("holdId",            ALL,                 Value),
    ("returnId",          ALL,                 Value),
    ("receiptId",         ALL,                 Value),
    ("refundId",          ALL,                 Value),
    ("noteId",            ALL,                 Value),
];

/// Declares a page of a list, with the order that it is about if there is one.
macro_rules! page_of {
    ($items:expr) => {
        Object(&[("orderId", ALL, Value), ("items", ALL, Object($items)), ("cursor", ALL, Value)])
    };
}

/// The answers of the routes at which some see less than others, by method and path.
const ANSWERS: &[(&str, &str, Content)] = &[
    ("POST", "/orders/{order_id}/cancel", Object(ACCEPTED)),
    ("POST", "/orders/{order_id}/returns", Object(ACCEPTED)),
    ("POST", "/orders/{order_id}/returns/{return_id}/cancel", Object(ACCEPTED)),
    ("POST", "/orders/{order_id}/notes", Object(ACCEPTED)),
    ("GET", "/orders", page_of!(ORDER)),
    ("GET", "/orders/export", Object(ORDER)),
    ("GET", "/customers/{customer_id}/orders", page_of!(ORDER)),
    ("GET", "/orders/{order_id}", Object(ORDER)),
    ("GET", "/orders/{order_id}/events", Object(TIMELINE)),
    ("GET", "/orders/{order_id}/shipments", page_of!(SHIPMENT)),
    ("GET", "/orders/{order_id}/cancellations", page_of!(CANCELLATION)),
    ("GET", "/orders/{order_id}/returns", page_of!(RETURN)),
    ("GET", "/orders/{order_id}/refunds", page_of!(REFUND)),
    ("GET", "/orders/{order_id}/notes", page_of!(NOTE)),
    ("GET", "/orders/{order_id}/mails", page_of!(MAIL)),
    ("GET", "/orders/{order_id}/documents", page_of!(documents::SUMMARY)),
    ("GET", "/orders/{order_id}/documents/{document_id}", Object(documents::DOCUMENT)),
    ("GET", "/events", Object(&[("items", ALL, Event), ("cursor", ALL, Value)])),
    ("GET", "/events/stream", Event),
    ("GET", "/audit", operations::AUDIT),
    ("GET", "/subscriptions", operations::SUBSCRIPTIONS),
    ("GET", "/sagas", page_of!(sagas::WAITING_SAGA)),
    ("GET", "/orders/{order_id}/saga", Object(sagas::SAGAS_OF_ORDER)),
    ("GET", "/admin/replays", page_of!(replays::REPLAY)),
    ("GET", "/admin/replays/{id}", Object(replays::REPLAY)),
    ("GET", "/bulk-actions", bulk_actions::PAGE),
    ("GET", "/bulk-actions/{id}", bulk_actions::BULK_ACTION),
    ("GET", "/dead-letters", dead_letters::LIST),
    ("GET", "/dead-letters/{queue}/{id}", dead_letters::DEAD_LETTER),
    ("GET", "/webhooks", webhooks::ENDPOINTS),
    ("GET", "/webhooks/{id}", webhooks::ENDPOINT),
    ("GET", "/webhooks/{id}/deliveries", webhooks::DELIVERIES),
    ("GET", "/webhooks/{id}/replays", webhooks::REPLAYS),
];

impl Content {
    /// What is in the answers of a route. A route that is not here has nothing that may be seen.
    pub(super) fn of(route: &Route) -> Self {
        let known = ANSWERS.iter().find(|(method, path, _)| *method == route.method && *path == route.path);
        known.map_or(Object(&[]), |(_, _, content)| *content)
    }
}
