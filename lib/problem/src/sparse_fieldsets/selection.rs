//! The fields that a client wants, and what they leave of an answer.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::value::RawValue;

use super::schema::{AnswerFields, FieldSchema};
use crate::raw_json::{ObjectWriter, RawObject};

/// More fields than any answer has.
const MOST_FIELDS: usize = 100;
/// The longest list of fields, in bytes.
const LONGEST_LIST: usize = 4_000;
/// JSON that is nested deeper is no answer of ours.
const DEEPEST: usize = 64;

/// The fields of an answer that a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    is_page: bool,
    fields: Selected,
}

/// What is wanted of a value.
#[derive(Debug, PartialEq, Eq)]
enum Selected {
    Whole,
    /// These fields of it. Of a list: of each of its elements.
    Fields(BTreeMap<String, Selected>),
}

impl Selection {
    /// Reads a list such as `orderId,total.amount`. The error names the field that there is not.
    pub(super) fn parse(list: &str, known: &AnswerFields) -> Result<Self, String> {
        if list.len() > LONGEST_LIST {
            return Err(format!("must have at most {LONGEST_LIST} bytes"));
        }
        let mut selected = BTreeMap::new();
        for (nth, path) in list.split(',').enumerate() {
            if nth == MOST_FIELDS {
                return Err(format!("must name at most {MOST_FIELDS} fields"));
            }
            // Each level takes a call of its own.
            if path.split('.').nth(DEEPEST).is_some() {
                return Err(format!("must name fields that are nested at most {DEEPEST} deep"));
            }
            select(&mut selected, path, path, &known.fields)?;
        }
        Ok(Self { is_page: known.is_page, fields: Selected::Fields(selected) })
    }

    /// The answer with these fields alone. A field that it does not have is left out. It fails if `json` is not JSON.
    pub(super) fn apply(&self, json: &str) -> Result<String, serde_json::Error> {
        let answer: &RawValue = serde_json::from_str(json)?;
        let mut left = String::with_capacity(json.len() / 2);
        if !self.is_page {
            self.fields.write(answer, DEEPEST, &mut left)?;
            return Ok(left);
        }
        let page: RawObject<'_> = serde_json::from_str(answer.get())?;
        let mut writer = ObjectWriter::begin(&mut left);
        for (name, value) in page.fields() {
            let left = writer.name(name)?;
            if name == "items" {
                self.fields.write(value, DEEPEST, left)?;
            } else {
                left.push_str(value.get());
            }
        }
        writer.end();
        Ok(left)
    }
}

/// Adds the field at the end of `path`, all of which is `whole`.
fn select(
    selected: &mut BTreeMap<String, Selected>,
    path: &str,
    whole: &str,
    known: &FieldSchema,
) -> Result<(), String> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = match known {
        FieldSchema::Any if name.is_empty() => None,
        FieldSchema::Any => Some(known),
        FieldSchema::Fields(fields) => fields.get(name),
    };
    let Some(field) = field else { return Err(unknown(path, whole, known)) };
    match (selected.entry(name.to_owned()), rest) {
        (Entry::Vacant(entry), None) => {
            entry.insert(Selected::Whole);
        }
        (Entry::Occupied(mut entry), None) => {
            entry.insert(Selected::Whole);
        }
        (Entry::Vacant(entry), Some(rest)) => {
            let mut fields = BTreeMap::new();
            select(&mut fields, rest, whole, field)?;
            entry.insert(Selected::Fields(fields));
        }
        (Entry::Occupied(mut entry), Some(rest)) => match entry.get_mut() {
            // The rest has to be right all the same.
            Selected::Whole => select(&mut BTreeMap::new(), rest, whole, field)?,
            Selected::Fields(fields) => select(fields, rest, whole, field)?,
        },
    }
    Ok(())
}

/// There is no field where `path` begins, which is the end of `whole`.
fn unknown(path: &str, whole: &str, known: &FieldSchema) -> String {
    if whole.is_empty() {
        return "must name fields, with commas between them".to_owned();
    }
    let parent = whole.strip_suffix(path).unwrap_or_default().trim_end_matches('.');
    let names = match known {
        FieldSchema::Fields(fields) => fields.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        FieldSchema::Any => String::new(),
    };
    match (parent, names.as_str()) {
        (_, "") => format!("there is no field {whole}"),
        ("", names) => format!("there is no field {whole}; there are {names}"),
        (parent, names) => format!("there is no field {whole}; {parent} has {names}"),
    }
}

impl Selected {
    fn write(&self, value: &RawValue, depth: usize, left: &mut String) -> Result<(), serde_json::Error> {
        let text = value.get();
        let depth = depth.checked_sub(1).ok_or_else(|| serde::de::Error::custom("it is nested too deep"))?;
        let fields = match self {
            Self::Fields(fields) => fields,
            Self::Whole => {
                left.push_str(text);
                return Ok(());
            }
        };
        match text.as_bytes().first() {
            Some(b'{') => {
                let object: RawObject<'_> = serde_json::from_str(text)?;
                let mut writer = ObjectWriter::begin(left);
                for (name, value) in object.fields() {
                    if let Some(selected) = fields.get(name.as_ref()) {
                        selected.write(value, depth, writer.name(name)?)?;
                    }
                }
                writer.end();
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text)?;
                left.push('[');
                for (nth, element) in elements.into_iter().enumerate() {
                    left.push_str(if nth > 0 { "," } else { "" });
                    self.write(element, depth, left)?;
                }
                left.push(']');
            }
            // It has no fields: nothing is there.
            _ => left.push_str(text),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sparse_fieldsets::SelectableFields;

    fn known() -> SelectableFields {
        let order = json!({ "allOf": [
            { "$ref": "#/components/schemas/Summary" },
            { "properties": { "lines": { "type": "array", "items": { "properties": { "sku": {}, "title": {} } } } } },
        ] });
        let summary = json!({ "type": "object", "properties": {
            "orderId": { "type": "string" },
            "total": { "oneOf": [{ "type": "null" }, { "properties": { "amount": {}, "currency": {} } }] },
            "metadata": { "type": ["object", "null"] },
        } });
        let page = json!({ "properties": {
            "items": { "type": "array", "items": { "$ref": "#/components/schemas/Order" } }, "cursor": {},
        } });
        let get = |schema: Value| {
            let content = json!({ "application/json": { "schema": schema } });
            let fields = json!([{ "name": "fields", "in": "query" }]);
            json!({ "get": { "parameters": fields, "responses": { "200": { "content": content } } } })
        };
        SelectableFields::of_document(&json!({
            "paths": {
                "/order": get(json!({ "$ref": "#/components/schemas/Order" })),
                "/orders": get(page),
                "/other": { "get": { "responses": {} } },
            },
            "components": { "schemas": { "Order": order, "Summary": summary } },
        }))
    }

    fn parse(route: &str, list: &str) -> Result<Selection, String> {
        Selection::parse(list, known().of_route(route).unwrap())
    }

    #[test]
    fn the_fields_that_were_named_are_left() {
        let order = r#"{"orderId":"a","total":{"amount":"1.10","currency":"USD"},"lines":[{"sku":"x","title":"X"},{"sku":"y"}],"metadata":{"a":{"b":1e400,"c":2}}}"#;
        for (list, left) in [
            ("orderId", r#"{"orderId":"a"}"#),
            ("lines.title,orderId", r#"{"orderId":"a","lines":[{"title":"X"},{}]}"#),
            ("total.amount", r#"{"total":{"amount":"1.10"}}"#),
            ("total.amount,total", r#"{"total":{"amount":"1.10","currency":"USD"}}"#),
            ("total,total.amount,total", r#"{"total":{"amount":"1.10","currency":"USD"}}"#),
            ("metadata.a.b,metadata.d", r#"{"metadata":{"a":{"b":1e400}}}"#),
        ] {
            assert_eq!(parse("/order", list).unwrap().apply(order).unwrap(), left, "{list}");
            let page = format!(r#"{{"items":[{order},{order}],"cursor":"x"}}"#);
            let left = format!(r#"{{"items":[{left},{left}],"cursor":"x"}}"#);
            assert_eq!(parse("/v1/orders", list).unwrap().apply(&page).unwrap(), left, "{list}");
        }
        // What an order does not have is no mistake.
        let selection = parse("/order", "total.amount,orderId").unwrap();
        assert_eq!(selection.apply(r#"{"total":null}"#).unwrap(), r#"{"total":null}"#);
        assert_eq!(selection.apply("{}").unwrap(), "{}");
        assert!(selection.apply("{").is_err());
    }

    #[test]
    fn a_field_that_is_nested_too_deep_is_refused() {
        let nested = |levels: usize| format!("metadata{}", ".a".repeat(levels - 1));
        assert!(parse("/order", &nested(DEEPEST)).is_ok());
        let error = Err(format!("must name fields that are nested at most {DEEPEST} deep"));
        for too_deep in [nested(DEEPEST + 1), nested(LONGEST_LIST / 2 - 10), format!("orderId,{}", nested(100))] {
            assert_eq!(parse("/order", &too_deep), error);
        }
        // Dots alone count as well.
        assert_eq!(parse("/order", &format!("metadata{}", ".".repeat(LONGEST_LIST - 8))), error);
    }

    #[test]
    fn a_field_that_there_is_not_is_named() {
        let all = "there are lines, metadata, orderId, total";
        for (list, error) in [
            ("", "must name fields, with commas between them".to_owned()),
            ("orderId,", "must name fields, with commas between them".to_owned()),
            ("orderid", format!("there is no field orderid; {all}")),
            (" orderId", format!("there is no field  orderId; {all}")),
            ("total,total.sum", "there is no field total.sum; total has amount, currency".to_owned()),
            ("lines..sku", "there is no field lines..sku; lines has sku, title".to_owned()),
            ("lines.0", "there is no field lines.0; lines has sku, title".to_owned()),
            ("orderId.x", "there is no field orderId.x".to_owned()),
            ("metadata.", "there is no field metadata.".to_owned()),
        ] {
            assert_eq!(parse("/order", list), Err(error.clone()), "{list}");
            assert_eq!(parse("/orders", list), Err(error), "{list}");
        }
        assert!(parse("/orders", "items.orderId").is_err());
        assert!(parse("/order", &["orderId"; MOST_FIELDS].join(",")).is_ok());
        assert!(parse("/order", &["orderId"; MOST_FIELDS + 1].join(",")).is_err());
        assert!(parse("/order", &format!("metadata.{}", "a".repeat(LONGEST_LIST))).is_err());
        assert!(known().of_route("/other").is_none());
    }
}
