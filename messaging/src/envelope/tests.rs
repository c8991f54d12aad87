use serde_json::{Value, json};

use super::*;
use crate::contract::NotificationRequested;

#[test]
fn a_missing_attribute_is_named() {
    for attribute in ["specversion", "id", "type", "source", "subject", "time", "data"] {
        let error = parse_with(|event| {
            event.as_object_mut().unwrap().remove(attribute);
        });

        assert_eq!(error.to_string(), format!("the attribute `{attribute}` is missing"));
    }
}

#[test]
fn an_attribute_of_the_wrong_kind_is_named() {
    let error = parse_with(|event| event["subject"] = json!(7));

    assert_eq!(error.to_string(), "the attribute `subject` must be a string that is not empty");
}

#[test]
fn another_version_of_the_specification_is_refused() {
    let error = parse_with(|event| event["specversion"] = json!("0.3"));

    assert_eq!(error.to_string(), "the attribute `specversion` must be \"1.0\"");
}

#[test]
fn an_id_that_is_not_the_datas_own_is_refused() {
    let error = parse_with(|event| event["id"] = json!(Uuid::nil()));

    assert_eq!(error.to_string(), "the attribute `id` must be the id that its data gives");
}

#[test]
fn another_type_is_refused_by_name() {
    let error = parse_with(|event| event["type"] = json!("ordo.notification.requested.v2"));

    assert_eq!(
        error.to_string(),
        "the type is `ordo.notification.requested.v2`, expected `ordo.notification.requested.v1`"
    );
}

#[test]
fn data_that_breaks_its_contract_is_named_with_its_field() {
    let error = parse_with(|event| event["data"]["attempt"] = json!(-1));

    assert_eq!(error.to_string(), "the data is not a valid `ordo.notification.requested.v1`");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("invalid value: integer `-1`, expected u32"), "{cause}");
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    for body in ["", "[]", "null", "\"text\"", "{", "not json"] {
        assert!(
            matches!(CloudEvent::<NotificationRequested>::parse(body), Err(EnvelopeError::NotAnObject { .. })),
            "{body}"
        );
    }
}

#[test]
fn unknown_extension_attributes_are_ignored() {
    let mut event: Value = serde_json::from_str(GOLDEN).unwrap();
    event["tracestate"] = json!("vendor=1");

    assert!(CloudEvent::<NotificationRequested>::parse(&event.to_string()).is_ok());
}

const GOLDEN: &str = include_str!("../../golden/ordo.notification.requested.v1.json");

fn parse_with(change: impl FnOnce(&mut Value)) -> EnvelopeError {
    let mut event: Value = serde_json::from_str(GOLDEN).unwrap();
    change(&mut event);
    CloudEvent::<NotificationRequested>::parse(&event.to_string()).unwrap_err()
}
