//! What answers leave out for those who may not see all of it.
//!
//! This is the one place where such fields are named. It works on the JSON of answers, whatever route they come from, so a new route
//! can't forget it. Everything that stays keeps its text: numbers and the order of fields are those of the answer.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

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
const PAYMENTS: [&str; 6] = ["paymentStatus", "captured", "refunded", "refunds", "refundMinor", "paymentDeclined"];
/// Fields of providers, in the events of payments and mails and in the list of an order's mails.
const OF_PROVIDERS: [&str; 3] = ["reference", "providerMessageId", "message"];
/// Fields with personal data, and free texts, which may have some.
const PERSONAL: [&str; 9] =
    ["customerId", "customerEmail", "recipient", "notes", "text", "author", "reason", "tracking", "message"];
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
                for (nth, element) in elements.into_iter().enumerate() {
                    left.push_str(if nth > 0 { "," } else { "" });
                    self.value(element, depth - 1, left)?;
                }
                left.push(']');
                Ok(())
            }
            // Errors that providers report may quote an address.
            Some(b'"') if self == Self::PersonalData && text.contains('@') => {
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
        left.push('{');
        let mut first = true;
        for (name, value) in &object.0 {
            let treatment = self.treatment(name, value, object);
            if treatment == Treatment::LeaveOut {
                continue;
            }
            left.push_str(if first { "" } else { "," });
            first = false;
            left.push_str(&serde_json::to_string(name)?);
            left.push(':');
            match treatment {
                Treatment::Keep | Treatment::LeaveOut => left.push_str(value.get()),
                Treatment::Empty => left.push_str("{}"),
                Treatment::Mask => left.push_str(MASK),
                Treatment::Look => self.value(value, depth, left)?,
            }
        }
        left.push('}');
        Ok(())
    }

    /// What becomes of a field of an object.
    fn treatment(self, name: &str, value: &RawValue, object: &Object<'_>) -> Treatment {
        let event = object.event_type();
        let is_of =
            |kinds: &[&str]| event.as_deref().is_some_and(|event| kinds.iter().any(|kind| event.starts_with(kind)));
        match self {
            Self::Payments => match name {
                "data" if is_of(&["Payment", "Refund", "OperatorIntervened"]) => Treatment::Empty,
                "reason" if object.has("paymentStatus") => Treatment::LeaveOut,
                name if PAYMENTS.contains(&name) => Treatment::LeaveOut,
                SHOPS_METADATA => Treatment::Keep,
                _ => Treatment::Look,
            },
            Self::Internals => match name {
                "data" if is_of(&["OperatorIntervened", "PaymentOutcomeUnknown", "NotificationFailed"]) => {
                    Treatment::Empty
                }
                // Who of the shop did it, and the traces of requests.
                "metadata" if event.is_some() => Treatment::Empty,
                "reason" if object.has("notificationId") => Treatment::LeaveOut,
                name if OF_PROVIDERS.contains(&name) => Treatment::LeaveOut,
                SHOPS_METADATA => Treatment::Keep,
                _ => Treatment::Look,
            },
            Self::PersonalData => {
                let is_text = value.get().starts_with('"');
                match name {
                    "actor" if value.get().starts_with("\"customer:") => Treatment::Mask,
                    "metadata" if event.is_none() => Treatment::Mask,
                    name if PERSONAL.contains(&name) && is_text => Treatment::Mask,
                    _ => Treatment::Look,
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// It stays, and so does all that is in it.
    Keep,
    /// It stays, but for what is in it.
    Look,
    LeaveOut,
    /// `{}` instead.
    Empty,
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
        let (_, event_type) = self.0.iter().find(|(name, _)| name == "type")?;
        serde_json::from_str(event_type.get()).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
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

        deserializer.deserialize_map(Fields).map(Self)
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
