//! An order as it is posted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::ids::Sku;
use domain::order::import::ImportedStatus;
use domain::quantity::UnitOfMeasure;
use serde::Deserialize;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{NewParcel, amount, quantity};

/// An order.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewOrder {
    /// The shop's own id for it; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    order_id: Option<String>,
    /// Required here or in `customer`, unless a guest ordered.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    customer_id: Option<String>,
    /// Where the customer's mails go. Characters beyond ASCII are taken on both sides of the `@`.
    #[schema(
        max_length = 254,
        pattern = r#"^[^\x00-\x20\x7F(),:;<>@\[\\\]"]{1,64}@[^\x00-,./:-@\[-`{-\x7F]+([.][^\x00-,./:-@\[-`{-\x7F]+)*$"#
    )]
    customer_email: Option<String>,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
    /// What the parts come to: items, less discounts, with shipping and the taxes that are not included.
    #[schema(schema_with = amount)]
    total_amount: String,
    #[schema(min_items = 1, max_items = 500)]
    items: Vec<NewOrderItem>,
    /// What the payment provider takes as the means of payment.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    payment_token: Option<String>,
    /// The customer's notes.
    #[schema(max_length = 4000, pattern = r"^[^\u0000]*$")]
    notes: Option<String>,
    /// What the shop wants to keep with the order: at most 16 KiB, in at most 10 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde::de::IgnoredAny>,
    /// When the customer ordered.
    #[schema(format = DateTime)]
    placed_at: Option<String>,
    /// As `placedAt`.
    #[schema(format = DateTime)]
    created_at_iso: Option<String>,
    customer: Option<NewOrderCustomer>,
    /// Where the bill goes.
    billing_address: Option<NewAddress>,
    /// Where the goods go.
    shipping_address: Option<NewAddress>,
    /// Through which of the shop's channels the order came.
    #[schema(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    channel: Option<String>,
    /// Where the customer came from.
    #[schema(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    source: Option<String>,
    /// The shop's labels, each once.
    #[schema(schema_with = tags)]
    tags: Option<Vec<String>>,
    shipping: Option<NewShipping>,
    /// What is taken off the whole order.
    #[schema(max_items = 50)]
    discounts: Option<Vec<NewDiscount>>,
    /// What it is paid with, in the order in which money is taken, in place of `paymentToken`. Together they come to `totalAmount`.
    #[schema(max_items = 10)]
    payments: Option<Vec<NewPayment>>,
    /// For which goods, that come back from another order, it is the exchange. It is noted, and not looked up.
    exchange_for: Option<NewExchange>,
}

/// The goods for which an order is the exchange.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewExchange {
    /// The order from which they come back: another one.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    order_id: String,
    /// The return of that order.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    return_id: String,
}

/// An order of another system: as it would be posted, with how far it came there.
#[derive(Deserialize)]
pub(crate) struct NewOrderImport;

impl PartialSchema for NewOrderImport {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut order)) = NewOrder::schema() else { return NewOrder::schema() };
        let status = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(ImportedStatus::ALL.map(ImportedStatus::as_str)))
            .description(Some("How far it came: all of it was shipped or delivered, or none of it yet"));
        let parcels = ArrayBuilder::new()
            .items(Ref::from_schema_name("NewParcel"))
            .max_items(Some(20))
            .description(Some("Of what was shipped, if the customer can follow it"));
        order.description =
            Some("An order of another system; `source` is `import`, and each payment has a `reference`.".to_owned());
        order.properties.insert("status".to_owned(), status.into());
        order.properties.insert("parcels".to_owned(), parcels.into());
        order.required.extend(["orderId", "placedAt", "status"].map(str::to_owned));
        order.into()
    }
}

impl ToSchema for NewOrderImport {
    fn name() -> Cow<'static, str> {
        "NewOrderImport".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NewOrder::schemas(schemas);
        NewParcel::schemas(schemas);
        schemas.push((NewParcel::name().into_owned(), NewParcel::schema()));
    }
}

/// Who ordered. A guest has an `email` and no `id`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewOrderCustomer {
    /// As `customerId`. If both are given, they are the same.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    id: Option<String>,
    /// As `customerEmail`. If both are given, they are the same.
    #[schema(
        max_length = 254,
        pattern = r#"^[^\x00-\x20\x7F(),:;<>@\[\\\]"]{1,64}@[^\x00-,./:-@\[-`{-\x7F]+([.][^\x00-,./:-@\[-`{-\x7F]+)*$"#
    )]
    email: Option<String>,
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: Option<String>,
    #[schema(max_length = 50, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    phone: Option<String>,
    /// The language to write in: language, script and region (BCP 47).
    #[schema(pattern = "^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?$", example = "de-DE")]
    locale: Option<String>,
    /// The number under which the tax office knows the customer.
    #[schema(max_length = 50, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    tax_id: Option<String>,
}

/// A postal address. Most countries need a city, many a postal code of a certain shape, some a region.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewAddress {
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: Option<String>,
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    company: Option<String>,
    /// Street and number.
    #[schema(
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    line1: String,
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    line2: Option<String>,
    #[schema(max_length = 20, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    postal_code: Option<String>,
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    city: Option<String>,
    /// State, province or prefecture.
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    region: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(pattern = "^[A-Z]{2}$", example = "DE")]
    country: String,
    #[schema(max_length = 50, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    phone: Option<String>,
}

/// A line of a posted order.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewOrderItem {
    /// Text that can be seen, in Unicode normalization form C.
    #[schema(schema_with = Sku::schema)]
    sku: String,
    /// What mails call it; the SKU if it is left out.
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    title: Option<String>,
    /// Whole pieces, or up to three decimals of `unit`.
    #[schema(schema_with = quantity)]
    quantity: String,
    /// The unit of measure of goods that are not sold by the piece.
    #[schema(value_type = Option<UnitOfMeasure>)]
    unit: Option<String>,
    /// The price of one piece, or of one `unit`: then it has up to four decimals.
    #[schema(schema_with = amount)]
    unit_price: String,
    /// As the order's.
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde::de::IgnoredAny>,
    /// Which variant of the goods, for people.
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    variant: Option<String>,
    /// What else describes the goods, by name.
    #[schema(schema_with = attributes)]
    attributes: Option<BTreeMap<String, String>>,
    /// Whether a parcel is sent for it; yes if it is left out.
    requires_shipping: Option<bool>,
    /// Whether it is a gift card; no if it is left out.
    gift_card: Option<bool>,
    /// What is taken off the line: no more than quantity × unit price.
    #[schema(max_items = 50)]
    discounts: Option<Vec<NewDiscount>>,
    #[schema(max_items = 20)]
    taxes: Option<Vec<NewTax>>,
}

/// A payment. What was paid elsewhere has a `reference` and no `token`: the provider is asked for nothing then.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewPayment {
    /// What the customer pays with.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", example = "card")]
    method: String,
    /// What the payment provider knows the means of payment by.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    token: Option<String>,
    /// How much of the total it pays.
    #[schema(schema_with = amount)]
    amount: String,
    /// What it is known by where it was paid.
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    reference: Option<String>,
    /// When it was paid elsewhere.
    #[schema(format = DateTime)]
    paid_at: Option<String>,
}

/// What is taken off a line or an order.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDiscount {
    /// What the customer entered for it.
    #[schema(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    code: Option<String>,
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    reason: Option<String>,
    #[schema(schema_with = amount)]
    amount: String,
}

/// A tax on a line or on postage, as the shop worked it out.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTax {
    #[schema(
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    name: String,
    /// 0.19 for 19 %: from 0 to 10, with up to six decimals.
    #[schema(schema_with = amount)]
    rate: String,
    #[schema(schema_with = amount)]
    amount: String,
    /// Whether the price has it in it already; it is paid on top if this is left out.
    included: Option<bool>,
}

/// How the goods go to the customer, and the postage.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewShipping {
    #[schema(
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    method: String,
    #[schema(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    carrier: Option<String>,
    #[schema(schema_with = amount)]
    amount: String,
    #[schema(max_items = 20)]
    taxes: Option<Vec<NewTax>>,
    /// A date or an instant (RFC 3339).
    #[schema(example = "2026-11-28")]
    estimated_delivery: Option<String>,
}

/// Text on one line that is not blank.
const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

fn text(most: usize, pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(most)).pattern(Some(pattern))
}

fn or_null(schema: impl Into<Schema>) -> Schema {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    AnyOfBuilder::new().item(schema.into()).item(null).build().into()
}

fn tags() -> Schema {
    let tags = ArrayBuilder::new().items(text(100, LINE)).max_items(Some(50)).unique_items(true);
    or_null(tags.build())
}

fn attributes() -> Schema {
    let value = text(500, r"^[^\u0000]*$").build();
    let named = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(text(100, LINE).build()))
        .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
        .max_properties(Some(50));
    or_null(named.build())
}
