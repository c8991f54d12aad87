//! OpenAPI 3.1 as 3.0.
//!
//! The differences that matter here are in schemas: 3.0 has no type `null`, no lists of types, no `const` and no `propertyNames`, and
//! ignores what stands beside a `$ref`. Also, every problem gets the one schema `Problem`: generators that ask for 3.0 want one type for all that fails.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// The document in 3.0.
pub(super) fn converted(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    let mut types = Types::new();
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.retain(|name, _| !is_problem_of_a_status(name));
        types.extend(schemas.iter().map(|(name, schema)| (name.clone(), schema.get("type").cloned())));
    }
    convert(&mut document, &types);
    document
}

/// The `type` of each schema that has a name, if it has one.
type Types = HashMap<String, Option<Value>>;

/// `Problem404` and so on.
fn is_problem_of_a_status(name: &str) -> bool {
    name.strip_prefix("Problem").is_some_and(|rest| rest.len() == 3 && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Converts all schemas within a value. Other objects of a document have none of the members that are looked at here.
fn convert(value: &mut Value, types: &Types) {
    match value {
        Value::Object(members) => {
            // What an example is like is no schema.
            let within = members.iter_mut().filter(|(name, _)| *name != "example" && *name != "enum");
            within.for_each(|(_, within)| convert(within, types));
            convert_schema(members, types);
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| convert(element, types)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn convert_schema(schema: &mut Map<String, Value>, types: &Types) {
    if let Some(alternatives) = schema.get("type").and_then(Value::as_array)
        && let [only] = alternatives.iter().filter(|it| *it != "null").cloned().collect::<Vec<_>>().as_slice()
    {
        schema.insert("type".to_owned(), only.clone());
        schema.insert("nullable".to_owned(), json!(true));
    }
    for combined in ["oneOf", "anyOf"] {
        let Some(Value::Array(mut alternatives)) = schema.remove(combined) else { continue };
        let before = alternatives.len();
        alternatives.retain(|it| it.get("type").is_none_or(|it| it != "null"));
        let is_nullable = alternatives.len() < before;
        if let [only] = alternatives.as_mut_slice() {
            // `nullable` counts only beside a type.
            if is_nullable {
                schema.insert("type".to_owned(), type_of(only, types));
                schema.insert("nullable".to_owned(), json!(true));
            }
            schema.insert("allOf".to_owned(), json!([only]));
            continue;
        }
        if is_nullable && let Some(first) = alternatives.first_mut() {
            first["nullable"] = json!(true);
        }
        schema.insert(combined.to_owned(), Value::Array(alternatives));
    }
    // Names are texts without it, too.
    schema.remove("propertyNames");
    if let Some(only) = schema.remove("const") {
        schema.insert("enum".to_owned(), json!([only]));
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let reference =
            if is_problem_of_a_status(name_of(reference)) { "#/components/schemas/Problem" } else { reference };
        let reference = json!({ "$ref": reference });
        schema.remove("$ref");
        if schema.is_empty() {
            schema.insert("$ref".to_owned(), reference["$ref"].clone());
        } else {
            schema.insert("allOf".to_owned(), json!([reference]));
        }
    }
}

/// The name of the schema that is referred to.
fn name_of(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

/// The type of a schema. What is put together of several is an object.
fn type_of(schema: &Value, types: &Types) -> Value {
    let inner = schema.pointer("/allOf/0/$ref").or_else(|| schema.get("$ref"));
    let referred = inner.and_then(Value::as_str).and_then(|reference| types.get(name_of(reference))).cloned().flatten();
    schema.get("type").cloned().or(referred).unwrap_or_else(|| json!("object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_3_0_does_not_know_is_said_in_its_own_way() {
        let document = json!({ "openapi": "3.1.0", "components": { "schemas": {
            "Problem": { "type": "object" },
            "Problem404": { "allOf": [{ "$ref": "#/components/schemas/Problem" }] },
            "Note": { "type": "object", "properties": {
                "author": { "type": ["string", "null"] },
                "kind": { "const": "note" },
                "labels": { "type": "object", "propertyNames": { "type": "string" } },
                "of": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Order" }] },
                "amount": { "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "null" }] },
                "about": { "$ref": "#/components/schemas/Order", "description": "The order" },
                "why": { "$ref": "#/components/schemas/Problem404" },
            }, "example": { "type": ["string", "null"] } },
        } } });
        let properties = json!({
            "author": { "type": "string", "nullable": true },
            "kind": { "enum": ["note"] },
            "labels": { "type": "object" },
            "of": { "type": "object", "nullable": true, "allOf": [{ "$ref": "#/components/schemas/Order" }] },
            "amount": { "anyOf": [{ "type": "string", "nullable": true }, { "type": "number" }] },
            "about": { "allOf": [{ "$ref": "#/components/schemas/Order" }], "description": "The order" },
            "why": { "$ref": "#/components/schemas/Problem" },
        });
        let expected = json!({ "openapi": "3.0.3", "components": { "schemas": {
            "Problem": { "type": "object" },
            "Note": { "type": "object", "properties": properties, "example": { "type": ["string", "null"] } },
        } } });
        assert_eq!(converted(document), expected);
    }
}
