//! Texts of a posted body, and collections of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::value::RawValue;

use super::{BodyReader, JsonField, JsonFields};

/// How large a collection of texts may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextsLimits {
    pub(crate) entries: usize,
    /// The most characters of a name.
    pub(crate) name_chars: usize,
    /// The most characters of a value.
    pub(crate) value_chars: usize,
}

impl BodyReader {
    /// Free text of so many characters at most.
    pub(crate) fn text_up_to(&mut self, field: &JsonField<'_>, max_chars: usize) -> Option<String> {
        let text = self.string(field)?;
        if text.contains('\0') {
            self.violation_at(field, "invalid", "must not contain NUL");
            return None;
        }
        // Counting characters is needed only where there are more bytes than that.
        if text.len() > max_chars && text.chars().count() > max_chars {
            self.violation_at(field, "too_long", format!("must have at most {max_chars} characters"));
            return None;
        }
        Some(text.into_owned())
    }

    /// Text on one line: neither blank nor with control characters, of so many characters at most.
    pub(crate) fn line_up_to(&mut self, field: &JsonField<'_>, max_chars: usize) -> Option<String> {
        let text = self.text_up_to(field, max_chars)?;
        if text.trim().is_empty() {
            self.violation_at(field, "invalid", "must not be blank");
            return None;
        }
        if text.contains(char::is_control) {
            self.violation_at(field, "invalid", "must be on one line, without control characters");
            return None;
        }
        Some(text)
    }

    /// The same of a field that may be missing, null or blank. It is `Some(None)` then: many forms send `""` for what nobody filled in.
    #[expect(clippy::option_option, reason = "outer: was it valid; inner: was it given")]
    pub(crate) fn optional_line(&mut self, field: &JsonField<'_>, max_chars: usize) -> Option<Option<String>> {
        if field.value.is_some_and(|value| is_blank(value.get())) {
            return Some(None);
        }
        self.optional(field, |r, field| r.line_up_to(field, max_chars))
    }

    /// Lines of text, each once.
    pub(crate) fn lines_of_text(
        &mut self,
        field: &JsonField<'_>,
        length: RangeInclusive<usize>,
        max_chars: usize,
    ) -> Option<Vec<String>> {
        let elements: Vec<&RawValue> = self.array(field, length)?;
        let mut known = BTreeSet::new();
        let mut texts = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let here = JsonField { name: field.name, value: Some(element) };
            let Some(text) = self.line_in(&here, index, max_chars) else { continue };
            if !known.insert(text.clone()) {
                self.add_violation(format!("{}/{}/{index}", self.path, field.name), "duplicate", "is given twice");
            }
            texts.push(text);
        }
        Some(texts)
    }

    /// An object of texts by names.
    pub(crate) fn texts_by_name(
        &mut self,
        field: &JsonField<'_>,
        limits: TextsLimits,
    ) -> Option<BTreeMap<String, String>> {
        self.member(field, |reader, JsonFields(fields)| {
            if fields.len() > limits.entries {
                let message = format!("must have at most {} fields", limits.entries);
                reader.add_violation(reader.path.clone(), "out_of_range", message);
                return None;
            }
            let mut texts = BTreeMap::new();
            for (name, value) in fields {
                let pointer = format!("{}/{}", reader.path, name.replace('~', "~0").replace('/', "~1"));
                let is_name = !name.trim().is_empty() && !name.contains(char::is_control);
                let text: Option<String> = serde_json::from_str(value.get()).ok();
                match text {
                    _ if !is_name || name.chars().count() > limits.name_chars => {
                        let message = format!("must be named on one line of at most {} characters", limits.name_chars);
                        reader.add_violation(pointer, "invalid", message);
                    }
                    None => reader.add_violation(pointer, "wrong_type", "must be a text"),
                    Some(text) if text.contains('\0') => {
                        reader.add_violation(pointer, "invalid", "must not contain NUL");
                    }
                    Some(text) if text.chars().count() > limits.value_chars => {
                        let message = format!("must have at most {} characters", limits.value_chars);
                        reader.add_violation(pointer, "too_long", message);
                    }
                    Some(text) => {
                        if texts.insert(name.into_owned(), text).is_some() {
                            reader.add_violation(pointer, "duplicate_field", "is given twice");
                        }
                    }
                }
            }
            Some(texts)
        })
    }

    /// A line of text that is an element of an array.
    fn line_in(&mut self, element: &JsonField<'_>, index: usize, max_chars: usize) -> Option<String> {
        let before = self.violations.len();
        let text = self.line_up_to(element, max_chars);
        // The pointer of the field becomes that of the element.
        for violation in self.violations.iter_mut().skip(before) {
            violation.pointer = format!("{}/{index}", violation.pointer);
        }
        text
    }
}

/// Whether a JSON text is a string of blanks, or empty.
fn is_blank(json: &str) -> bool {
    json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).is_some_and(|text| text.trim().is_empty())
}
