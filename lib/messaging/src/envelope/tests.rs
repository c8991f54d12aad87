use serde_json::{Value, json};

use super::*;
use crate::contract::NotificationRequested;

#[test]
fn a_missing_attribute_is_named() {
    for attribute in ["specversion", "id", "type", "source", "subject", "data"] {
        let error = parse_with(|event| {
            event.as_object_mut().unwrap().remove(attribute);
        });

        assert_eq!(error.to_string(), format!("the attribute `{attribute}` is missing"));
    }
}

#[test]
fn an_attribute_of_the_wrong_kind_is_named() {
    let error = parse_with(|event| event["subject"] = json!(7));

    assert_eq!(
        error.to_string(),
        "the attribute `subject` must be a string that is not empty and has no control characters"
    );
}

#[test]
fn what_a_database_or_a_queue_would_refuse_is_refused_here() {
    for (attribute, text) in [
        ("subject", "\0"),
        ("subject", "o 1"),
        ("subject", "\u{f6}"),
        ("subject", &"o".repeat(129)),
        ("traceparent", "00-\u{1}"),
        ("source", "\u{85}"),
    ] {
        let error = parse_with(|event| event[attribute] = json!(text));

        assert!(error.to_string().starts_with(&format!("the attribute `{attribute}` must be ")), "{error}");
    }
    let error = parse_with(|event| event["data"]["lines"][0]["title"] = json!("half\0half"));
    assert_eq!(error.to_string(), "the attribute `data` must be without the character U+0000");
}

#[test]
fn a_text_that_only_speaks_of_an_escape_is_taken() {
    let taken = taken_with(|event| event["data"]["lines"][0]["title"] = json!(r"the escape \u0000, and \\"));

    assert_eq!(taken.data.lines[0].title, r"the escape \u0000, and \\");
}

#[test]
fn what_the_specification_lets_senders_leave_out_may_be_left_out_or_null() {
    let taken = taken_with(|event| {
        event.as_object_mut().unwrap().remove("time");
        event["traceparent"] = Value::Null;
        event["dataschema"] = Value::Null;
        event["datacontenttype"] = json!("Application/JSON; charset=utf-8");
    });

    assert_eq!((taken.time, taken.traceparent), (None, None));
}

#[test]
fn data_may_come_as_base64() {
    let taken = taken_with(|event| {
        let data = event.as_object_mut().unwrap().remove("data").unwrap();
        event["data_base64"] = json!(STANDARD.encode(data.to_string()));
    });
    assert_eq!(taken.data, CloudEvent::<NotificationRequested>::parse(GOLDEN).unwrap().data);

    let both = parse_with(|event| event["data_base64"] = json!("e30="));
    assert_eq!(both.to_string(), "the attribute `data_base64` must be left out where there is `data`");
    let broken = parse_with(|event| {
        event.as_object_mut().unwrap().remove("data");
        event["data_base64"] = json!("e30");
    });
    assert_eq!(broken.to_string(), "the attribute `data_base64` must be JSON in Base64");
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

fn taken_with(change: impl FnOnce(&mut Value)) -> CloudEvent<NotificationRequested> {
    let mut event: Value = serde_json::from_str(GOLDEN).unwrap();
    change(&mut event);
    CloudEvent::parse(&event.to_string()).unwrap()
}

fn parse_with(change: impl FnOnce(&mut Value)) -> EnvelopeError {
    let mut event: Value = serde_json::from_str(GOLDEN).unwrap();
    change(&mut event);
    CloudEvent::<NotificationRequested>::parse(&event.to_string()).unwrap_err()
}
