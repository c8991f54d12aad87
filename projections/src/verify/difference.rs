//! How two items differ, in words. Their contents are not quoted: they are personal data.

use read_models::{Index, Item};
use serde_json::Value;

/// How a stored item differs from what it should be. `None`: it does not.
pub(super) fn difference(stored: &Item, should: &Item) -> Option<String> {
    let mut what = Vec::new();
    if stored.version != should.version {
        what.push(format!("it is as of position {}, and should be as of {}", stored.version, should.version));
    }
    for (nth, index) in [Index::Gsi1, Index::Gsi2, Index::Gsi3].into_iter().enumerate() {
        if stored.index_keys[nth] != should.index_keys[nth] {
            what.push(format!("its key in {} is another", index.name()));
        }
    }
    if stored.body.get() != should.body.get() {
        what.extend(bodies(stored, should));
    }
    (!what.is_empty()).then(|| what.join("; "))
}

/// The fields in which the bodies differ. Their order does not matter.
fn bodies(stored: &Item, should: &Item) -> Option<String> {
    let (Ok(stored), Ok(should)) = (stored.read::<Value>(), should.read::<Value>()) else {
        return Some("it can't be read".to_owned());
    };
    if stored == should {
        return None;
    }
    let (Value::Object(stored), Value::Object(should)) = (&stored, &should) else {
        return Some("it is another".to_owned());
    };
    let mut fields: Vec<&str> = stored.keys().chain(should.keys()).map(String::as_str).collect();
    fields.sort_unstable();
    fields.dedup();
    fields.retain(|field| stored.get(*field) != should.get(*field));
    Some(format!("it differs in {}", fields.join(", ")))
}

#[cfg(test)]
mod tests {
    use read_models::Key;
    use serde_json::value::RawValue;

    use super::*;

    fn item(body: &str, version: i64, customer: &str) -> Item {
        let index_keys = [Some(Key::new(customer, "2026")), None, None];
        let body = RawValue::from_string(body.to_owned()).unwrap();
        Item { key: Key::new("ORDER#1", "#META"), index_keys, version, body, words: None }
    }

    #[test]
    fn every_difference_is_named() {
        let should = item(r#"{"a":1,"b":2,"c":3}"#, 7, "CUSTOMER#1");
        for (stored, what) in [
            (item(r#"{"c":3, "b":2,"a":1}"#, 7, "CUSTOMER#1"), None),
            (item(r#"{"a":9,"c":3,"d":4}"#, 7, "CUSTOMER#1"), Some("it differs in a, b, d")),
            (item("[]", 7, "CUSTOMER#1"), Some("it is another")),
            (item(r#"{"a":1,"b":2,"c":3}"#, 7, "CUSTOMER#2"), Some("its key in gsi1 is another")),
            (
                item(r#"{"a":1,"b":2}"#, 6, "CUSTOMER#1"),
                Some("it is as of position 6, and should be as of 7; it differs in c"),
            ),
        ] {
            assert_eq!(difference(&stored, &should).as_deref(), what, "{stored:?}");
        }
    }
}
