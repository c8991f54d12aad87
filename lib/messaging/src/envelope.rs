//! The envelope: CloudEvents 1.0, structured JSON.
//!
//! Whatever passes here can be stored and sent on: no text has a character that Postgres or SQS would refuse, for itself or, in one
//! statement or batch, for its neighbours.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The version of the CloudEvents specification that bodies follow.
const SPEC_VERSION: &str = "1.0";

/// How `data` is encoded, and the `content-type` of a body.
const DATA_CONTENT_TYPE: &str = "application/json";

/// The media type of a whole body, sent as the `content-type` attribute.
pub const BODY_CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// What a message says: a type of `data` that two parts of the platform agreed on.
pub trait Contract: Serialize + DeserializeOwned {
    /// The CloudEvents `type`, with its version.
    const TYPE: &'static str;

    /// The CloudEvents `source`: who sends it.
    const SOURCE: &'static str;

    /// The id of the event that bears this data. It is derived from the data, so that the same message made twice has the
    /// same id.
    fn id(&self) -> Uuid;
}

/// An event as it travels. The id is the data's own ([`Contract::id`]), never a fresh one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent<T> {
    /// Identifies the event; the same on every redelivery and repeated send.
    pub id: Uuid,
    /// What it is about: the order id.
    pub subject: String,
    /// When what it tells happened, if its sender said so.
    pub time: Option<DateTime<Utc>>,
    /// W3C trace context of the work that caused it.
    pub traceparent: Option<String>,
    /// What it says.
    pub data: T,
}

impl<T: Contract> CloudEvent<T> {
    /// An event about `subject` (an order id).
    pub fn new(subject: impl Into<String>, time: DateTime<Utc>, data: T) -> Self {
        Self { id: data.id(), subject: subject.into(), time: Some(time), traceparent: None, data }
    }

    /// The same event, traced as part of `traceparent`.
    #[must_use]
    pub fn traced(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// The body to send. Attributes come in a fixed order, so equal events are equal bytes.
    pub fn to_json(&self) -> Result<String, EnvelopeError> {
        let wire = Wire {
            specversion: SPEC_VERSION,
            id: self.id,
            kind: T::TYPE,
            source: T::SOURCE,
            subject: &self.subject,
            time: self.time,
            datacontenttype: DATA_CONTENT_TYPE,
            dataschema: data_schema(T::TYPE),
            traceparent: self.traceparent.as_deref(),
            data: &self.data,
        };
        serde_json::to_string(&wire).map_err(|source| EnvelopeError::Encode { source })
    }

    /// Reads a body that must be a `T`. Extension attributes this version does not know are ignored, as the specification asks.
    pub fn parse(body: &str) -> Result<Self, EnvelopeError> {
        let raw = RawEvent::parse(body)?;
        if raw.kind != T::TYPE {
            return Err(EnvelopeError::UnexpectedType { found: raw.kind, expected: T::TYPE });
        }
        raw.typed()
    }
}

impl<T> CloudEvent<T> {
    /// The same event with its data seen as something else.
    pub(crate) fn map<U>(self, see: impl FnOnce(T) -> U) -> CloudEvent<U> {
        CloudEvent {
            id: self.id,
            subject: self.subject,
            time: self.time,
            traceparent: self.traceparent,
            data: see(self.data),
        }
    }
}

/// Why a body is not the event it should be.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The body is not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject {
        /// What the parser found.
        source: serde_json::Error,
    },
    /// An attribute that every message must bear is not there.
    #[error("the attribute `{attribute}` is missing")]
    Missing {
        /// Its CloudEvents name.
        attribute: &'static str,
    },
    /// An attribute is there and can't be right.
    #[error("the attribute `{attribute}` must be {expected}")]
    Invalid {
        /// Its CloudEvents name.
        attribute: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// A sound event that does not belong on this queue, or of a version this build does not know.
    #[error("the type is `{found}`, expected `{expected}`")]
    UnexpectedType {
        /// The `type` it bears.
        found: String,
        /// The `type`, or types, that belong here.
        expected: &'static str,
    },
    /// The data does not follow the contract of its type.
    #[error("the data is not a valid `{kind}`")]
    Data {
        /// The event's `type`.
        kind: String,
        /// Which field, and where.
        source: serde_json::Error,
    },
    /// The event could not be written as JSON.
    #[error("the event can't be written as JSON")]
    Encode {
        /// What the encoder refused.
        source: serde_json::Error,
    },
}

/// An event whose attributes are sound and whose data has not been looked at: the `type` decides how to read it.
pub(crate) struct RawEvent<'a> {
    pub(crate) kind: String,
    id: Uuid,
    subject: String,
    time: Option<DateTime<Utc>>,
    traceparent: Option<String>,
    data: Cow<'a, str>,
}

impl<'a> RawEvent<'a> {
    pub(crate) fn parse(body: &'a str) -> Result<Self, EnvelopeError> {
        let attributes: Attributes<'a> =
            serde_json::from_str(body).map_err(|source| EnvelopeError::NotAnObject { source })?;
        if text(&attributes, "specversion")? != SPEC_VERSION {
            return Err(EnvelopeError::Invalid { attribute: "specversion", expected: "\"1.0\"" });
        }
        text(&attributes, "source")?;
        let content_type = optional_text(&attributes, "datacontenttype")?;
        if content_type.is_some_and(|it| !is_json(&it)) {
            return Err(EnvelopeError::Invalid { attribute: "datacontenttype", expected: "application/json" });
        }
        optional_text(&attributes, "dataschema")?;
        let id = Uuid::try_parse(&text(&attributes, "id")?)
            .map_err(|_| EnvelopeError::Invalid { attribute: "id", expected: "a UUID" })?;
        let time = optional_text(&attributes, "time")?.map(|time| DateTime::parse_from_rfc3339(&time)).transpose();
        let time = time.map_err(|_| EnvelopeError::Invalid { attribute: "time", expected: "an RFC 3339 time" })?;
        let subject = text(&attributes, "subject")?;
        if !can_be_a_group(&subject) {
            let expected = "1 to 128 characters of ASCII that can be seen";
            return Err(EnvelopeError::Invalid { attribute: "subject", expected });
        }
        Ok(Self {
            kind: text(&attributes, "type")?,
            id,
            subject,
            time: time.map(|time| time.to_utc()),
            traceparent: optional_text(&attributes, "traceparent")?,
            data: data(&attributes)?,
        })
    }

    pub(crate) fn typed<T: Contract>(self) -> Result<CloudEvent<T>, EnvelopeError> {
        let data: T =
            serde_json::from_str(&self.data).map_err(|source| EnvelopeError::Data { kind: self.kind, source })?;
        if data.id() != self.id {
            return Err(EnvelopeError::Invalid { attribute: "id", expected: "the id that its data gives" });
        }
        Ok(CloudEvent { id: self.id, subject: self.subject, time: self.time, traceparent: self.traceparent, data })
    }
}

#[derive(Serialize)]
struct Wire<'a, T> {
    specversion: &'static str,
    id: Uuid,
    #[serde(rename = "type")]
    kind: &'static str,
    source: &'static str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<DateTime<Utc>>,
    datacontenttype: &'static str,
    dataschema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: &'a T,
}

/// By name, so that an error can say which attribute is wrong.
type Attributes<'a> = BTreeMap<String, &'a RawValue>;

fn data_schema(kind: &str) -> String {
    format!("urn:ordo:schema:{kind}")
}

fn text(attributes: &Attributes<'_>, name: &'static str) -> Result<String, EnvelopeError> {
    optional_text(attributes, name)?.ok_or(EnvelopeError::Missing { attribute: name })
}

/// An attribute that is null is one that is not there.
fn optional_text(attributes: &Attributes<'_>, name: &'static str) -> Result<Option<String>, EnvelopeError> {
    let Some(raw) = attributes.get(name).filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => Ok(Some(text)),
        _ => {
            let expected = "a string that is not empty and has no control characters";
            Err(EnvelopeError::Invalid { attribute: name, expected })
        }
    }
}

/// What SQS takes for the name of a group of messages, which the subject is.
fn can_be_a_group(subject: &str) -> bool {
    (1..=128).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(DATA_CONTENT_TYPE)
}

/// The data as JSON, which can also come as Base64.
fn data<'a>(attributes: &Attributes<'a>) -> Result<Cow<'a, str>, EnvelopeError> {
    let (attribute, data) = match (attributes.get("data").copied(), optional_text(attributes, "data_base64")?) {
        (Some(data), None) => ("data", Cow::Borrowed(data.get())),
        (Some(_), Some(_)) => {
            return Err(EnvelopeError::Invalid {
                attribute: "data_base64",
                expected: "left out where there is `data`",
            });
        }
        (None, Some(encoded)) => {
            let bytes = STANDARD.decode(encoded).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let invalid = EnvelopeError::Invalid { attribute: "data_base64", expected: "JSON in Base64" };
            ("data_base64", Cow::Owned(text.ok_or(invalid)?))
        }
        (None, None) => return Err(EnvelopeError::Missing { attribute: "data" }),
    };
    if has_nul(&data) {
        return Err(EnvelopeError::Invalid { attribute, expected: "without the character U+0000" });
    }
    Ok(data)
}

/// Whether any text in a JSON text has the character U+0000, which has to be escaped there.
fn has_nul(json: &str) -> bool {
    let is_escaped = |at: usize| json.as_bytes()[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1;
    json.match_indices("\\u0000").any(|(at, _)| !is_escaped(at))
}

#[cfg(test)]
mod tests;
