//! The JSON Schemas of the events: `docs/reference/schemas/events`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

use event_versions::{Upcastable, current_version};
use json_schemas::{check, files_in, variants_of};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::dead_letter::{DeadLetterDecisions, DeadLetterEvent};
use crate::document::{DocumentEvent, DocumentSeries};
use crate::json_text::JsonObjectText;
use crate::order::{Order, OrderEvent};
use crate::order_number::{OrderNumberSeries, OrderNumberSeriesEvent};
use crate::stock::{Stock, StockEvent};

impl JsonSchema for JsonObjectText {
    fn schema_name() -> Cow<'static, str> {
        "JsonText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "The shop's own data, kept to the letter." })
    }
}

#[test]
fn each_event_has_a_schema_that_its_golden_file_agrees_with() {
    let mut names = check_events::<Order>("events");
    names.extend(check_events::<Stock>("stock-events"));
    names.extend(check_events::<DocumentSeries>("document-events"));
    names.extend(check_events::<OrderNumberSeries>("order-number-events"));
    names.extend(check_events::<DeadLetterDecisions>("dead-letter-events"));
    let all = OrderEvent::NAMES
        .iter()
        .chain(StockEvent::NAMES)
        .chain(DocumentEvent::NAMES)
        .chain(OrderNumberSeriesEvent::NAMES)
        .chain(DeadLetterEvent::NAMES)
        .map(|name| format!("{name}.json"));
    assert_eq!(names, all.collect());
    assert_eq!(files_in("events"), names);
}

/// Today's version of each.
fn check_events<A: Upcastable>(folder: &str) -> BTreeSet<String>
where
    A::Event: JsonSchema,
{
    let check = |(name, schema): (String, Value)| {
        let version = current_version(A::UPCASTS, &name);
        let golden = format!("golden/{folder}/{name}-{version}.json");
        let text = read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(golden)).unwrap();
        let mut example: Value = serde_json::from_str(&text).unwrap();
        let file = format!("{name}.json");
        check(&format!("events/{file}"), &schema, &[example[&name].take()]);
        file
    };
    variants_of::<A::Event>().into_iter().map(check).collect()
}
