use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

type Paths = BTreeMap<String, BTreeSet<String>>;

fn json_files(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder);
    let read = |file: fs::DirEntry| {
        let name = file.path().file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap())
    };
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| read(file.unwrap())).collect();
    assert!(files.len() > 4);
    files
}

/// The fields that a schema has, with those of what it refers to.
fn paths_of_schema(root: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        paths_of_schema(root, root.pointer(reference.trim_start_matches('#')).unwrap(), path, found);
    }
    for kind in ["oneOf", "anyOf", "allOf"] {
        for one in schema[kind].as_array().into_iter().flatten() {
            paths_of_schema(root, one, path, found);
        }
    }
    if schema["items"].is_object() {
        paths_of_schema(root, &schema["items"], path, found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        paths_of_schema(root, property, &path, found);
        found.insert(path);
    }
}

fn paths_of_value(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    for element in value.as_array().into_iter().flatten() {
        paths_of_value(element, path, found);
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        found.insert(path.clone());
        // What a shop adds can be any JSON.
        if name != "metadata" && name != "attributes" {
            paths_of_value(field, &path, found);
        }
    }
}

/// All fields of all events, by the schemas of today's and by the stored ones of all builds.
fn all_fields() -> Paths {
    let mut all = Paths::new();
    for (event_type, schema) in json_files("docs/reference/schemas/events") {
        paths_of_schema(&schema, &schema, "", all.entry(event_type).or_default());
    }
    for folder in ["domain/golden/events", "domain/golden/stock-events"] {
        for (_, stored) in json_files(folder) {
            let (event_type, data) = stored.as_object().unwrap().iter().next().unwrap();
            paths_of_value(data, "", all.entry(event_type.clone()).or_default());
        }
    }
    all
}

#[test]
fn each_field_of_each_event_has_a_row() {
    let rows = EVENTS.iter().map(|(event_type, fields)| {
        ((*event_type).to_owned(), fields.iter().map(|(path, _)| (*path).to_owned()).collect())
    });
    let rows: Paths = rows.collect();
    assert_eq!(rows.len(), EVENTS.len(), "an event is there twice");
    assert_eq!(rows, all_fields());
    for (event_type, fields) in EVENTS {
        assert_eq!(fields.len(), rows[*event_type].len(), "{event_type} has a row twice");
    }
}

#[test]
fn what_has_no_row_is_left_out() {
    let visibility = |event, path| EventRedactionRules::of(event).visibility(path, Redaction::PersonalData);
    assert_eq!(visibility("OrderCreated", "currency"), SHOW);
    assert_eq!(visibility("OrderCreated", "colour"), NO);
    assert_eq!(visibility("OrderPainted", "currency"), NO);
}
