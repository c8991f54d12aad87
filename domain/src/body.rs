//! Reads a posted JSON object field by field. It collects every violation instead of stopping at the first.

mod texts;

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use texts::TextsLimits;

/// A rule that a body breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyViolation {
    /// Where: a JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// Which rule, for programs: `required`, `unknown_field`, `out_of_range`, …
    pub code: &'static str,
    /// How to correct it, for people.
    pub message: String,
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBody {
    /// It is no JSON object.
    #[error(transparent)]
    Malformed(#[from] MalformedBody),
    /// It breaks these rules. Never empty.
    #[error("{} violations", .0.len())]
    Invalid(Vec<BodyViolation>),
}

impl InvalidBody {
    /// Leaves out all violations but the first ones, and says so.
    #[must_use]
    pub fn with_at_most(self, violations: usize) -> Self {
        match self {
            Self::Malformed(_) => self,
            Self::Invalid(found) => Self::Invalid(cut(found, violations)),
        }
    }
}

fn cut(mut violations: Vec<BodyViolation>, most: usize) -> Vec<BodyViolation> {
    if violations.len() > most {
        violations.truncate(most);
        violations.push(BodyViolation {
            pointer: String::new(),
            code: "too_many_violations",
            message: format!("there are more than {most} violations; these are the first"),
        });
    }
    violations
}

/// A body that is no JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a JSON object: {0}")]
pub struct MalformedBody(pub String);

/// Reads a body that must be a JSON object. The error lists every violation. Numbers are read from their text and never pass through
/// a float.
pub(crate) fn read_body<T>(
    body: &[u8],
    read: impl FnOnce(&mut BodyReader, JsonFields<'_>) -> Option<T>,
) -> Result<T, InvalidBody> {
    let body = std::str::from_utf8(body).map_err(|error| MalformedBody(format!("it is not UTF-8 ({error})")))?;
    let fields: JsonFields<'_> = serde_json::from_str(body).map_err(|error| MalformedBody(error.to_string()))?;
    let mut reader = BodyReader::default();
    let value = read(&mut reader, fields);
    match (value, reader.into_violations()) {
        (Some(value), violations) if violations.is_empty() => Ok(value),
        (_, violations) => Err(InvalidBody::Invalid(violations)),
    }
}

/// The most violations that an error lists. It says if there are more.
pub(crate) const MAX_VIOLATIONS: usize = 1_000;

/// The members of a JSON object, in their order.
pub(crate) struct JsonFields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A field of the object that is being read, with its value if it has one.
pub(crate) struct JsonField<'a> {
    name: &'static str,
    value: Option<&'a RawValue>,
}

/// Reads a body and collects its violations.
#[derive(Default)]
pub(crate) struct BodyReader {
    path: String,
    violations: Vec<BodyViolation>,
}

impl BodyReader {
    pub(crate) fn into_violations(self) -> Vec<BodyViolation> {
        cut(self.violations, MAX_VIOLATIONS)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn add_violation(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        // One more than the bound is kept: it shows that there are more.
        if self.violations.len() <= MAX_VIOLATIONS {
            self.violations.push(BodyViolation { pointer: pointer.into(), code, message: message.into() });
        }
    }

    /// Adds a violation by a field of the object that is being read. Its pointer is built only here, because most bodies are valid.
    pub(crate) fn violation_at(&mut self, field: &JsonField<'_>, code: &'static str, message: impl Into<String>) {
        self.violation_in(field.name, code, message);
    }

    /// Adds a violation by a named field of what is being read.
    pub(crate) fn violation_in(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        self.add_violation(format!("{}/{name}", self.path), code, message);
    }

    /// Reads one element of an array. Pointers to violations begin with the element's.
    pub(crate) fn element<T>(&mut self, array: &JsonField<'_>, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.path.len();
        // Writing to a String can't fail.
        let _ = write!(self.path, "/{}/{index}", array.name);
        let value = read(self);
        self.path.truncate(outer);
        value
    }

    /// Reads the object in a field. Pointers to violations begin with the field's.
    pub(crate) fn member<'a, T>(
        &mut self,
        field: &JsonField<'a>,
        read: impl FnOnce(&mut Self, JsonFields<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = field.value?;
        let outer = self.path.len();
        self.path.push('/');
        self.path.push_str(field.name);
        let read = self.fields(value).and_then(|fields| read(self, fields));
        self.path.truncate(outer);
        read
    }

    /// The members of an object.
    pub(crate) fn fields<'a>(&mut self, value: &'a RawValue) -> Option<JsonFields<'a>> {
        match serde_json::from_str(value.get()) {
            Ok(fields) => Some(fields),
            Err(_) => {
                self.add_violation(self.path.clone(), "wrong_type", "must be an object");
                None
            }
        }
    }

    /// The named fields of an object. Any other field is a violation, and so is a field that is given twice.
    pub(crate) fn object<'a, const N: usize>(
        &mut self,
        fields: JsonFields<'a>,
        names: [&'static str; N],
    ) -> [JsonField<'a>; N] {
        let mut found = names.map(|name| JsonField { name, value: None });
        for (name, value) in fields.0 {
            match names.iter().position(|known| *known == name) {
                Some(at) if found[at].value.is_some() => {
                    self.violation_at(&found[at], "duplicate_field", "is given twice");
                }
                Some(at) => found[at].value = Some(value),
                None => {
                    let pointer = format!("{}/{}", self.path, name.replace('~', "~0").replace('/', "~1"));
                    self.add_violation(pointer, "unknown_field", "is not a field that is known here");
                }
            }
        }
        found
    }

    /// A field that must be there.
    pub(crate) fn required<'a, T>(
        &mut self,
        field: &JsonField<'a>,
        read: impl FnOnce(&mut Self, &JsonField<'a>) -> Option<T>,
    ) -> Option<T> {
        if field.value.is_none() {
            self.violation_at(field, "required", "is required");
            return None;
        }
        read(self, field)
    }

    /// A field that may be missing or null. It is `Some(None)` then.
    #[expect(clippy::option_option, reason = "outer: was it valid; inner: was it given")]
    pub(crate) fn optional<'a, T>(
        &mut self,
        field: &JsonField<'a>,
        read: impl FnOnce(&mut Self, &JsonField<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        match field.value {
            None => Some(None),
            Some(value) if value.get() == "null" => Some(None),
            Some(_) => read(self, field).map(Some),
        }
    }

    /// A text that parses as something.
    pub(crate) fn text<T, E: fmt::Display>(
        &mut self,
        field: &JsonField<'_>,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string(field)?;
        self.checked(field, parse(text.into_owned()))
    }

    /// Any JSON that parses as something.
    pub(crate) fn parsed<'a, T, E: fmt::Display>(
        &mut self,
        field: &JsonField<'a>,
        parse: impl FnOnce(&'a RawValue) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(field.value?);
        self.checked(field, parsed)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, field: &JsonField<'_>) -> Option<bool> {
        match field.text() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.violation_at(field, "wrong_type", "must be true or false");
                None
            }
        }
    }

    /// A whole number within a range.
    pub(crate) fn integer<N: DeserializeOwned + PartialOrd + fmt::Display>(
        &mut self,
        field: &JsonField<'_>,
        range: RangeInclusive<N>,
    ) -> Option<N> {
        match serde_json::from_str::<N>(field.text()) {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                let message = format!("must be a whole number from {} to {}", range.start(), range.end());
                self.violation_at(field, "out_of_range", message);
                None
            }
        }
    }

    /// An array with so many elements.
    pub(crate) fn array<'a>(
        &mut self,
        field: &JsonField<'a>,
        length: RangeInclusive<usize>,
    ) -> Option<Vec<&'a RawValue>> {
        let Ok(elements) = serde_json::from_str::<Vec<&'a RawValue>>(field.text()) else {
            self.violation_at(field, "wrong_type", "must be an array");
            return None;
        };
        if !length.contains(&elements.len()) {
            let message = format!("must have {} to {} elements", length.start(), length.end());
            self.violation_at(field, "out_of_range", message);
            return None;
        }
        Some(elements)
    }

    /// The digits of a number, or of a text that holds one.
    pub(crate) fn number_text<'a>(&mut self, field: &JsonField<'a>) -> Option<Cow<'a, str>> {
        match field.text().as_bytes().first() {
            Some(b'"') => self.string(field),
            Some(b'-' | b'0'..=b'9') => Some(Cow::Borrowed(field.text())),
            Some(_) | None => {
                self.violation_at(field, "wrong_type", "must be a number, or a text that holds one");
                None
            }
        }
    }

    /// A number, or a text that holds one, that parses as something.
    pub(crate) fn number<T, E: fmt::Display>(
        &mut self,
        field: &JsonField<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.number_text(field)?;
        self.checked(field, parse(&text))
    }

    fn string<'a>(&mut self, field: &JsonField<'a>) -> Option<Cow<'a, str>> {
        match serde_json::from_str::<BorrowedText<'a>>(field.text()) {
            Ok(BorrowedText(text)) => Some(text),
            Err(_) => {
                self.violation_at(field, "wrong_type", "must be a text");
                None
            }
        }
    }

    fn checked<T, E: fmt::Display>(&mut self, field: &JsonField<'_>, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.violation_at(field, "invalid", error.to_string())).ok()
    }
}

impl<'a> JsonField<'a> {
    fn text(&self) -> &'a str {
        self.value.map_or("null", RawValue::get)
    }
}

/// A text, borrowed from the body where it holds no escapes.
struct BorrowedText<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for BorrowedText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BorrowedTextVisitor).map(Self)
    }
}

struct BorrowedTextVisitor;

impl<'de> Visitor<'de> for BorrowedTextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonFieldsVisitor)
    }
}

struct JsonFieldsVisitor;

impl<'de> Visitor<'de> for JsonFieldsVisitor {
    type Value = JsonFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some((BorrowedText(name), value)) = map.next_entry::<BorrowedText<'de>, &'de RawValue>()? {
            fields.push((name, value));
        }
        Ok(JsonFields(fields))
    }
}
