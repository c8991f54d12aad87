//! What the API answers about an order, as far as the page shows it.

use serde::Deserialize;
use serde_json::Value;

use crate::display::{Instant, Text};
use crate::pages::Amount;

/// An object, or what stands for it where it is masked.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Masked<T> {
    Shown(T),
    Hidden(Text),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderAnswer {
    pub(super) order_id: Text,
    pub(super) customer_id: Option<Text>,
    pub(super) status: Text,
    pub(super) status_since: Option<Instant>,
    pub(super) payment_status: Option<Text>,
    pub(super) fulfilment_status: Option<Text>,
    pub(super) returns_status: Option<Text>,
    #[serde(default)]
    pub(super) undoing: bool,
    #[serde(default)]
    pub(super) holds: Vec<Hold>,
    pub(super) reason: Option<Text>,
    pub(super) version: i64,
    pub(super) created_at: Instant,
    pub(super) updated_at: Instant,
    pub(super) total: Amount,
    pub(super) captured: Option<Amount>,
    pub(super) refunded: Option<Amount>,
    pub(super) cancelled: Option<Amount>,
    pub(super) customer_email: Option<Text>,
    pub(super) placed_at: Option<Instant>,
    pub(super) notes: Option<Text>,
    pub(super) metadata: Option<Value>,
    pub(super) customer: Option<Masked<Customer>>,
    pub(super) billing_address: Option<Masked<Address>>,
    pub(super) shipping_address: Option<Masked<Address>>,
    pub(super) channel: Option<Text>,
    pub(super) source: Option<Text>,
    #[serde(default)]
    pub(super) tags: Vec<Text>,
    #[serde(default)]
    pub(super) payments: Vec<Payment>,
    #[serde(default)]
    pub(super) lines: Vec<Line>,
    #[serde(default)]
    pub(super) shipments: Vec<Shipment>,
    #[serde(default)]
    pub(super) cancellations: Vec<Cancellation>,
    #[serde(default)]
    pub(super) returns: Vec<Return>,
    #[serde(default)]
    pub(super) refunds: Vec<Refund>,
    #[serde(default)]
    pub(super) added_notes: Vec<Note>,
    #[serde(default)]
    pub(super) mails: Vec<Mail>,
    /// The kinds of which only the latest hundred are here.
    #[serde(default)]
    pub(super) more: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hold {
    pub(super) reason: Option<Text>,
    pub(super) held_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Customer {
    pub(super) name: Option<Text>,
    pub(super) phone: Option<Text>,
    pub(super) locale: Option<Text>,
    pub(super) tax_id: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address {
    name: Option<Text>,
    company: Option<Text>,
    line1: Option<Text>,
    line2: Option<Text>,
    postal_code: Option<Text>,
    city: Option<Text>,
    region: Option<Text>,
    country: Option<Text>,
    phone: Option<Text>,
}

impl Address {
    /// Its parts, each on a line of its own.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Text> {
        let parts = [
            &self.name,
            &self.company,
            &self.line1,
            &self.line2,
            &self.postal_code,
            &self.city,
            &self.region,
            &self.country,
            &self.phone,
        ];
        parts.into_iter().flatten()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub(super) payment_number: Text,
    pub(super) method: Option<Text>,
    pub(super) amount: Amount,
    pub(super) reference: Option<Text>,
    pub(super) status: Text,
    pub(super) captured: Amount,
    pub(super) refunded: Amount,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) line_number: Text,
    pub(super) sku: Text,
    pub(super) title: Option<Text>,
    pub(super) variant: Option<Text>,
    pub(super) quantity: Text,
    pub(super) unit: Option<Text>,
    pub(super) unit_price: Amount,
    pub(super) line_total: Amount,
    pub(super) shipped: Option<Text>,
    pub(super) cancelled: Option<Text>,
    pub(super) returned: Option<Text>,
}

/// How much of a line.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineQuantity {
    pub(super) line_number: Text,
    pub(super) quantity: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shipment {
    pub(super) shipment_id: Text,
    #[serde(default)]
    pub(super) lines: Vec<LineQuantity>,
    #[serde(default)]
    pub(super) parcels: Vec<Parcel>,
    pub(super) shipped_at: Instant,
    pub(super) delivered_at: Option<Instant>,
}

#[derive(Deserialize)]
pub(super) struct Parcel {
    pub(super) carrier: Option<Text>,
    pub(super) tracking: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cancellation {
    #[serde(default)]
    pub(super) lines: Vec<LineQuantity>,
    pub(super) reason: Option<Text>,
    pub(super) cancelled_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Return {
    pub(super) return_id: Text,
    #[serde(default)]
    pub(super) lines: Vec<LineQuantity>,
    pub(super) reason: Option<Text>,
    pub(super) requested_at: Instant,
    pub(super) received_at: Option<Instant>,
    pub(super) cancelled_at: Option<Instant>,
}

impl Return {
    pub(super) fn state(&self) -> &'static str {
        match (self.cancelled_at, self.received_at) {
            (Some(_), _) => "cancelled",
            (None, Some(_)) => "received",
            (None, None) => "requested",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refund {
    pub(super) refund_id: Text,
    pub(super) amount: Amount,
    pub(super) reason: Option<Text>,
    pub(super) requested_at: Instant,
    pub(super) status: Option<Text>,
}

#[derive(Deserialize)]
pub(super) struct Note {
    pub(super) text: Option<Text>,
    pub(super) author: Option<Text>,
    pub(super) at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mail {
    pub(super) template: Text,
    pub(super) status: Text,
    pub(super) at: Instant,
    pub(super) recipient: Option<Text>,
    pub(super) provider_message_id: Option<Text>,
    pub(super) reason: Option<Text>,
}

#[derive(Deserialize)]
pub(super) struct TimelineAnswer {
    pub(super) items: Vec<TimelineEvent>,
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TimelineEvent {
    pub(super) version: i64,
    pub(super) position: i64,
    #[serde(rename = "type")]
    pub(super) name: Text,
    pub(super) recorded_at: Instant,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    data: Value,
}

impl TimelineEvent {
    /// Who caused it.
    pub(super) fn actor(&self) -> Option<Text> {
        self.metadata["actor"].as_str().map(Text::from)
    }

    /// Why, if it says so in a word.
    pub(super) fn reason(&self) -> Option<Text> {
        self.data["reason"].as_str().map(Text::from)
    }

    /// All of it.
    pub(super) fn json(&self) -> Text {
        pretty(&serde_json::json!({ "data": self.data, "metadata": self.metadata }))
    }
}

/// JSON for people.
pub(super) fn pretty(value: &Value) -> Text {
    serde_json::to_string_pretty(value).unwrap_or_default().into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SagasAnswer {
    pub(super) state: Text,
    pub(super) waits_for: Option<Text>,
    pub(super) sagas: Vec<Saga>,
}

#[derive(Deserialize)]
pub(super) struct Saga {
    pub(super) saga: Text,
    pub(super) state: Text,
    pub(super) steps: Vec<Step>,
}

/// A step or the undo of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    pub(super) step: Text,
    pub(super) state: Text,
    pub(super) at: Option<Instant>,
    pub(super) attempts: Option<Text>,
    pub(super) since: Option<Instant>,
    pub(super) next_try_at: Option<Instant>,
    pub(super) last_error: Option<Text>,
    #[serde(default)]
    pub(super) messages: Vec<StepMessage>,
    undo: Option<Box<Step>>,
}

#[derive(Deserialize)]
pub(super) struct StepMessage {
    pub(super) version: i64,
    pub(super) at: Instant,
    pub(super) event: Text,
    pub(super) actor: Option<Text>,
    pub(super) text: Option<Text>,
}

impl Saga {
    /// Its steps, each with its undo behind it unless there is nothing to tell of that. Whether it is an undo comes with it.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Step, bool)> {
        self.steps.iter().flat_map(|step| {
            let undo = step.undo.as_deref().filter(|undo| !["notYet", "notNeeded"].contains(&undo.state.as_str()));
            [Some((step, false)), undo.map(|undo| (undo, true))].into_iter().flatten()
        })
    }

    /// The step that is stuck, if one is.
    pub(super) fn stuck(&self) -> Option<&Step> {
        self.rows().map(|(step, _)| step).find(|step| step.state.as_str() == "stuck")
    }
}
