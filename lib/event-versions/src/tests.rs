use serde_json::json;

use super::*;

fn step(to: &'static str, change: fn(Value) -> Value) -> Upcast {
    Upcast { event_type: "Weighed", to, change: Some(change) }
}

/// Grams became kilograms, the unit was added, it might be another one, and then it moved.
fn weighed() -> [Upcast; 5] {
    [
        step("1.1", |it| json!({ "kg": it["g"].as_i64().map(|grams| grams / 1_000) })),
        Upcast { event_type: "Sold", to: "7.0", change: Some(|_| json!("another event")) },
        step("2.0", |it| json!({ "kg": it["kg"], "unit": "kg" })),
        Upcast { event_type: "Weighed", to: "3.0", change: None },
        step("10.0", |it| json!({ "weight": it["kg"], "in": it["unit"] })),
    ]
}

fn brought_up(version: &str, payload: Value) -> Result<Value, DecodeError> {
    let upcasts = weighed();
    let changes = changes_since(&upcasts, ("Weighed", version), current_version(&upcasts, "Weighed"))?;
    Ok(changes.into_iter().fold(payload, |payload, change| change(payload)))
}

#[test]
fn an_event_is_written_in_the_version_of_its_last_change() {
    let upcasts = weighed();
    assert_eq!(["Weighed", "Sold", "Bought"].map(|it| current_version(&upcasts, it)), ["10.0", "7.0", "1.0"]);
}

#[test]
fn an_event_of_any_version_goes_through_every_change_after_it() {
    let today = json!({ "weight": 5, "in": "kg" });
    assert_eq!(brought_up("1.0", json!({ "g": 5_000 })).unwrap(), today);
    assert_eq!(brought_up("1.1", json!({ "kg": 5 })).unwrap(), today);
    assert_eq!(brought_up("2.0", json!({ "kg": 5, "unit": "kg" })).unwrap(), today);
    assert_eq!(brought_up("3.0", json!({ "kg": 5, "unit": "kg" })).unwrap(), today);
    assert_eq!(brought_up("10.0", today.clone()).unwrap(), today);
    // As other writers may put it.
    assert_eq!(brought_up("1", json!({ "g": 5_000 })).unwrap(), today);
    assert_eq!(brought_up("10.0.0", today.clone()).unwrap(), today);
}

#[test]
fn a_version_that_this_build_does_not_know_is_not_read() {
    for newer in ["10.1", "11.0", "10.0.1"] {
        let error = brought_up(newer, json!({})).unwrap_err();
        assert_eq!(error.to_string(), "its version is newer than 10.0, the newest that this build knows of it");
    }
    for malformed in ["", "new", "1.x", "-1.0", "99999999999.0"] {
        assert!(matches!(brought_up(malformed, json!({})), Err(DecodeError::NoVersion)), "{malformed}");
    }
}
