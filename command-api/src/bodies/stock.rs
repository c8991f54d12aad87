//! The bodies of commands on a SKU.

use chrono::{DateTime, Utc};
use domain::quantity::UnitOfMeasure;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};

use super::{quantity_between, quantity_up_to};

/// Units that came in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StockReceipt {
    /// Whole pieces, or up to three decimals of `unit`.
    #[schema(schema_with = received_quantity)]
    quantity: String,
    /// The unit of measure in which the SKU is counted; by the piece if it is left out. The first receipt says which.
    #[schema(value_type = Option<UnitOfMeasure>)]
    unit: Option<String>,
    /// Where they are; `default` if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    location: Option<String>,
}

/// How far a count is put right, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StockAdjustment {
    /// What is added, or taken away: not 0. Whole pieces, or up to three decimals of `unit`.
    #[schema(schema_with = delta)]
    delta: String,
    /// As the SKU is counted; by the piece if it is left out.
    #[schema(value_type = Option<UnitOfMeasure>)]
    unit: Option<String>,
    /// Not only spaces.
    #[schema(max_length = 500, pattern = r"^[^\u0000]*[^\u0000\s][^\u0000]*$")]
    reason: String,
    /// Where it was counted; `default` if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    location: Option<String>,
}

/// Units that were moved. The names of both locations differ.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StockTransfer {
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    from: String,
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    to: String,
    /// Whole pieces, or up to three decimals of `unit`.
    #[schema(schema_with = received_quantity)]
    quantity: String,
    /// As the SKU is counted; by the piece if it is left out.
    #[schema(value_type = Option<UnitOfMeasure>)]
    unit: Option<String>,
}

/// How many units of a SKU may be sold before they are on hand.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BackorderLimit {
    /// How many may wait at the same time; 0: none any more. Whole pieces, or up to three decimals of `unit`.
    #[schema(schema_with = limit)]
    limit: String,
    /// When they are expected. It is what the orders say that wait.
    available_at: Option<DateTime<Utc>>,
    /// As the SKU is counted; by the piece if it is left out.
    #[schema(value_type = Option<UnitOfMeasure>)]
    unit: Option<String>,
    /// Where they are expected; `default` if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    location: Option<String>,
}

/// Below how many units a SKU is low.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LowStockThreshold {
    /// It is low while fewer than this are available, at all locations together; 0: it never is. Whole pieces, or up to three decimals of
    /// `unit`.
    #[schema(schema_with = limit)]
    threshold: String,
    /// As the SKU is counted; by the piece if it is left out.
    #[schema(value_type = Option<UnitOfMeasure>)]
    unit: Option<String>,
}

fn received_quantity() -> Schema {
    quantity_up_to(1_000_000_000)
}

/// Units, or none.
fn limit() -> Schema {
    quantity_between(0.0, 0, 1_000_000_000)
}

fn delta() -> Schema {
    let whole = |least: i64, most: i64| {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
    };
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(-1_000_000)).maximum(Some(1_000_000));
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^-?(0|[1-9][0-9]*)([.][0-9]{1,3})?$"));
    let pieces = AnyOfBuilder::new().item(whole(-1_000_000_000, -1)).item(whole(1, 1_000_000_000));
    pieces.item(number).item(text).build().into()
}
