//! How the OpenAPI document describes what several routes have in common.

use domain::streams::FOLLOWED_STREAM_TYPES;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// An instant, or a day.
pub(crate) fn instant_or_day() -> Schema {
    let any_of = AnyOfBuilder::new().item(text(KnownFormat::DateTime)).item(text(KnownFormat::Date));
    Schema::from(any_of.build())
}

/// A version, or an instant.
pub(crate) fn version_or_instant() -> Schema {
    let version = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[1-9][0-9]{0,17}$"));
    Schema::from(AnyOfBuilder::new().item(version).item(text(KnownFormat::DateTime)).build())
}

/// A kind of stream.
pub(crate) fn stream_type() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(FOLLOWED_STREAM_TYPES)).build().into()
}

/// A day.
pub(crate) fn day() -> Schema {
    text(KnownFormat::Date).build().into()
}

/// The report on an order's sagas. The routes that answer it alone describe it.
pub(crate) fn sagas_report() -> Ref {
    Ref::from_schema_name("OrderSagasReport")
}

/// True.
pub(crate) fn yes() -> Schema {
    only(true)
}

/// False.
pub(crate) fn no() -> Schema {
    only(false)
}

fn only(value: bool) -> Schema {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([value])).build().into()
}

fn text(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
}
