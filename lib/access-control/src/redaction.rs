//! What answers leave out for those who may not see all of it.
//!
//! Such a caller sees of an answer the fields that a table names, and nothing else: a new field is left out until somebody says in the
//! table who may see it. `answer_fields` has the answers of each route, `event_fields` the events. A test asks for a row for each field.
//! Everything that stays keeps its text: numbers and the order of fields are those of the answer.

mod answer_fields;
mod event_fields;

use problem::{ObjectWriter, RawObject};
use serde_json::value::RawValue;

use self::answer_fields::{Content, FieldRow};
use self::event_fields::EventRedactionRules;
use crate::{Role, Route, RoutePermission};

/// What is left out of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// What is known of payments: for whom packs and ships.
    Payments,
    /// What operators decided and what providers of payments and mails said: for customers.
    Internals,
    /// Who the customer is and what people wrote, for auditors. It is masked: a reader sees that there is something.
    PersonalData,
    /// What none of these may see, such as payment tokens. It is for events that leave the platform.
    Secrets,
}

/// An extension of an answer: its handler has left out by itself what the caller may not see, because it is no JSON or too long to be
/// changed as a whole.
#[derive(Debug, Clone, Copy)]
pub struct HandlerRedacted;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldVisibility {
    /// It is shown. If it is an object or a list of objects, their fields have rows of their own.
    Shown,
    /// It is shown with all that is in it, whatever that is.
    Whole,
    Masked,
    LeftOut,
}

/// What customers, warehouse and auditors see of a field.
type ByReader = [FieldVisibility; 3];

/// Stands for what is masked.
const MASK: &str = "\"***\"";
/// What an event has beside what happened: who and what caused it are in its `metadata`.
const OF_EVENTS: [&str; 7] = ["version", "position", "type", "eventId", "recordedAt", "streamType", "streamId"];
/// What the metadata of an event has.
const CAUSES: [&str; 4] = ["actor", "correlationId", "causationId", "traceparent"];
/// The members of problems that tell nothing of payments, of customers or of the shop's stock.
const OF_PROBLEMS: [&str; 8] = ["allowed", "createdAt", "currentVersion", "limit", "of", "orderId", "pointer", "stage"];

/// JSON that is nested deeper is no answer of ours.
const DEEPEST: usize = 64;

impl Redaction {
    /// `None`: nothing is left out.
    #[must_use]
    pub fn of(grant: RoutePermission) -> Option<Self> {
        match grant {
            RoutePermission::All | RoutePermission::UpToAmount => None,
            RoutePermission::Own => Some(Self::Internals),
            RoutePermission::WithoutPaymentDetails => Some(Self::Payments),
            RoutePermission::Masked => Some(Self::PersonalData),
        }
    }

    /// Whether a member of a problem is shown.
    pub(crate) fn shows_member(member: &str) -> bool {
        OF_PROBLEMS.contains(&member)
    }

    /// An answer of a route without what is left out. It fails if `json` is not JSON.
    pub fn apply(self, route: &Route, json: &str) -> Result<String, serde_json::Error> {
        let answer: &RawValue = serde_json::from_str(json)?;
        let mut left = String::with_capacity(json.len());
        self.value(Content::of(route), answer, DEEPEST, &mut left)?;
        Ok(left)
    }

    /// What is left out of the events that are published to a program with the view of a role.
    #[must_use]
    pub fn of_published_events(role: Role) -> Self {
        match role {
            Role::Shop | Role::Operator | Role::Support | Role::Finance => Self::Secrets,
            Role::Customer => Self::Internals,
            Role::Warehouse => Self::Payments,
            Role::Auditor => Self::PersonalData,
        }
    }

    /// An event, as the live stream has it, without what is left out. It fails if `json` is no JSON object.
    pub fn apply_to_event(self, json: &str) -> Result<String, serde_json::Error> {
        let event: RawObject<'_> = serde_json::from_str(json)?;
        let mut left = String::with_capacity(json.len());
        self.event(&event, DEEPEST, &mut left)?;
        Ok(left)
    }

    fn of_reader(self, by_reader: &ByReader) -> FieldVisibility {
        match self {
            Self::Secrets if by_reader.contains(&FieldVisibility::Whole) => FieldVisibility::Whole,
            Self::Secrets if by_reader.iter().all(|it| *it == FieldVisibility::LeftOut) => FieldVisibility::LeftOut,
            Self::Secrets => FieldVisibility::Shown,
            Self::Internals => by_reader[0],
            Self::Payments => by_reader[1],
            Self::PersonalData => by_reader[2],
        }
    }

    /// What is left of a value with this content, or of each element of a list of such values.
    fn value(
        self,
        content: Content,
        value: &RawValue,
        depth: usize,
        left: &mut String,
    ) -> Result<(), serde_json::Error> {
        let text = value.get();
        let depth = less(depth)?;
        match text.as_bytes().first() {
            Some(b'{') => {
                let object: RawObject<'_> = serde_json::from_str(text)?;
                match content {
                    Content::Object(rows) => self.object(rows, &object, depth, left),
                    Content::ByName(rows) => self.by_name(rows, &object, depth, left),
                    Content::Event => self.event(&object, depth, left),
                    // Nothing is known of what is in it.
                    Content::Value => {
                        left.push_str("{}");
                        Ok(())
                    }
                }
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text)?;
                left.push('[');
                let shown = elements.into_iter().filter(|element| !self.leaves_out(element));
                for (nth, element) in shown.enumerate() {
                    left.push_str(if nth > 0 { "," } else { "" });
                    self.value(content, element, depth, left)?;
                }
                left.push(']');
                Ok(())
            }
            _ => {
                left.push_str(match content {
                    Content::Value => self.scalar(text),
                    // An object was to be here.
                    Content::Object(_) | Content::ByName(_) | Content::Event => "null",
                });
                Ok(())
            }
        }
    }

    /// A text, number, boolean or null.
    fn scalar(self, text: &str) -> &str {
        // An actor that is a customer. Errors that providers report may quote an address.
        let is_personal = text.starts_with("\"customer:") || (text.starts_with('"') && text.contains('@'));
        if self == Self::PersonalData && is_personal { MASK } else { text }
    }

    fn object(
        self,
        rows: &[FieldRow],
        object: &RawObject<'_>,
        depth: usize,
        left: &mut String,
    ) -> Result<(), serde_json::Error> {
        let mut writer = ObjectWriter::begin(left);
        for (name, value) in object.fields() {
            let Some((_, by_reader, content)) = rows.iter().find(|(known, ..)| known == name) else { continue };
            match self.of_reader(by_reader) {
                FieldVisibility::LeftOut => {}
                FieldVisibility::Whole => writer.name(name)?.push_str(value.get()),
                FieldVisibility::Masked => writer.name(name)?.push_str(masked(value)),
                FieldVisibility::Shown => self.value(*content, value, depth, writer.name(name)?)?,
            }
        }
        writer.end();
        Ok(())
    }

    /// An object whose fields all have the same content, whatever their names are.
    fn by_name(
        self,
        rows: &[FieldRow],
        object: &RawObject<'_>,
        depth: usize,
        left: &mut String,
    ) -> Result<(), serde_json::Error> {
        let mut writer = ObjectWriter::begin(left);
        for (name, value) in object.fields() {
            let left = writer.name(name)?;
            match serde_json::from_str::<RawObject<'_>>(value.get()) {
                Ok(object) => self.object(rows, &object, depth, left)?,
                Err(_) => left.push_str("null"),
            }
        }
        writer.end();
        Ok(())
    }

    /// Whether an element of a list is left out: for whom packs, the mails about money that goes back, and that an order has more refunds; for
    /// customers, the mail to staff and the events that tell of it.
    fn leaves_out(self, element: &RawValue) -> bool {
        const OF_REFUND: [&str; 2] = ["\"order-refunded\"", "\"payment-released\""];
        const TO_STAFF: &str = "\"staff-new-order\"";
        let text = element.get();
        match self {
            Self::Payments => text == "\"refunds\"" || OF_REFUND.iter().any(|mail| is_mail(text, mail)),
            Self::Internals => is_mail(text, TO_STAFF) || is_event_of_mail(text, TO_STAFF),
            Self::PersonalData | Self::Secrets => false,
        }
    }

    fn event(self, event: &RawObject<'_>, depth: usize, left: &mut String) -> Result<(), serde_json::Error> {
        let event_type = event.get("type").and_then(|it| serde_json::from_str::<String>(it.get()).ok());
        let rows = EventRedactionRules::of(event_type.as_deref().unwrap_or_default());
        let mut writer = ObjectWriter::begin(left);
        for (name, value) in event.fields() {
            match name.as_ref() {
                "data" => self.data(rows, &mut String::new(), value, depth, writer.name(name)?)?,
                // Who of the shop did it, and the traces of requests.
                "metadata" if self == Self::Internals => writer.name(name)?.push_str("{}"),
                "metadata" => self.causes(value, writer.name(name)?)?,
                known if OF_EVENTS.contains(&known) => self.value(Content::Value, value, depth, writer.name(name)?)?,
                _ => {}
            }
        }
        writer.end();
        Ok(())
    }

    fn causes(self, metadata: &RawValue, left: &mut String) -> Result<(), serde_json::Error> {
        // Other writers may have stored metadata that is no object.
        let Ok(metadata) = serde_json::from_str::<RawObject<'_>>(metadata.get()) else {
            left.push_str("{}");
            return Ok(());
        };
        let mut writer = ObjectWriter::begin(left);
        for (name, value) in metadata.fields().iter().filter(|(name, _)| CAUSES.contains(&name.as_ref())) {
            self.value(Content::Value, value, DEEPEST, writer.name(name)?)?;
        }
        writer.end();
        Ok(())
    }

    /// What is left of the data of an event, or of a part of it: that at `path`.
    fn data(
        self,
        rows: EventRedactionRules,
        path: &mut String,
        data: &RawValue,
        depth: usize,
        left: &mut String,
    ) -> Result<(), serde_json::Error> {
        let text = data.get();
        let depth = less(depth)?;
        match text.as_bytes().first() {
            Some(b'{') => {
                let object: RawObject<'_> = serde_json::from_str(text)?;
                let mut writer = ObjectWriter::begin(left);
                let length = path.len();
                // A dot is between names, so no name has one.
                for (name, value) in object.fields().iter().filter(|(name, _)| !name.contains('.')) {
                    path.push_str(if length == 0 { "" } else { "." });
                    path.push_str(name);
                    match rows.visibility(path, self) {
                        FieldVisibility::LeftOut => {}
                        FieldVisibility::Whole => writer.name(name)?.push_str(value.get()),
                        FieldVisibility::Masked => writer.name(name)?.push_str(masked(value)),
                        FieldVisibility::Shown => self.data(rows, path, value, depth, writer.name(name)?)?,
                    }
                    path.truncate(length);
                }
                writer.end();
            }
            // Not by a name, so nothing is known of it.
            _ if path.is_empty() => left.push_str("{}"),
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text)?;
                left.push('[');
                for (nth, element) in elements.into_iter().enumerate() {
                    left.push_str(if nth > 0 { "," } else { "" });
                    self.data(rows, path, element, depth, left)?;
                }
                left.push(']');
            }
            _ => left.push_str(self.scalar(text)),
        }
        Ok(())
    }
}

/// Whether it is the row of a mail with this template, which is JSON.
fn is_mail(text: &str, template: &str) -> bool {
    let is_it = |mail: RawObject<'_>| {
        mail.get("notificationId").is_some() && mail.get("template").is_some_and(|it| it.get() == template)
    };
    text.contains(template) && serde_json::from_str(text).is_ok_and(is_it)
}

/// Whether it is an event that tells of such a mail.
fn is_event_of_mail(text: &str, template: &str) -> bool {
    let is_it = |event: RawObject<'_>| {
        event.get("eventId").is_some() && event.get("data").is_some_and(|data| is_mail(data.get(), template))
    };
    text.contains(template) && serde_json::from_str(text).is_ok_and(is_it)
}

fn less(depth: usize) -> Result<usize, serde_json::Error> {
    depth.checked_sub(1).ok_or_else(|| serde::de::Error::custom("it is nested too deep"))
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
