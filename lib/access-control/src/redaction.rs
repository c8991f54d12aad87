//! What answers leave out for those who may not see all of it.
//!
//! This is the one place where such fields are named. It works on the JSON of answers, whatever route they come from, so a new route
//! can't forget it. Everything that stays keeps its text: numbers and the order of fields are those of the answer.
//!
//! Of an event only those fields stay that a table names: see `event_fields`.

mod event_fields;

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use self::event_fields::{EventFields, Visibility};
use crate::Grant;

/// What is left out of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// What is known of payments: for whom packs and ships.
    Payments,
    /// What operators decided and what providers of payments and mails said: for customers.
    Internals,
    /// Who the customer is and what people wrote, for auditors. It is masked: a reader sees that there is something.
    PersonalData,
}

/// Stands for what is masked.
const MASK: &str = "\"***\"";

/// Fields that tell of payments. An order's `reason` does, too, where it was rejected.
const PAYMENTS: [&str; 6] = ["paymentStatus", "captured", "refunded", "refunds", "refundMinor", "settled"];
/// Fields of providers, in the list of an order's mails.
const OF_PROVIDERS: [&str; 3] = ["reference", "providerMessageId", "message"];
/// Fields with personal data, and free texts, which may have some.
const PERSONAL: [&str; 10] = [
    "customerId",
    "customerEmail",
    "recipient",
    "notes",
    "text",
    "author",
    "reason",
    "tracking",
    "message",
    "lastError",
];
/// Objects with personal data: of these a reader sees that they are there.
const PERSONAL_OBJECTS: [&str; 4] = ["customer", "billingAddress", "shippingAddress", "attributes"];
/// Rows of read models, as a comparison of two generations quotes them.
const ROWS: [&str; 2] = ["old", "new"];
/// What an event has beside what happened: who and what caused it are in its `metadata`.
const OF_EVENTS: [&str; 7] = ["version", "position", "type", "eventId", "recordedAt", "streamType", "streamId"];
/// What the metadata of an event has.
const CAUSES: [&str; 4] = ["actor", "correlationId", "causationId", "traceparent"];
/// What a shop adds to an order or a line. It can be any JSON, so nothing is known of what is in it.
const SHOPS_METADATA: &str = "metadata";

/// JSON that is nested deeper is no answer of ours.
const DEEPEST: usize = 64;

impl Redaction {
    /// `None`: nothing is left out.
    #[must_use]
    pub fn of(grant: Grant) -> Option<Self> {
        match grant {
            Grant::All | Grant::UpToAmount => None,
            Grant::Own => Some(Self::Internals),
            Grant::WithoutPaymentDetails => Some(Self::Payments),
            Grant::Masked => Some(Self::PersonalData),
        }
    }

    /// Whether a field is one of those that are always left out or masked.
    pub(crate) fn hides(self, field: &str) -> bool {
        match self {
            Self::Payments => PAYMENTS.contains(&field),
            Self::Internals => OF_PROVIDERS.contains(&field),
            Self::PersonalData => PERSONAL.contains(&field) || PERSONAL_OBJECTS.contains(&field),
        }
    }

    /// An answer without what is left out. It fails if `json` is not JSON.
    pub fn apply(self, json: &str) -> Result<String, serde_json::Error> {
        let answer: &RawValue = serde_json::from_str(json)?;
        let mut left = String::with_capacity(json.len());
        self.value(answer, DEEPEST, &mut left)?;
        Ok(left)
    }

    fn value(self, value: &RawValue, depth: usize, left: &mut String) -> Result<(), serde_json::Error> {
        let text = value.get();
        if depth == 0 {
            return Err(serde::de::Error::custom("it is nested too deep"));
        }
        match text.as_bytes().first() {
            Some(b'{') => self.object(&serde_json::from_str(text)?, depth - 1, left),
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text)?;
                left.push('[');
                let shown = elements.into_iter().filter(|element| !self.leaves_out(element));
                for (nth, element) in shown.enumerate() {
                    left.push_str(if nth > 0 { "," } else { "" });
                    self.value(element, depth - 1, left)?;
                }
                left.push(']');
                Ok(())
            }
            // An actor that is a customer. Errors that providers report may quote an address.
            Some(b'"') if self == Self::PersonalData && (text.starts_with("\"customer:") || text.contains('@')) => {
                left.push_str(MASK);
                Ok(())
            }
            _ => {
                left.push_str(text);
                Ok(())
            }
        }
    }

    fn object(self, object: &Object<'_>, depth: usize, left: &mut String) -> Result<(), serde_json::Error> {
        let event = object.event_type();
        let mut fields = Fields::begin(left);
        for (name, value) in &object.0 {
            match event.as_deref() {
                Some(event_type) => self.field_of_event(event_type, name, value, depth, &mut fields)?,
                None => match self.treatment(name, value, object) {
                    Treatment::LeaveOut => {}
                    Treatment::Keep => fields.name(name)?.push_str(value.get()),
                    Treatment::Mask => fields.name(name)?.push_str(masked(value)),
                    Treatment::Look => self.value(value, depth, fields.name(name)?)?,
                },
            }
        }
        fields.end();
        Ok(())
    }

    /// Whether an element of a list is left out: of an order's mails the one about a refund, and that an order has more refunds.
    fn leaves_out(self, element: &RawValue) -> bool {
        let text = element.get();
        let is_refund_mail = || {
            let mail: Option<Object<'_>> = serde_json::from_str(text).ok();
            mail.is_some_and(|mail| {
                mail.has("notificationId") && mail.text("template").as_deref() == Some("order-refunded")
            })
        };
        self == Self::Payments && (text == "\"refunds\"" || (text.contains("\"order-refunded\"") && is_refund_mail()))
    }

    /// What becomes of a field of an object that is no event.
    fn treatment(self, name: &str, value: &RawValue, object: &Object<'_>) -> Treatment {
        // What is wrong with a field of the request, in our words.
        if name == "message" && object.has("pointer") && object.has("code") {
            return Treatment::Look;
        }
        match self {
            Self::Payments => match name {
                "reason" if object.has("paymentStatus") => Treatment::LeaveOut,
                name if PAYMENTS.contains(&name) => Treatment::LeaveOut,
                SHOPS_METADATA => Treatment::Keep,
                _ => Treatment::Look,
            },
            Self::Internals => match name {
                "reason" if object.has("notificationId") => Treatment::LeaveOut,
                name if OF_PROVIDERS.contains(&name) => Treatment::LeaveOut,
                SHOPS_METADATA => Treatment::Keep,
                _ => Treatment::Look,
            },
            Self::PersonalData => {
                let is_text = value.get().starts_with('"');
                match name {
                    SHOPS_METADATA => Treatment::Mask,
                    name if PERSONAL_OBJECTS.contains(&name) => Treatment::Mask,
                    name if PERSONAL.contains(&name) && is_text => Treatment::Mask,
                    name if ROWS.contains(&name) => Treatment::LeaveOut,
                    _ => Treatment::Look,
                }
            }
        }
    }

    fn field_of_event(
        self,
        event_type: &str,
        name: &str,
        value: &RawValue,
        depth: usize,
        fields: &mut Fields<'_>,
    ) -> Result<(), serde_json::Error> {
        match name {
            "data" => self.data(EventFields::of(event_type), &mut String::new(), value, depth, fields.name(name)?),
            // Who of the shop did it, and the traces of requests.
            "metadata" if self == Self::Internals => {
                fields.name(name)?.push_str("{}");
                Ok(())
            }
            "metadata" => {
                let mut causes = Fields::begin(fields.name(name)?);
                let metadata: Object<'_> = serde_json::from_str(value.get())?;
                for (name, value) in metadata.0.iter().filter(|(name, _)| CAUSES.contains(&name.as_ref())) {
                    let left = causes.name(name)?;
                    match self.treatment(name, value, &metadata) {
                        Treatment::Mask => left.push_str(masked(value)),
                        Treatment::Keep | Treatment::Look | Treatment::LeaveOut => self.value(value, depth, left)?,
                    }
                }
                causes.end();
                Ok(())
            }
            name if OF_EVENTS.contains(&name) => self.value(value, depth, fields.name(name)?),
            _ => Ok(()),
        }
    }

    /// What is left of the data of an event, or of a part of it: that at `path`.
    fn data(
        self,
        rows: EventFields,
        path: &mut String,
        data: &RawValue,
        depth: usize,
        left: &mut String,
    ) -> Result<(), serde_json::Error> {
        let text = data.get();
        if depth == 0 {
            return Err(serde::de::Error::custom("it is nested too deep"));
        }
        match text.as_bytes().first() {
            Some(b'{') => {
                let object: Object<'_> = serde_json::from_str(text)?;
                let mut fields = Fields::begin(left);
                let length = path.len();
                // A dot is between names, so no name has one.
                for (name, value) in object.0.iter().filter(|(name, _)| !name.contains('.')) {
                    path.push_str(if length == 0 { "" } else { "." });
                    path.push_str(name);
                    match rows.visibility(path, self) {
                        Visibility::LeftOut => {}
                        Visibility::Whole => fields.name(name)?.push_str(value.get()),
                        Visibility::Masked => fields.name(name)?.push_str(masked(value)),
                        Visibility::Shown => self.data(rows, path, value, depth - 1, fields.name(name)?)?,
                    }
                    path.truncate(length);
                }
                fields.end();
                Ok(())
            }
            // Not by a name, so nothing is known of it.
            _ if path.is_empty() => {
                left.push_str("{}");
                Ok(())
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text)?;
                left.push('[');
                for (nth, element) in elements.into_iter().enumerate() {
                    left.push_str(if nth > 0 { "," } else { "" });
                    self.data(rows, path, element, depth - 1, left)?;
                }
                left.push(']');
                Ok(())
            }
            _ => self.value(data, depth, left),
        }
    }
}

/// Stands for a value. It is of the same kind, so that a client can read it.
fn masked(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "{}",
        Some(b'[') => "[]",
        Some(b'n') => "null",
        _ => MASK,
    }
}

/// Writes the fields of an object.
struct Fields<'a> {
    left: &'a mut String,
    are_begun: bool,
}

impl<'a> Fields<'a> {
    fn begin(left: &'a mut String) -> Self {
        left.push('{');
        Self { left, are_begun: false }
    }

    /// Writes the name of a field. Its value is to be written next.
    fn name(&mut self, name: &str) -> Result<&mut String, serde_json::Error> {
        self.left.push_str(if self.are_begun { "," } else { "" });
        self.are_begun = true;
        self.left.push_str(&serde_json::to_string(name)?);
        self.left.push(':');
        Ok(self.left)
    }

    fn end(self) {
        self.left.push('}');
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// It stays, and so does all that is in it.
    Keep,
    /// It stays, but for what is in it.
    Look,
    LeaveOut,
    Mask,
}

/// An object's fields in their order.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Object<'_> {
    fn has(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| name == field)
    }

    /// The type of the event, if it is an entry of a timeline or of the live stream.
    fn event_type(&self) -> Option<String> {
        if !self.has("eventId") {
            return None;
        }
        self.text("type")
    }

    fn text(&self, field: &str) -> Option<String> {
        let (_, text) = self.0.iter().find(|(name, _)| name == field)?;
        serde_json::from_str(text.get()).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    fields.push((name.0, value));
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(ObjectVisitor).map(Self)
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
