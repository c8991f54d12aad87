//! The table has the fields that the OpenAPI document describes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::*;
use crate::{ROUTES, Redaction, Role};

const DOCUMENT: &str = include_str!("../../../../../docs/reference/openapi.json");

/// The routes at which a role sees less than others.
fn reduced() -> impl Iterator<Item = &'static Route> {
    let is_reduced = |route: &&Route| {
        Role::ALL.into_iter().filter_map(|role| route.grant(role)).any(|grant| Redaction::of(grant).is_some())
    };
    ROUTES.iter().filter(is_reduced)
}

/// The fields that a schema has, with the schemas of each.
fn fields<'a>(document: &'a Json, schema: &'a Json, found: &mut BTreeMap<&'a str, Vec<&'a Json>>) {
    if let Some(reference) = schema["$ref"].as_str() {
        fields(document, document.pointer(reference.trim_start_matches('#')).unwrap(), found);
    }
    for kind in ["oneOf", "anyOf", "allOf"] {
        schema[kind].as_array().into_iter().flatten().for_each(|one| fields(document, one, found));
    }
    if schema["items"].is_object() {
        fields(document, &schema["items"], found);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        found.entry(name).or_default().push(schema);
    }
}

/// Asks for a row for each field of some schemas, and notes the paths of the fields.
fn compare(document: &Json, schemas: &[&Json], content: Content, path: &str, found: &mut BTreeSet<String>) {
    let mut of_schemas = BTreeMap::new();
    schemas.iter().for_each(|schema| fields(document, schema, &mut of_schemas));
    match content {
        // An event has a table of its own, and what is compared has no schema.
        Event | Content::ByName(_) => {}
        Value => assert!(of_schemas.is_empty(), "{path} has fields, but no rows: {:?}", of_schemas.keys()),
        Object(rows) => {
            for (name, schemas) in of_schemas {
                let path = format!("{path}.{name}");
                let row = rows.iter().find(|(known, ..)| *known == name);
                let (.., content) = row.unwrap_or_else(|| panic!("{path} has no row: say who may see it"));
                compare(document, &schemas, *content, &path, found);
                found.insert(path);
            }
        }
    }
}

/// The paths of all rows.
fn paths(content: Content, path: &str, found: &mut BTreeSet<String>) {
    if let Object(rows) = content {
        for (name, _, content) in rows {
            let path = format!("{path}.{name}");
            paths(*content, &path, found);
            assert!(found.insert(path.clone()), "{path} is there twice");
        }
    }
}

#[test]
fn each_field_of_each_answer_has_a_row() {
    let document: Json = serde_json::from_str(DOCUMENT).unwrap();
    let (mut described, mut rows) = (BTreeSet::new(), BTreeSet::new());
    for route in reduced() {
        let responses = &document["paths"][route.path][route.method.to_lowercase()]["responses"];
        let mut responses = responses.as_object().unwrap().iter();
        let (_, response) = responses.find(|(status, _)| status.starts_with('2')).unwrap();
        let schema = &response["content"]["application/json"]["schema"];
        let (mut of_schema, mut of_rows) = (BTreeSet::new(), BTreeSet::new());
        compare(&document, &[schema], Content::of(route), "", &mut of_schema);
        paths(Content::of(route), "", &mut of_rows);
        assert_eq!(of_schema.is_empty(), ["/events/stream", "/orders/export"].contains(&route.path), "{}", route.path);
        // An order in a list has the rows of one that is asked for.
        let of_one = |path: &String| path.strip_prefix(".items.").unwrap_or(&path[1..]).to_owned();
        described.extend(of_schema.iter().map(of_one));
        rows.extend(of_rows.iter().map(of_one));
    }
    let surplus: Vec<_> = rows.difference(&described).collect();
    assert!(surplus.is_empty(), "no answer has these fields any more: {surplus:?}");
}

#[test]
fn each_route_at_which_some_see_less_is_in_the_table() {
    let reduced: BTreeSet<_> = reduced().map(|route| (route.method, route.path)).collect();
    let known: BTreeSet<_> = ANSWERS.iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(reduced, known);
    assert_eq!(known.len(), ANSWERS.len());
}
