//! For tests: the JSON Schemas in `docs/reference/schemas`. They are made of the types, compared with the files, and hold for the
//! examples.
//!
//! A test that fails because a type has changed writes the new file with `WRITE_SCHEMAS=1`.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema of what a reader of the type has to accept.
pub fn schema_to_read<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of what is written of the type.
pub fn schema_as_written<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// The variants of an enum that serde writes as `{"Name": content}`: names, and the schemas of their contents.
pub fn variants_of<T: JsonSchema>() -> Vec<(String, Value)> {
    let whole = schema_to_read::<T>();
    let content = |variant: &Value| {
        let name = variant["required"][0].as_str().unwrap().to_owned();
        let mut content = variant["properties"][&name].as_object().unwrap().clone();
        let mut used = BTreeSet::new();
        add_references(&Value::Object(content.clone()), &whole["$defs"], &mut used);
        let defs: Map<String, Value> = used.iter().map(|used| (used.clone(), whole["$defs"][used].clone())).collect();
        content.insert("$schema".to_owned(), whole["$schema"].clone());
        content.insert("title".to_owned(), json!(name));
        content.insert("description".to_owned(), variant["description"].clone());
        content.insert("$defs".to_owned(), Value::Object(defs));
        (name, Value::Object(content))
    };
    whole["oneOf"].as_array().unwrap().iter().map(content).collect()
}

/// The definitions that a schema refers to, directly or by way of others.
fn add_references(schema: &Value, defs: &Value, used: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix("#/$defs/"));
            if let Some(name) = name
                && used.insert(name.to_owned())
            {
                add_references(&defs[name], defs, used);
            }
            members.values().for_each(|member| add_references(member, defs, used));
        }
        Value::Array(members) => members.iter().for_each(|member| add_references(member, defs, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Holds the schema of a file below `docs/reference/schemas` against the file and against examples.
///
/// # Panics
///
/// If they do not agree.
#[track_caller]
pub fn check(file: &str, schema: &Value, examples: &[Value]) {
    compare(file, schema);
    let validator = jsonschema::draft202012::new(schema).unwrap();
    assert!(!examples.is_empty(), "{file}: there is no example");
    for example in examples {
        let mistakes: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(mistakes.is_empty(), "{file}: {example}: {mistakes:#?}");
    }
    assert!(!validator.is_valid(&json!(17)), "{file}: it takes anything");
}

/// Compares a document with its file below `docs/reference/schemas`.
///
/// # Panics
///
/// If they are not the same, unless the file is to be written.
#[track_caller]
pub fn compare(file: &str, document: &Value) {
    let path = folder().join(file);
    let text = serde_json::to_string_pretty(document).unwrap() + "\n";
    if std::env::var_os("WRITE_SCHEMAS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/reference/schemas/{file} is not what the types say: run this with WRITE_SCHEMAS=1");
}

/// The files of a folder below `docs/reference/schemas`, by name.
pub fn files_in(below: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder().join(below)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/schemas")
}
