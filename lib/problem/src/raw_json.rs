//! JSON objects that are read and written field by field. What is not looked at keeps its text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object's fields in their order.
#[derive(Debug)]
pub struct RawObject<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> RawObject<'a> {
    #[must_use]
    pub fn fields(&self) -> &[(Cow<'a, str>, &'a RawValue)] {
        &self.0
    }

    #[must_use]
    pub fn get(&self, field: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
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

/// Writes the fields of an object.
#[derive(Debug)]
pub struct ObjectWriter<'a> {
    text: &'a mut String,
    is_begun: bool,
}

impl<'a> ObjectWriter<'a> {
    pub fn begin(text: &'a mut String) -> Self {
        text.push('{');
        Self { text, is_begun: false }
    }

    /// Writes the name of a field. Its value is to be written next.
    pub fn name(&mut self, name: &str) -> Result<&mut String, serde_json::Error> {
        self.text.push_str(if self.is_begun { "," } else { "" });
        self.is_begun = true;
        self.text.push_str(&serde_json::to_string(name)?);
        self.text.push(':');
        Ok(self.text)
    }

    pub fn end(self) {
        self.text.push('}');
    }
}
