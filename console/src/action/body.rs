//! The JSON of a form's fields. A field is named by its place in it, as a JSON pointer is written:
//!
//! - `/reason`: a member. `/parcels/0/carrier`: a member of an element; elements that nothing was typed for are left out.
//! - `/lines/lineNumber=2/quantity`: a member of the element that has this number.
//! - `:number`, `:bool` and `:list` after it say what it is; else it is a text. `:list` has the list there even if it is empty.
//! - `/taxes/0/name?`: what goes with something that is typed. It is left out if nothing was typed for its element, nor for another
//!   of the list: the API takes the list as a whole.
//!
//! A field that is empty is left out. Whether it may be is the API's to say.

use std::collections::HashMap;

use problem::Problem;
use serde_json::{Map, Number, Value};

/// Deeper fields no form has.
const DEEPEST: usize = 6;

/// The body of a request, and where each of its texts comes from.
#[derive(Debug)]
pub(super) struct RequestBody {
    pub(super) json: String,
    /// The field of each place.
    fields: HashMap<String, String>,
}

impl RequestBody {
    /// Of the fields whose names begin with `/`. 400 if they contradict each other.
    pub(super) fn of(fields: &[(String, String)]) -> Result<Self, Problem> {
        let (mut json, mut places) = (Value::Null, HashMap::new());
        let mut elements: HashMap<String, usize> = HashMap::new();
        let given = fields.iter().filter(|(name, value)| name.starts_with('/') && !value.is_empty());
        let parsed = given.map(|(name, value)| (name, name.split_once(':').unwrap_or((name, "")), value));
        let (companions, typed): (Vec<_>, Vec<_>) = parsed.partition(|(_, (path, _), _)| path.ends_with('?'));
        for (name, (path, kind), value) in typed.into_iter().chain(companions) {
            let (path, is_companion) = path.strip_suffix('?').map_or((path, false), |path| (path, true));
            if is_companion && !has_typed(&elements, path) {
                continue;
            }
            let wrong = || Problem::malformed(format!("the field {name} does not fit the form"));
            let (place, at) = place(&mut json, path, &mut elements).ok_or_else(wrong)?;
            match (kind, &at) {
                ("list", Value::Null) => *at = Value::Array(Vec::new()),
                ("list", Value::Array(_)) => continue,
                (_, Value::Null) => *at = leaf(value, kind),
                _ => return Err(wrong()),
            }
            places.insert(place, name.clone());
        }
        let json = if json.is_null() { "{}".to_owned() } else { json.to_string() };
        Ok(Self { json, fields: places })
    }

    /// The field that has what is at this place, or what it is in.
    pub(super) fn field_at(&self, pointer: &str) -> Option<&str> {
        self.fields.get(pointer).map(String::as_str)
    }
}

/// Whether something was typed for the element of this path, or for another one of its list.
fn has_typed(elements: &HashMap<String, usize>, path: &str) -> bool {
    let element = path.rsplit_once('/').map_or("", |(element, _)| element);
    let (list, _) = element.rsplit_once('/').unwrap_or((element, ""));
    elements.keys().any(|typed| typed.strip_prefix(list).is_some_and(|rest| rest.starts_with('/')))
}

/// The value at a path, made if it is not there, and its JSON pointer. `None`: something else is there.
fn place<'a>(
    json: &'a mut Value,
    path: &str,
    elements: &mut HashMap<String, usize>,
) -> Option<(String, &'a mut Value)> {
    let (mut at, mut pointer, mut named) = (json, String::new(), String::new());
    if path.split('/').count() > DEEPEST + 1 {
        return None;
    }
    for token in path.split('/').skip(1) {
        named.push('/');
        named.push_str(token);
        let element = match token.split_once('=') {
            Some((member, number)) => {
                Some(Value::from(Map::from_iter([(member.to_owned(), number.parse::<u32>().ok()?.into())])))
            }
            None => token.bytes().all(|byte| byte.is_ascii_digit()).then_some(Value::Null),
        };
        match element {
            Some(new) => {
                if at.is_null() {
                    *at = Value::Array(Vec::new());
                }
                let list = at.as_array_mut()?;
                let index = *elements.entry(named.clone()).or_insert_with(|| {
                    list.push(new);
                    list.len() - 1
                });
                pointer.push_str(&format!("/{index}"));
                at = list.get_mut(index)?;
            }
            None => {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                pointer.push('/');
                pointer.push_str(token);
                at = at.as_object_mut()?.entry(token).or_insert(Value::Null);
            }
        }
    }
    Some((pointer, at))
}

/// A value as it was typed. What is no number stays a text, so that the API says what it should be.
fn leaf(value: &str, kind: &str) -> Value {
    // Browsers end lines so.
    let text = || Value::from(value.replace("\r\n", "\n"));
    match kind {
        "number" => value.trim().parse::<Number>().map_or_else(|_| text(), Value::from),
        "bool" => value.parse::<bool>().map_or_else(|_| text(), Value::from),
        _ => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(fields: &[(&str, &str)]) -> Result<RequestBody, Problem> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        RequestBody::of(&fields)
    }

    #[test]
    fn a_field_is_where_its_name_says() {
        let fields = [
            ("token", "no part of it"),
            ("/reason", "broken\r\nin two"),
            ("/note", ""),
            ("/lines/lineNumber=1/quantity", ""),
            ("/lines/lineNumber=2/quantity", "0.5"),
            ("/lines/lineNumber=2/restock:bool", "true"),
            ("/parcels/0/carrier", ""),
            ("/parcels/3/carrier", "UPS"),
            ("/rate:number", "10"),
            ("/tags:list", "yes"),
        ];
        let body = body(&fields).unwrap();
        let expected = serde_json::json!({
            "reason": "broken\nin two", "rate": 10, "tags": [],
            "lines": [{ "lineNumber": 2, "quantity": "0.5", "restock": true }],
            "parcels": [{ "carrier": "UPS" }]
        });
        assert_eq!(serde_json::from_str::<Value>(&body.json).unwrap(), expected);
        assert_eq!(body.field_at("/lines/0/quantity"), Some("/lines/lineNumber=2/quantity"));
        assert_eq!(body.field_at("/parcels/0/carrier"), Some("/parcels/3/carrier"));
        assert_eq!(body.field_at("/note"), None);
    }

    #[test]
    fn what_goes_with_something_is_there_if_that_is() {
        let fields = [
            ("/lines/lineNumber=1/taxes/0/name?", "VAT"),
            ("/lines/lineNumber=1/taxes/0/included?:bool", "true"),
            ("/lines/lineNumber=1/taxes/0/amount", "1.90"),
            ("/lines/lineNumber=2/taxes/0/name?", "VAT"),
            ("/lines/lineNumber=2/taxes/0/amount", ""),
            ("/lines/lineNumber=3/taxes/0/name?", "VAT"),
            ("/lines/lineNumber=3/taxes/0/amount", ""),
            ("/lines/lineNumber=3/taxes/1/name?", "Deposit"),
            ("/lines/lineNumber=3/taxes/1/amount", "0.50"),
        ];
        let one = serde_json::json!([{ "amount": "1.90", "name": "VAT", "included": true }]);
        // Who says one of two says nothing of the other, which is not dropped for that.
        let both = serde_json::json!([{ "amount": "0.50", "name": "Deposit" }, { "name": "VAT" }]);
        let lines = serde_json::json!([{ "lineNumber": 1, "taxes": one }, { "lineNumber": 3, "taxes": both }]);
        let expected = serde_json::json!({ "lines": lines });
        assert_eq!(serde_json::from_str::<Value>(&body(&fields).unwrap().json).unwrap(), expected);
    }

    #[test]
    fn a_form_without_fields_is_an_empty_object() {
        assert_eq!(body(&[("token", "a")]).unwrap().json, "{}");
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        for fields in [
            &[("/a", "1"), ("/a", "2")][..],
            &[("/a", "1"), ("/a/b", "2")],
            &[("/a/0", "1"), ("/a/b", "2")],
            &[("/a/b", "1"), ("/a:list", "2")],
            &[("/a/lineNumber=x/b", "1")],
            &[("/a/b/c/d/e/f/g", "1")],
        ] {
            assert_eq!(body(fields).unwrap_err().status().as_u16(), 400, "{fields:?}");
        }
    }
}
