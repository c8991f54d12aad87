//! The bodies of requests and answers as the OpenAPI document describes them.
//!
//! `domain` parses what is posted, and has the rules. What is said here of lengths, ranges and patterns is what its parsers check.
#![expect(dead_code, reason = "these types are described, and never made")]

mod new_edit;
mod new_order;
pub(crate) mod stock;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};

pub(crate) use self::new_edit::NewEdit;
pub(crate) use self::new_order::NewOrder;
use self::new_order::NewOrderImport;

/// Units of a line.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LineUnits {
    /// The line's number, from 1.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    line_number: u32,
    /// Whole pieces, or up to three decimals of the line's unit of measure.
    #[schema(schema_with = quantity)]
    quantity: String,
}

/// What of an order is cancelled: these lines, or all that is left.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewCancellation {
    /// An id for the cancellation of these lines; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    cancellation_id: Option<String>,
    #[schema(min_items = 1, max_items = 500)]
    lines: Option<Vec<LineUnits>>,
    /// The customer's mail gives it.
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// What of an order is sent: these lines, or all that is left.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewShipment {
    /// An id for the shipment; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    shipment_id: Option<String>,
    #[schema(min_items = 1, max_items = 500)]
    lines: Option<Vec<LineUnits>>,
    /// For one parcel, in place of `parcels`.
    #[schema(max_length = 100, pattern = r"^[^\u0000]*$")]
    carrier: Option<String>,
    /// For one parcel, in place of `parcels`.
    #[schema(max_length = 200, pattern = r"^[^\u0000]*$")]
    tracking: Option<String>,
    #[schema(min_items = 1, max_items = 20)]
    parcels: Option<Vec<NewParcel>>,
    /// From where it is sent. Without `lines` it is then what is left there.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    location: Option<String>,
}

/// A parcel: with a carrier, a tracking number, or both.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewParcel {
    #[schema(max_length = 100, pattern = r"^[^\u0000]*$")]
    carrier: Option<String>,
    #[schema(max_length = 200, pattern = r"^[^\u0000]*$")]
    tracking: Option<String>,
}

/// When a shipment arrived.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDelivery {
    /// RFC 3339, and not in the future; now if it is left out.
    delivered_at: Option<DateTime<Utc>>,
}

/// How a shipment is followed.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTracking {
    /// All parcels of the shipment. Empty: there is nothing to follow.
    #[schema(max_items = 20)]
    parcels: Vec<NewParcel>,
}

/// Why nothing of an order is to be shipped for now.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewHold {
    /// An id for the hold; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    hold_id: Option<String>,
    /// Not only spaces. Customers do not see it.
    #[schema(max_length = 500, pattern = r"^[^\u0000]*[^\u0000\s][^\u0000]*$")]
    reason: String,
}

/// Which hold is over: this one, or all of them.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRelease {
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    hold_id: Option<String>,
}

/// What will come back.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewReturn {
    /// An id for the return; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    return_id: Option<String>,
    #[schema(min_items = 1, max_items = 500)]
    lines: Vec<LineUnits>,
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// What is here of a return: these lines, or all that was still to come.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewReceipt {
    /// An id for the receipt of these lines; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    receipt_id: Option<String>,
    #[schema(min_items = 1, max_items = 500)]
    lines: Option<Vec<ReceivedUnits>>,
    /// Where it is. Without it, what goes back into stock goes to where it was sent from.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    location: Option<String>,
}

/// Units of a line that came back, in one condition.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReceivedUnits {
    /// The line's number, from 1.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    line_number: u32,
    /// Whole pieces, or up to three decimals of the line's unit of measure.
    #[schema(schema_with = quantity)]
    quantity: String,
    /// Left out where nobody looked.
    #[schema(pattern = "^(sellable|damaged|defective|expired)$")]
    condition: Option<String>,
    /// Whether they go back into the stock of their SKU. Only what is sellable, or was not looked at, does.
    restock: Option<bool>,
}

/// Why the rest of a return is not coming.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewReturnCancellation {
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// What the customer gets back: this amount, or all that is left.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRefund {
    /// An id for the refund; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    refund_id: Option<String>,
    /// In the order's currency, and more than 0.
    #[schema(schema_with = optional_amount)]
    amount: Option<String>,
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// A note about an order.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewNote {
    /// An id for the note; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    note_id: Option<String>,
    /// Not only spaces.
    #[schema(max_length = 4000, pattern = r"^[^\u0000]*[^\u0000\s][^\u0000]*$")]
    text: String,
    #[schema(max_length = 100, pattern = r"^[^\u0000]*$")]
    author: Option<String>,
}

/// Nothing: the path says everything.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A command on an order was carried out. It names the id of what the command made.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct OrderAccepted {
    /// Always `accepted`.
    #[schema(pattern = "^accepted$", example = "accepted")]
    status: String,
    order_id: String,
    /// The order's version, which is its `ETag`.
    version: i64,
    /// The place in the log of the last event: what `minPosition` waits for.
    position: i64,
    #[schema(nullable = false)]
    shipment_id: Option<String>,
    #[schema(nullable = false)]
    cancellation_id: Option<String>,
    #[schema(nullable = false)]
    edit_id: Option<String>,
    #[schema(nullable = false)]
    hold_id: Option<String>,
    #[schema(nullable = false)]
    return_id: Option<String>,
    #[schema(nullable = false)]
    receipt_id: Option<String>,
    #[schema(nullable = false)]
    refund_id: Option<String>,
    #[schema(nullable = false)]
    note_id: Option<String>,
}

/// Orders, each as `POST /orders` takes it, and with its `orderId`.
#[derive(Deserialize, ToSchema)]
#[schema(min_items = 1, max_items = 100)]
pub(crate) struct NewOrderBatch(Vec<NewOrder>);

/// Orders of another system, each as `POST /orders` takes it, with what became of it there.
#[derive(Deserialize, ToSchema)]
#[schema(min_items = 1, max_items = 100)]
pub(crate) struct NewOrderImportBatch(Vec<NewOrderImport>);

/// What became of each order of a batch, in the order in which they were posted.
#[derive(ToSchema)]
pub(crate) struct OrderBatchAnswer {
    accepted: u32,
    refused: u32,
    results: Vec<OrderBatchResult>,
}

/// What became of an order of a batch.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct OrderBatchResult {
    /// The status that `POST /orders` would have answered with: 201 if it is stored.
    status: u16,
    /// It is left out if the order could not be read.
    #[schema(nullable = false)]
    order_id: Option<String>,
    #[schema(nullable = false)]
    version: Option<i64>,
    /// The place in the log.
    #[schema(nullable = false)]
    position: Option<i64>,
    /// Why it was refused: what `POST /orders` would have answered.
    #[schema(value_type = Option<Object>, nullable = false)]
    problem: Option<String>,
}

/// A command on a SKU was carried out.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct StockAccepted {
    /// Always `accepted`.
    #[schema(pattern = "^accepted$", example = "accepted")]
    status: String,
    sku: String,
    /// The SKU's version, which is its `ETag`.
    version: i64,
    /// The place in the log of the last event: what `minPosition` waits for.
    position: i64,
}

/// A decimal number, or a text that holds one. It has no more decimals than the currency.
fn amount() -> Schema {
    amount_or([]).into()
}

/// Whole pieces, or a decimal of a unit of measure.
fn quantity() -> Schema {
    quantity_up_to(1_000_000)
}

/// How many are ordered, or nothing.
fn quantity_or_none() -> Schema {
    quantity_between(0.0, 0, 1_000_000)
}

fn quantity_up_to(most_pieces: i64) -> Schema {
    quantity_between(0.001, 1, most_pieces)
}

fn quantity_between(least: f64, least_pieces: i64, most_pieces: i64) -> Schema {
    let whole = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least_pieces)).maximum(Some(most_pieces));
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(least)).maximum(Some(1_000_000));
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(0|[1-9][0-9]*)([.][0-9]{1,3})?$"));
    AnyOfBuilder::new().item(whole).item(number).item(text).build().into()
}

fn optional_amount() -> Schema {
    amount_or([ObjectBuilder::new().schema_type(Type::Null)]).into()
}

fn amount_or<const N: usize>(others: [ObjectBuilder; N]) -> AnyOfBuilder {
    let decimal = r"^(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$";
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(decimal));
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0));
    others.into_iter().fold(AnyOfBuilder::new().item(text).item(number), AnyOfBuilder::item)
}
