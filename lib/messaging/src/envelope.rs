//! The envelope: CloudEvents 1.0, structured JSON.
//!
//! A parsed event can be stored and sent on: no text in it has a character that Postgres or SQS would refuse. Such a
//! text would also fail the other events of its statement or batch.

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

/// The encoding of `data`.
const DATA_CONTENT_TYPE: &str = "application/json";

/// The media type of a whole body, sent as the `content-type` attribute.
pub(crate) const BODY_CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The type of a message's `data`, agreed on by its sender and its receiver.
pub trait MessageContract: Serialize + DeserializeOwned {
    /// The CloudEvents `type`, with its version.
    const TYPE: &'static str;

    /// The CloudEvents `source`.
    const SOURCE: &'static str;

    /// The id of the event with this data. It is derived from the data, so that a message that is made twice has the
    /// same id.
    fn id(&self) -> Uuid;
}

/// An event with its data. Its id is derived from the data ([`MessageContract::id`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent<T> {
    /// The same on every redelivery and repeated send.
    pub id: Uuid,
    /// The order id.
    pub subject: String,
    /// When it happened, if the sender set that.
    pub time: Option<DateTime<Utc>>,
    /// The W3C trace context of its cause.
    pub traceparent: Option<String>,
    pub data: T,
}

impl<T: MessageContract> CloudEvent<T> {
    pub fn new(subject: impl Into<String>, time: DateTime<Utc>, data: T) -> Self {
        Self { id: data.id(), subject: subject.into(), time: Some(time), traceparent: None, data }
    }

    #[must_use]
    pub fn traced(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// The message body. Attributes have a fixed order, so equal events give equal bytes.
    pub fn to_json(&self) -> Result<String, EnvelopeError> {
        let wire = CloudEventJson {
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

    /// Parses a body. Unknown extension attributes are ignored, as the specification requires.
    pub fn parse(body: &str) -> Result<Self, EnvelopeError> {
        let raw = RawCloudEvent::parse(body)?;
        if raw.kind != T::TYPE {
            return Err(EnvelopeError::UnexpectedType { found: raw.kind, expected: T::TYPE });
        }
        raw.typed()
    }
}

impl<T> CloudEvent<T> {
    pub(crate) fn map<U>(self, convert: impl FnOnce(T) -> U) -> CloudEvent<U> {
        CloudEvent {
            id: self.id,
            subject: self.subject,
            time: self.time,
            traceparent: self.traceparent,
            data: convert(self.data),
        }
    }
}

/// Why a body is no event, or an event can't be written.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the body is not a JSON object")]
    NotAnObject { source: serde_json::Error },
    #[error("the attribute `{attribute}` is missing")]
    Missing { attribute: &'static str },
    #[error("the attribute `{attribute}` must be {expected}")]
    Invalid { attribute: &'static str, expected: &'static str },
    /// A valid event of another queue, or of a version that this build does not know.
    #[error("the type is `{found}`, expected `{expected}`")]
    UnexpectedType { found: String, expected: &'static str },
    #[error("the data is not a valid `{kind}`")]
    Data { kind: String, source: serde_json::Error },
    #[error("the event can't be written as JSON")]
    Encode { source: serde_json::Error },
}

/// An event with valid attributes whose data is not parsed yet.
pub(crate) struct RawCloudEvent<'a> {
    pub(crate) kind: String,
    id: Uuid,
    subject: String,
    time: Option<DateTime<Utc>>,
    traceparent: Option<String>,
    data: Cow<'a, str>,
}

impl<'a> RawCloudEvent<'a> {
    pub(crate) fn parse(body: &'a str) -> Result<Self, EnvelopeError> {
        let attributes: CloudEventAttributes<'a> =
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
        if !is_valid_group_id(&subject) {
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

    pub(crate) fn typed<T: MessageContract>(self) -> Result<CloudEvent<T>, EnvelopeError> {
        let data: T =
            serde_json::from_str(&self.data).map_err(|source| EnvelopeError::Data { kind: self.kind, source })?;
        if data.id() != self.id {
            return Err(EnvelopeError::Invalid { attribute: "id", expected: "the id that its data gives" });
        }
        Ok(CloudEvent { id: self.id, subject: self.subject, time: self.time, traceparent: self.traceparent, data })
    }
}

#[derive(Serialize)]
struct CloudEventJson<'a, T> {
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

type CloudEventAttributes<'a> = BTreeMap<String, &'a RawValue>;

fn data_schema(kind: &str) -> String {
    format!("urn:ordo:schema:{kind}")
}

fn text(attributes: &CloudEventAttributes<'_>, name: &'static str) -> Result<String, EnvelopeError> {
    optional_text(attributes, name)?.ok_or(EnvelopeError::Missing { attribute: name })
}

/// A null attribute counts as missing.
fn optional_text(attributes: &CloudEventAttributes<'_>, name: &'static str) -> Result<Option<String>, EnvelopeError> {
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

/// Whether SQS accepts the subject as a message group id.
fn is_valid_group_id(subject: &str) -> bool {
    (1..=128).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(DATA_CONTENT_TYPE)
}

/// The data as JSON. It can also come in Base64.
fn data<'a>(attributes: &CloudEventAttributes<'a>) -> Result<Cow<'a, str>, EnvelopeError> {
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

/// Whether any string in the JSON has the character U+0000, which is always escaped there.
fn has_nul(json: &str) -> bool {
    let is_escaped = |at: usize| json.as_bytes()[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1;
    json.match_indices("\\u0000").any(|(at, _)| !is_escaped(at))
}

#[cfg(test)]
mod tests;
