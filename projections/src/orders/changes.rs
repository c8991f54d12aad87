//! What differs between two views of an order, leaf by leaf.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// A leaf that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct JsonLeafChange {
    /// A JSON pointer.
    pub path: String,
    /// null: it was missing.
    pub old: Value,
    /// null: it was removed.
    pub new: Value,
}

impl JsonLeafChange {
    /// All differences in the order of their paths; elements of lists are compared by index. An amount with its currency is one leaf.
    #[must_use]
    pub fn between(old: &Value, new: &Value) -> Vec<Self> {
        let mut found = Vec::new();
        compare(String::new(), Some(old), Some(new), &mut found);
        found
    }

    /// Both leaves as people read them. `None`: it was missing, or was removed.
    #[must_use]
    pub fn in_words(&self) -> [Option<String>; 2] {
        [&self.old, &self.new].map(in_words)
    }
}

fn in_words(leaf: &Value) -> Option<String> {
    match (amount(leaf), leaf) {
        (Some((amount, currency)), _) => Some(format!("{amount} {currency}")),
        (None, Value::Null) => None,
        (None, leaf) => Some(leaf.to_string()),
    }
}

fn compare(path: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<JsonLeafChange>) {
    let [old, new] = [old, new].map(|value| value.filter(|value| !value.is_null()));
    if old == new {
        return;
    }
    let below = |part: &str| format!("{path}/{}", part.replace('~', "~0").replace('/', "~1"));
    if let Some(names) = names(old, new) {
        for name in names {
            let [old, new] = [old, new].map(|value| value.and_then(|value| value.get(name)));
            compare(below(name), old, new, found);
        }
    } else if let Some(length) = length(old, new) {
        for index in 0..length {
            let [old, new] = [old, new].map(|value| value.and_then(|value| value.get(index)));
            compare(below(&index.to_string()), old, new, found);
        }
    } else {
        let [old, new] = [old, new].map(|value| value.cloned().unwrap_or(Value::Null));
        found.push(JsonLeafChange { path, old, new });
    }
}

/// The names of all members, if both are objects, or one is an object and the other is missing.
fn names<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> Option<BTreeSet<&'a str>> {
    let mut names = BTreeSet::new();
    for value in [old, new].into_iter().flatten() {
        names.extend(value.as_object().filter(|_| amount(value).is_none())?.keys().map(String::as_str));
    }
    (!names.is_empty()).then_some(names)
}

/// The length of the longer list, if both are lists, or one is a list and the other is missing.
fn length(old: Option<&Value>, new: Option<&Value>) -> Option<usize> {
    let mut longest = 0;
    for value in [old, new].into_iter().flatten() {
        longest = longest.max(value.as_array()?.len());
    }
    (longest > 0).then_some(longest)
}

fn amount(value: &Value) -> Option<(&str, &str)> {
    let object = value.as_object().filter(|object| object.len() == 2)?;
    Some((object.get("amount")?.as_str()?, object.get("currency")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_leaves_that_differ_are_told() {
        let old = json!({ "status": "pending", "total": { "amount": "1.00", "currency": "USD" }, "lines": [{ "n": 1, "sent": 0 }],
                          "mails": [], "reason": "late", "metadata": { "a/b": 1 } });
        let new = json!({ "status": "confirmed", "total": { "amount": "2.00", "currency": "USD" }, "lines": [{ "n": 1, "sent": 1 }],
                          "mails": [{ "to": "a" }], "metadata": { "a/b": 2 } });
        let told: Vec<_> =
            JsonLeafChange::between(&old, &new).into_iter().map(|it| (it.path, it.old, it.new)).collect();
        let expected = [
            ("/lines/0/sent", json!(0), json!(1)),
            ("/mails/0/to", Value::Null, json!("a")),
            ("/metadata/a~1b", json!(1), json!(2)),
            ("/reason", json!("late"), Value::Null),
            ("/status", json!("pending"), json!("confirmed")),
            ("/total", json!({ "amount": "1.00", "currency": "USD" }), json!({ "amount": "2.00", "currency": "USD" })),
        ];
        assert_eq!(told, expected.map(|(path, old, new)| (path.to_owned(), old, new)));
        assert_eq!(JsonLeafChange::between(&old, &old), []);
    }

    #[test]
    fn elements_are_in_their_order_and_what_changes_its_kind_is_one_change() {
        let many: Vec<_> = (0..11).collect();
        let paths: Vec<_> =
            JsonLeafChange::between(&Value::Null, &json!(many)).into_iter().map(|change| change.path).collect();
        assert_eq!(paths[9..], ["/9", "/10"]);
        let kind = JsonLeafChange::between(&json!({ "a": [1] }), &json!({ "a": { "b": 1 } }));
        assert_eq!(kind, [JsonLeafChange { path: "/a".into(), old: json!([1]), new: json!({ "b": 1 }) }]);
        assert_eq!(
            JsonLeafChange::between(&json!({}), &json!({ "a": [] })),
            [JsonLeafChange { path: "/a".into(), old: Value::Null, new: json!([]) }]
        );
        assert_eq!(in_words(&json!({ "amount": "1.00", "currency": "USD" })).as_deref(), Some("1.00 USD"));
        assert_eq!(in_words(&Value::Null), None);
    }
}
