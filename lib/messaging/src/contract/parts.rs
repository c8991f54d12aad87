//! Parts of a request for a mail that only some mails have.

use serde::{Deserialize, Serialize};

/// What an edit changed of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EditDetails {
    /// The order's total before the edit, as a decimal.
    pub total_before: String,
    /// The order's total after the edit, as a decimal. Later edits do not change it. Requests of earlier builds do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_after: Option<String>,
    /// The lines of which there are more or less now: as many as fit into a message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<EditedLine>,
    /// How many of these did not fit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted_lines: u32,
    /// How much more is held of the customer's money, as a decimal. It is taken when the goods are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_payment: Option<String>,
    /// How much less is taken of what is held, as a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// How much of what was paid elsewhere goes back, as a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<String>,
}

/// A line of which an edit made more or less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EditedLine {
    pub sku: String,
    /// The name that the customer saw.
    pub title: String,
    /// As a decimal. 0: the line is new.
    pub quantity_before: String,
    /// As a decimal. 0: the line was removed.
    pub quantity: String,
    /// The symbol of the unit of measure, if it is not sold by the piece: `kg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Units of a line that are not in stock yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WaitingUnits {
    /// How many, or how much in the line's unit, as a decimal.
    pub quantity: String,
    /// When the last of them were expected as the customer ordered (RFC 3339). Left out if nobody knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_at: Option<String>,
}

/// Where the customer finds a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DocumentLink {
    /// The document's number for people.
    pub number: String,
    /// A page of the shop.
    pub url: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
