//! What the API answers about an order, as far as the page shows it.

mod goods;
mod prices;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use self::goods::{Allocation, Backorder, DocumentsAnswer, Edit, ExchangeFor, Return};
pub(super) use self::prices::{Discount, Shipping, Tax, Totals};

use crate::display::{Instant, Text};
use crate::json::in_lines;
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
    pub(super) order_number: Option<Text>,
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
    pub(super) metadata: Option<Box<RawValue>>,
    pub(super) customer: Option<Masked<Customer>>,
    pub(super) billing_address: Option<Masked<Address>>,
    pub(super) shipping_address: Option<Masked<Address>>,
    pub(super) channel: Option<Text>,
    pub(super) source: Option<Text>,
    #[serde(default)]
    pub(super) tags: Vec<Text>,
    pub(super) exchange_for: Option<ExchangeFor>,
    #[serde(default)]
    pub(super) edits: Vec<Edit>,
    pub(super) shipping: Option<Shipping>,
    #[serde(default)]
    pub(super) discounts: Vec<Discount>,
    pub(super) totals: Option<Totals>,
    #[serde(default)]
    pub(super) allocations: Vec<Allocation>,
    #[serde(default)]
    pub(super) backorders: Vec<Backorder>,
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
    pub(super) paid_at: Option<Instant>,
    pub(super) status: Text,
    pub(super) captured: Amount,
    pub(super) refunded: Amount,
    /// What a person has to pay back, because the provider can't.
    pub(super) manual_refund: Option<Amount>,
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
    pub(super) requires_shipping: Option<bool>,
    pub(super) gift_card: Option<bool>,
    #[serde(default)]
    pub(super) discounts: Vec<Discount>,
    #[serde(default)]
    pub(super) taxes: Vec<Tax>,
    attributes: Option<Box<RawValue>>,
    metadata: Option<Box<RawValue>>,
    pub(super) shipped: Option<Text>,
    pub(super) cancelled: Option<Text>,
    pub(super) returned: Option<Text>,
}

impl Line {
    /// What the shop wrote to it, to the letter.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, Text)> {
        let named = [("Attributes", &self.attributes), ("Metadata", &self.metadata)];
        named.into_iter().filter_map(|(name, json)| Some((name, json.as_deref()?.get().into())))
    }
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
    pub(super) settled: Option<bool>,
    /// `None`: what it has came from several.
    pub(super) location: Option<Text>,
    #[serde(default)]
    pub(super) allocations: Vec<Allocation>,
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
pub(super) struct Refund {
    pub(super) refund_id: Text,
    pub(super) amount: Amount,
    pub(super) reason: Option<Text>,
    pub(super) requested_at: Instant,
    pub(super) refunded_at: Option<Instant>,
    pub(super) status: Option<Text>,
    #[serde(default)]
    pub(super) payments: Vec<RefundShare>,
}

/// What goes back to one of several payments.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundShare {
    pub(super) payment_number: Text,
    pub(super) amount: Amount,
    pub(super) status: Text,
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
pub(crate) struct TimelineAnswer {
    pub(crate) items: Vec<TimelineEvent>,
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimelineEvent {
    pub(crate) version: i64,
    pub(crate) position: i64,
    #[serde(rename = "type")]
    pub(crate) name: Text,
    pub(crate) recorded_at: Instant,
    metadata: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
    /// What it says, where the page has room for it; see [`TimelineAnswer::make_json`].
    #[serde(skip)]
    pub(super) json: Option<Text>,
}

/// The bytes of JSON of an event, and of all events, that a page of the timeline shows. The rest have pages of their own.
const LONGEST_JSON: usize = 16 * 1024;
const ALL_JSON: usize = 256 * 1024;

/// What is told of an event beside its name.
#[derive(Default, Deserialize)]
struct EventMembers {
    actor: Option<Text>,
    reason: Option<Text>,
}

impl EventMembers {
    fn of(json: Option<&RawValue>) -> Self {
        json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
    }
}

impl TimelineAnswer {
    /// Makes the JSON that is shown.
    pub(super) fn make_json(&mut self) {
        let mut left = ALL_JSON;
        for event in &mut self.items {
            event.json = in_lines(&event.raw(), left.min(LONGEST_JSON)).map(Text::from);
            left = left.saturating_sub(event.json.as_ref().map_or(0, |json| json.as_str().len()));
        }
    }
}

impl TimelineEvent {
    /// Who caused it.
    pub(crate) fn actor(&self) -> Option<Text> {
        EventMembers::of(self.metadata.as_deref()).actor
    }

    /// Why, if it says so in a word.
    pub(super) fn reason(&self) -> Option<Text> {
        EventMembers::of(self.data.as_deref()).reason
    }

    /// Its data and metadata, to the letter.
    pub(crate) fn raw(&self) -> String {
        let text = |json: &Option<Box<RawValue>>| json.as_deref().map_or("null", RawValue::get).to_owned();
        format!("{{\"data\":{},\"metadata\":{}}}", text(&self.data), text(&self.metadata))
    }
}

impl OrderAnswer {
    /// Its metadata in lines. They are bounded as the order is.
    pub(super) fn metadata_in_lines(&self) -> Option<Text> {
        let metadata = self.metadata.as_deref()?.get();
        Some(in_lines(metadata, ALL_JSON).unwrap_or_else(|| metadata.to_owned()).into())
    }
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
