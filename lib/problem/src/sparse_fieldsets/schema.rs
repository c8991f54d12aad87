//! Which fields the answers of each route have, by the OpenAPI document.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::FIELDS;

/// A schema that refers to itself ends here.
const DEEPEST: usize = 32;

/// The fields that a client can ask for, by route.
#[derive(Debug, Default)]
pub struct SelectableFields(HashMap<String, AnswerFields>);

/// The fields of the answers of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AnswerFields {
    /// The answer is a page of a list, and the fields are those of its `items`. What else a page has is always there.
    pub(super) is_page: bool,
    pub(super) fields: FieldSchema,
}

/// What a value can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FieldSchema {
    /// Any fields, since nothing is known of it.
    Any,
    /// These. Of a list: what each of its elements has.
    Fields(BTreeMap<String, FieldSchema>),
}

impl SelectableFields {
    /// Those of the routes of an OpenAPI document that have the parameter `fields`.
    #[must_use]
    pub fn of_document(document: &Value) -> Self {
        let mut routes = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            let read = &item["get"];
            let takes_fields = |parameter: &Value| parameter["name"] == FIELDS && parameter["in"] == "query";
            if read["parameters"].as_array().is_some_and(|parameters| parameters.iter().any(takes_fields)) {
                let answer = &read["responses"]["200"]["content"]["application/json"]["schema"];
                routes.insert(path.clone(), AnswerFields::of_schema(document, answer));
            }
        }
        Self(routes)
    }

    /// `path` is the template that the router matched, with or without `/v1`.
    pub(super) fn of_route(&self, path: &str) -> Option<&AnswerFields> {
        let unversioned = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        self.0.get(unversioned)
    }
}

impl AnswerFields {
    fn of_schema(document: &Value, schema: &Value) -> Self {
        match FieldSchema::of(document, schema, DEEPEST) {
            FieldSchema::Fields(mut fields) => match fields.remove("items") {
                Some(items) => Self { is_page: true, fields: items },
                None => Self { is_page: false, fields: FieldSchema::Fields(fields) },
            },
            FieldSchema::Any => Self { is_page: false, fields: FieldSchema::Any },
        }
    }
}

impl FieldSchema {
    fn of(document: &Value, schema: &Value, depth: usize) -> Self {
        let Some(depth) = depth.checked_sub(1) else { return Self::Any };
        if let Some(reference) = schema["$ref"].as_str() {
            let referred = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
            return Self::of(document, referred, depth);
        }
        if schema["items"].is_object() {
            return Self::of(document, &schema["items"], depth);
        }
        let kinds = ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|kind| schema[kind].as_array());
        let several: Vec<Self> = kinds.flatten().map(|one| Self::of(document, one, depth)).collect();
        let own = match schema["properties"].as_object() {
            Some(properties) => {
                let field = |(name, schema): (&String, &Value)| (name.clone(), Self::of(document, schema, depth));
                Self::Fields(properties.iter().map(field).collect())
            }
            // An object of which nothing is said.
            None if several.is_empty() && is_object(schema) => Self::Any,
            None => Self::Fields(BTreeMap::new()),
        };
        several.into_iter().fold(own, Self::or)
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fields(mut all), Self::Fields(others)) => {
                for (name, field) in others {
                    let field = match all.remove(&name) {
                        Some(known) => known.or(field),
                        None => field,
                    };
                    all.insert(name, field);
                }
                Self::Fields(all)
            }
            (Self::Any, _) | (_, Self::Any) => Self::Any,
        }
    }
}

fn is_object(schema: &Value) -> bool {
    let is = |kind: &Value| kind == "object";
    is(&schema["type"]) || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is))
}
